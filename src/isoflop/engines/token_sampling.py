"""Choosing the next token from logits, with randomness that belongs to the request alone.

Each request's t-th token is drawn with the t-th number of its own counter-based stream, by inverting
the cumulative distribution in vocabulary order. Batching changes logits by rounding only; a choice
that rounding could change is reported as close, and the engine settles it in float64.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isoflop.engines.registry import GenerationRequest

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# The grid of log-probabilities of texts: its step for 2**n tokens is 2**(n - 12) nats, so that the mean per
# token, which selectors by confidence compare, moves by 2.4e-4 at most; for 8 tokens and fewer that of 8.
_STEP_PER_TOKEN = 2.0**-12
_FEWEST_TOKENS = 8
# How far float32 may move the log-probability of a text, in nats per token: far above what it does (a test
# measures that).
ROUNDING_PER_TOKEN = 4e-6


def uniforms(seeds: NDArray[np.uint64], positions: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in [0, 1): for each row, number `positions` of the stream `seeds` (SplitMix64)."""
    with np.errstate(over="ignore"):
        state = seeds + (positions + np.uint64(1)) * _GOLDEN
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return np.asarray((state >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def logprob_step(tokens: int) -> float:
    """The step of the grid that log-probabilities of texts of so many tokens are on, in nats."""
    return math.ldexp(_STEP_PER_TOKEN, (max(tokens, _FEWEST_TOKENS) - 1).bit_length())


def settle_logprob(logprob: float, tokens: int) -> tuple[float, bool]:
    """A text's log-probability on a grid, where rounding errors do not reach.

    Parameters
    ----------
    logprob
        Of the whole text, natural logarithm.
    tokens
        How many tokens it has: both steps of the grid and rounding errors grow with them.

    Returns
    -------
    The nearest point, and whether rounding could have moved it to another: then it is found in float64.
    """
    step = logprob_step(tokens)
    point = math.floor(logprob / step + 0.5)
    from_middle = 0.5 * step - abs(logprob - point * step)
    return point * step, from_middle < max(tokens, _FEWEST_TOKENS) * ROUNDING_PER_TOKEN


@dataclass(frozen=True)
class Draws:
    """How each row's token is drawn; all [rows]. `temperature` 0 takes the largest logit.

    Filters apply to the softmax at the temperature, in vLLM's order, each to what the one before has left:
    `min_p` keeps what has at least this share of the largest probability, `top_k` the k most probable and all
    that are as probable as the k-th (0: all), `top_p` the smallest set with this share of what is left.
    """

    temperature: Tensor
    top_p: Tensor
    top_k: Tensor
    min_p: Tensor

    @classmethod
    def of(cls, requests: Sequence[GenerationRequest], dtype: torch.dtype, device: torch.device) -> "Draws":
        """What the requests ask for."""
        return cls(
            torch.tensor([request.temperature for request in requests], dtype=dtype, device=device),
            torch.tensor([request.top_p for request in requests], dtype=dtype, device=device),
            torch.tensor([request.top_k for request in requests], dtype=torch.long, device=device),
            torch.tensor([request.min_p for request in requests], dtype=dtype, device=device),
        )

    def followed_by(self, other: "Draws") -> "Draws":
        """The rows of this one, then those of the other."""
        return Draws(
            *(torch.cat([getattr(self, field.name), getattr(other, field.name)]) for field in fields(self))
        )

    def __getitem__(self, rows: Tensor) -> "Draws":
        return Draws(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def filters(self) -> Tensor:
        """Which rows have a filter [rows]."""
        return (self.top_p < 1) | (self.top_k > 0) | (self.min_p > 0)
