"""How a verifier's score is read from the last hidden state at a place: the log-odds that a step is good."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from isoflop.config.verifiers import RunningVerifier
from isoflop.engines.checkpoints import load_tensors
from isoflop.errors import UserError
from isoflop.verifiers.registry import verifier_kind


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


def model_class(entry: RunningVerifier) -> Any:
    """The transformers class that loads the checkpoint."""
    return getattr(transformers, verifier_kind(entry.kind).auto_class)


def read_head(entry: RunningVerifier, model: Any, tokenizer: Any) -> Head:
    """The head of a loaded model. Raises UserError where the checkpoint has none of the kind."""
    return verifier_kind(entry.kind).head(entry, model, tokenizer)


def classifier_layer(model: Any, called: str | None) -> torch.nn.Linear:
    """The layer over labels of a loaded classifier. Raises UserError where it has none that is linear."""
    layer = getattr(model, "score", None) or getattr(model, "classifier", None)
    if not isinstance(layer, torch.nn.Linear):
        raise UserError(f"model {called!r}: {type(model).__name__} has no linear classifier")
    return layer


def checked_label(good_class: int, labels: int, called: str | None) -> int:
    """The label of good steps. Raises UserError where a model does not have it, or no other one."""
    if not good_class < labels or labels == 1:
        raise UserError(f"good_class: {good_class} is not one of the {labels} labels of {called!r}")
    return good_class


def saved_tensors(model: str | None, revision: str | None, names: Sequence[str]) -> list[Tensor]:
    """Tensors of a checkpoint by name. Raises UserError where it has not all of them.

    `model`: None for a GGUF file of a package, which has no tensors of this kind.
    """
    if model is None:
        raise UserError(f"model: a GGUF file has no {names[0]}, which this kind of verifier reads")
    return load_tensors(model, revision, names)
