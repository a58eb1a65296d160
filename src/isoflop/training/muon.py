"""The optimizer that makes small models learn from nothing in minutes."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised per matrix (Jordan et al. 2024), at AdamW's scale (Liu et al. 2025).

    What `torch.optim.Muon` computes with adjust_lr_fn="match_rms_adamw", but in float32 and with all
    matrices of one shape in one product: its bfloat16, one matrix at a time, is several times slower
    on a CPU without bfloat16 units, and takes longer than the forward and backward passes there.
    """

    def __init__(
        self, matrices: Iterable[Tensor], learning_rate: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": learning_rate, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step; matrices without a gradient stay as they are."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape[matrix.shape].append(matrix)
            for shape, matrices in by_shape.items():
                updates = orthogonalize(
                    torch.stack([self._direction(m, group["momentum"]) for m in matrices])
                )
                scale = group["lr"] * 0.2 * math.sqrt(max(shape))
                for matrix, update in zip(matrices, updates, strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-scale)

    def _direction(self, matrix: Tensor, momentum: float) -> Tensor:
        """Nesterov momentum."""
        gradient = matrix.grad
        assert gradient is not None
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        direction: Tensor = gradient.lerp(state["momentum_buffer"], momentum)
        return direction


def orthogonalize(matrices: Tensor) -> Tensor:
    """Each of `matrices` (count, rows, columns) with its singular values brought near 1.

    Five quintic Newton-Schulz iterations, as in Muon: near means about 0.7 to 1.2.
    """
    a, b, c = _NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if tall else matrices
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = wide @ wide.mT
        wide = torch.baddbmm(wide, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.mT if tall else wide


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
            Muon(matrices, learning_rate, weight_decay),
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
