"""The optimizer that makes small models learn from nothing in minutes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for the matrices inside the layers, AdamW for everything else (embeddings, norms).

    `learning_rate` is Muon's, in AdamW's scale; AdamW runs at `adamw_share` of it.
    """

    def __init__(
        self, model: nn.Module, learning_rate: float, weight_decay: float, adamw_share: float = 0.3
    ) -> None:
        embedding = {id(parameter) for module in model.modules() if isinstance(module, nn.Embedding)
                     for parameter in module.parameters()}  # fmt: skip
        matrices = [p for p in model.parameters() if p.ndim == 2 and id(p) not in embedding]
        others = [p for p in model.parameters() if p.ndim != 2 or id(p) in embedding]
        self._inner: list[torch.optim.Optimizer] = [
            torch.optim.Muon(
                matrices, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW(
                others, lr=learning_rate * adamw_share, weight_decay=weight_decay, betas=(0.9, 0.95)
            ),
        ]
        super().__init__([{"params": [*matrices, *others]}], {"lr": learning_rate})
        # Schedulers write to these groups, so they must be the very ones the inner optimizers read.
        self.param_groups = [group for inner in self._inner for group in inner.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of both optimizers."""
        for inner in self._inner:
            inner.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear all gradients."""
        for inner in self._inner:
            inner.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The state of both optimizers."""
        return {"inner": [inner.state_dict() for inner in self._inner]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        for inner, state in zip(self._inner, state_dict["inner"], strict=True):
            inner.load_state_dict(state)
        self.param_groups = [group for inner in self._inner for group in inner.param_groups]
