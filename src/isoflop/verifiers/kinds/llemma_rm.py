"""The reward model of Wu et al. 2024 (llemma-7b): the mean of all logits at a tag after each step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from isoflop.config.base import Text
from isoflop.config.verifiers import TaggedVerifier
from isoflop.verifiers.families import CausalModel
from isoflop.verifiers.layouts import Solution, Tagged, tagged_plain
from isoflop.verifiers.registry import TinyCheckpoint

if TYPE_CHECKING:
    from torch import Tensor

    from isoflop.verifiers.heads import Head


class LlemmaRm(TaggedVerifier):
    """The sigmoid of the mean of all logits at a tag after each step (Wu et al. 2024's reward model)."""

    kind: Literal["llemma-rm"]
    """A causal language model whose output matrix is a reward head, tiled over the vocabulary."""
    step_tag: Text = " ки"
    """The tag after each step; one token."""


@dataclass(frozen=True, kw_only=True)
class _LlemmaRm(CausalModel[LlemmaRm]):
    def tag(self, tokenizer: Any, entry: LlemmaRm, solutions: Sequence[Solution]) -> list[Tagged]:
        """The prompt, then steps with a tag at the end of each one's line."""
        return tagged_plain(tokenizer, entry.step_tag, solutions)

    def of_last_layer(
        self, entry: LlemmaRm, weight: "Tensor", bias: "Tensor | None", tokenizer: Any
    ) -> "Head":
        """The mean of its rows."""
        from isoflop.verifiers.heads import Head  # noqa: PLC0415  torch

        mean = weight.detach().double().mean(0, keepdim=True)
        return Head.of(mean, None if bias is None else bias.mean()[None], None, weight.device)


def _tiled(hidden: int, vocabulary: int) -> dict[str, Any]:
    """A reward head of two rows, tiled over the vocabulary."""
    import torch  # noqa: PLC0415

    return {"lm_head.weight": torch.randn(2, hidden).repeat(vocabulary, 1)[:vocabulary]}


VERIFIER = _LlemmaRm(name="llemma-rm", order=6, entry=LlemmaRm, tiny=TinyCheckpoint(tensors=_tiled))
