"""Pretraining against test-time compute (Snell et al. 2024, section 7).

Pretraining a model of N parameters on D_pretrain tokens takes X = 6 N D_pretrain FLOPs, and all its inference
Y = 2 N D_inference. A model M times larger costs M (X + Y). A small model that is given as much spends the
rest at test time: its inference may cost M + 3 (D_pretrain / D_inference) (M - 1) times as much.
"""

from typing import NamedTuple

from isoflop.errors import UserError

# R = D_inference / D_pretrain in the paper's Figure 9.
PAPER_RATIOS = (0.16, 0.79, 22.0)


class Exchange(NamedTuple):
    """What FLOPs buy instead: `size_ratio` is M, `ratio` is R, `multiplier` how much more inference."""

    size_ratio: float
    ratio: float
    multiplier: float


def pretraining_flops(parameters: float, tokens: float) -> float:
    """X = 6 N D_pretrain."""
    return 6.0 * parameters * tokens


def inference_flops(parameters: float, tokens: float) -> float:
    """Y = 2 N D_inference."""
    return 2.0 * parameters * tokens


def exchange(size_ratio: float, ratio: float) -> Exchange:
    """How many times the inference compute of the small model equals a model `size_ratio` (M) times larger.

    `ratio`: R = D_inference / D_pretrain. Raises UserError unless M is above 1 and R above 0.
    """
    if not size_ratio > 1.0:
        raise UserError(f"the larger model must be larger: its size is {size_ratio:g} times the smaller's")
    if not ratio > 0.0:
        raise UserError(f"ratio: {ratio:g} is no ratio of inference to pretraining tokens; give one above 0")
    return Exchange(size_ratio, ratio, size_ratio + 3.0 / ratio * (size_ratio - 1.0))
