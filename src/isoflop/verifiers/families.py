"""What most kinds of verifiers are: causal language models read at their last layer, or classifiers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from isoflop.config.verifiers import RunningVerifier
from isoflop.verifiers.registry import VerifierKind

if TYPE_CHECKING:
    from torch import Tensor

    from isoflop.verifiers.heads import Head

_Entry = TypeVar("_Entry", bound=RunningVerifier)


@dataclass(frozen=True, kw_only=True)
class CausalModel(VerifierKind[_Entry]):
    """A causal language model, scored by rows of its last layer: those of a good and a bad token."""

    vllm_task: Literal["token_embed"] = "token_embed"

    def of_last_layer(self, entry: Any, weight: "Tensor", bias: "Tensor | None", tokenizer: Any) -> "Head":
        """The head in the last layer, [tokens, hidden] and [tokens]: of the entry's two tokens."""
        from isoflop.verifiers.heads import Head  # noqa: PLC0415  torch
        from isoflop.verifiers.layouts import token_id  # noqa: PLC0415

        tokens = token_id(tokenizer, entry.good_token), token_id(tokenizer, entry.bad_token)
        return Head.pair(weight, bias, tokens)

    def head(self, entry: _Entry, model: Any, tokenizer: Any) -> "Head":
        """The last layer's of a loaded model."""
        output = model.get_output_embeddings()
        return self.of_last_layer(entry, output.weight, output.bias, tokenizer)

    def vllm_arguments(self) -> dict[str, Any]:
        """Hidden states, at the tokens that look like marks only."""
        from vllm.config import PoolerConfig  # noqa: PLC0415  heavy, and only there where it is used

        return {"convert": "embed", "pooler_config": PoolerConfig(tok_pooling_type="STEP")}

    def vllm_head(self, entry: _Entry, labels: int, tokenizer: Any) -> "Head":
        """The last layer's of a checkpoint that is not loaded here."""
        from isoflop.engines.checkpoints import load_output_embeddings  # noqa: PLC0415  torch

        assert entry.model is not None  # what is trained here has been located
        weight, bias = load_output_embeddings(entry.model, entry.revision)
        return self.of_last_layer(entry, weight, bias, tokenizer)


@dataclass(frozen=True, kw_only=True)
class Classifier(VerifierKind[_Entry]):
    """A model with a linear layer over labels, scored by one of them, the entry's `good_class`."""

    def good_label(self, entry: Any, labels: int) -> int | None:
        """The label of good steps; None for an only one that is the log-odds. May raise UserError."""
        from isoflop.verifiers.heads import checked_label  # noqa: PLC0415  torch

        return checked_label(entry.good_class, labels, entry.model)

    def head(self, entry: _Entry, model: Any, tokenizer: Any) -> "Head":
        """The classifier's. Raises UserError where the model has none that is linear."""
        from isoflop.verifiers.heads import Head, classifier_layer  # noqa: PLC0415  torch

        layer = classifier_layer(model, entry.model)
        good = self.good_label(entry, len(layer.weight))
        return Head.of(layer.weight, layer.bias, good, model.device)

    def vllm_head(self, entry: _Entry, labels: int, tokenizer: Any) -> "Head":
        """That of labels, which vLLM computes."""
        from isoflop.verifiers.heads import Head  # noqa: PLC0415  torch

        return Head.of_labels(labels, self.good_label(entry, labels))
