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
class Choice:
    """Chosen tokens [rows], their log-probabilities at temperature 1 [rows], and which were close."""

    tokens: Tensor
    logprobs: Tensor
    close: Tensor


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


def choose(logits: Tensor, uniform: Tensor, drawing: Draws, margin: float) -> Choice:
    """Choose a token per row of `logits` [rows, vocabulary].

    A row is `close` if a change of `margin` in the cumulative probabilities, or in the logits where it is
    their order that decides, could change its token.
    """
    logprobs = torch.log_softmax(logits, dim=-1)
    greedy = drawing.temperature == 0
    temperature = torch.where(greedy, 1.0, drawing.temperature)
    scaled = torch.softmax(logits / temperature[:, None], dim=-1)
    close = torch.zeros_like(greedy)
    if bool(((drawing.top_p < 1) | (drawing.top_k > 0) | (drawing.min_p > 0)).any()):
        scaled, close = filtered(scaled, drawing, margin, margin / temperature)
    cumulative = scaled.cumsum(-1)
    target = uniform * cumulative[:, -1]
    tokens = (cumulative <= target[:, None]).sum(-1).clamp_(max=logits.shape[-1] - 1)
    upper = cumulative.gather(1, tokens[:, None]).squeeze(1)
    lower = upper - scaled.gather(1, tokens[:, None]).squeeze(1)
    close = close | (upper - target < margin) | (target - lower < margin)
    if bool(greedy.any()):
        top = logits.topk(2, dim=-1)
        tokens = torch.where(greedy, top.indices[:, 0], tokens)
        close = torch.where(greedy, top.values[:, 0] - top.values[:, 1] < margin, close)
    return Choice(tokens, logprobs.gather(1, tokens[:, None]).squeeze(1), close)


def filtered(probabilities: Tensor, drawing: Draws, margin: float, gap: Tensor) -> tuple[Tensor, Tensor]:
    """What the filters leave of `probabilities` [rows, vocabulary], renormalised, and which rows were close.

    Every filter keeps a beginning of the vocabulary by falling probability, where equal ones are in the order
    of the vocabulary. `gap` [rows]: how far rounding may move the logarithm of a ratio of two probabilities.
    """
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    top_k = torch.where(drawing.top_k > 0, drawing.top_k, ordered.shape[-1]).clamp(max=ordered.shape[-1])
    kth = ordered.gather(1, top_k[:, None] - 1)
    floor = ordered[:, :1] * drawing.min_p[:, None]
    kept = (ordered >= kth) & (ordered >= floor)
    after_kth = ordered.gather(1, top_k[:, None].clamp(max=ordered.shape[-1] - 1))
    gap = gap[:, None]
    decides = (top_k < ordered.shape[-1])[:, None] & (kth >= floor * (1 - gap))
    close = (decides & (kth - after_kth < gap * kth)).any(-1)
    # The most probable token is never dropped.
    close |= ((floor > 0) & ((ordered[:, 1:] - floor).abs() < gap * floor)).any(-1)

    left = ordered * kept
    share = drawing.top_p[:, None] * left.sum(-1, keepdim=True)
    before = left.cumsum(-1) - left
    within = kept & ((before < share) | (drawing.top_p >= 1)[:, None])
    last = ordered.masked_fill(~within, torch.inf).amin(-1)
    dropped = left.masked_fill(within, 0.0).amax(-1)
    nucleus = drawing.top_p < 1
    close |= nucleus & (((before - share).abs() < margin) & kept).any(-1)
    close |= nucleus & (dropped > 0) & (last - dropped < gap.squeeze(1) * last)
    masked = probabilities * torch.zeros_like(within).scatter(1, order, within)
    return masked / masked.sum(-1, keepdim=True), close
