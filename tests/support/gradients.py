"""Gradients of two ways to compute one loss."""

from collections.abc import Sequence

import torch


def assert_alike(ours: Sequence[torch.Tensor | None], theirs: Sequence[torch.Tensor | None]) -> None:
    """Parameter by parameter: none in the same places, and the others equal up to rounding."""
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)
