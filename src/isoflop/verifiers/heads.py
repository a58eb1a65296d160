"""How a verifier's score is read from the last hidden state at a place: the log-odds that a step is good."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from isoflop.config.verifiers import (
    CausalOrm,
    LlemmaRm,
    MathShepherd,
    Orm,
    QwenPrm,
    Rlhflow,
    Running,
    SkyworkPrm,
    TokenClass,
    TokenPair,
)
from isoflop.costs.shape import ModelShape
from isoflop.engines.checkpoints import load_output_embeddings, load_tensors
from isoflop.errors import UserError
from isoflop.verifiers.layouts import token_id

_CAUSAL = (MathShepherd, TokenPair, CausalOrm, Rlhflow, LlemmaRm, SkyworkPrm)


@dataclass(frozen=True)
class Head:
    """Weights [labels, hidden] and bias [labels], after a hidden layer where there is one; all in float64.

    `good`: the label whose log-odds against the others are wanted; None where the one label is the log-odds.
    """

    weight: Tensor
    bias: Tensor
    good: int | None
    inner: tuple[Tensor, Tensor] | None = None

    def log_odds(self, hidden: Tensor) -> Tensor:
        """[..., hidden] in any precision -> [...] in float64."""
        hidden = hidden.double()
        if self.inner is not None:
            weight, bias = self.inner
            hidden = torch.relu(hidden @ weight.T + bias)
        labels = hidden @ self.weight.T + self.bias
        if self.good is None:
            return labels[..., 0]
        others = torch.cat([labels[..., : self.good], labels[..., self.good + 1 :]], dim=-1)
        return labels[..., self.good] - torch.logsumexp(others, dim=-1)

    def scores(self, hidden: Tensor) -> NDArray[np.float64]:
        """Probabilities. [..., hidden] -> [...]."""
        probabilities: NDArray[np.float64] = expit(self.log_odds(hidden).cpu().numpy())
        return probabilities

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        inner = () if self.inner is None else self.inner
        return sum(tensor.numel() for tensor in (self.weight, self.bias, *inner))

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None, good: int | None, device: torch.device) -> Self:
        """From a layer's tensors."""
        bias = torch.zeros(len(weight)) if bias is None else bias
        return cls(weight.detach().double().to(device), bias.detach().double().to(device), good)

    @classmethod
    def of_labels(cls, labels: int, good: int | None) -> Self:
        """Of labels that a model's own layer has computed."""
        return cls.of(torch.eye(labels), None, good, torch.device("cpu"))

    @classmethod
    def pair(cls, weight: Tensor, bias: Tensor | None, tokens: tuple[int, int]) -> Self:
        """Of the good and the bad token, from the last layer of a causal language model."""
        rows = list(tokens)
        return cls.of(weight[rows], None if bias is None else bias[rows], 0, weight.device)


def model_class(entry: Running) -> Any:
    """The transformers class that loads the checkpoint."""
    if isinstance(entry, _CAUSAL):
        return AutoModelForCausalLM
    if isinstance(entry, QwenPrm):
        return AutoModel
    return (
        AutoModelForTokenClassification
        if isinstance(entry, TokenClass)
        else AutoModelForSequenceClassification
    )


def saved_head(entry: MathShepherd | TokenPair | CausalOrm | Rlhflow | LlemmaRm, tokenizer: Any) -> Head:
    """The head of a causal language model that is not loaded here."""
    assert entry.model is not None  # what is trained here has been located
    weight, bias = load_output_embeddings(entry.model, entry.revision)
    return _of_last_layer(entry, weight, bias, tokenizer)


def _of_last_layer(
    entry: MathShepherd | TokenPair | CausalOrm | Rlhflow | LlemmaRm,
    weight: Tensor,
    bias: Tensor | None,
    tokenizer: Any,
) -> Head:
    if isinstance(entry, LlemmaRm):
        mean = weight.detach().double().mean(0, keepdim=True)
        return Head.of(mean, None if bias is None else bias.mean()[None], None, weight.device)
    good, bad = token_id(tokenizer, entry.good_token), token_id(tokenizer, entry.bad_token)
    return Head.pair(weight, bias, (good, bad))


def qwen_head(entry: QwenPrm, device: torch.device) -> Head:
    """The head of two layers. Raises UserError where the checkpoint has none."""
    names = ("score.0.weight", "score.0.bias", "score.2.weight", "score.2.bias")
    inner, inner_bias, weight, bias = (tensor.double().to(device) for tensor in _saved(entry, *names))
    return Head(weight, bias, 1, (inner, inner_bias))


def with_head(shape: ModelShape, head: Head) -> ModelShape:
    """The shape with the parameters of a head that the transformers model does not hold."""
    return shape.with_more(head.parameters)


def read_head(entry: Running, model: Any, tokenizer: Any) -> Head:
    """The head of a loaded model. Raises UserError where the checkpoint has none of the kind."""
    device = model.device
    match entry:
        case MathShepherd() | TokenPair() | CausalOrm() | Rlhflow() | LlemmaRm():
            output = model.get_output_embeddings()
            return _of_last_layer(entry, output.weight, output.bias, tokenizer)
        case SkyworkPrm():
            weight, bias = _saved(entry, "v_head.summary.weight", "v_head.summary.bias")
            return Head.of(weight, bias, None, device)
        case QwenPrm():
            return qwen_head(entry, device)
        case TokenClass() | Orm():
            layer = getattr(model, "score", None) or getattr(model, "classifier", None)
            if not isinstance(layer, torch.nn.Linear):
                raise UserError(f"model {entry.model!r}: {type(model).__name__} has no linear classifier")
            return Head.of(layer.weight, layer.bias, good_label(entry, len(layer.weight)), device)


def good_label(entry: TokenClass | Orm, labels: int) -> int | None:
    """The label of good steps; None for an ORM's only one, which is the log-odds. May raise UserError."""
    if isinstance(entry, Orm) and labels == 1:
        return None
    if not entry.good_class < labels or labels == 1:
        raise UserError(
            f"good_class: {entry.good_class} is not one of the {labels} labels of {entry.model!r}"
        )
    return entry.good_class


def _saved(entry: Running, *names: str) -> list[Tensor]:
    assert entry.model is not None  # what is trained here has been located
    return load_tensors(entry.model, entry.revision, names)
