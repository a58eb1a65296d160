"""Choosing the next token from logits, with randomness that belongs to the request alone.

Each request's t-th token is drawn with the t-th number of its own counter-based stream, by inverting
the cumulative distribution in vocabulary order. Batching changes logits by rounding only; a choice
that rounding could change is reported as close, and the engine settles it in float64.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniforms(seeds: NDArray[np.uint64], positions: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in [0, 1): for each row, number `positions` of the stream `seeds` (SplitMix64)."""
    with np.errstate(over="ignore"):
        state = seeds + (positions + np.uint64(1)) * _GOLDEN
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return np.asarray((state >> np.uint64(11)).astype(np.float64) * 2.0**-53)


@dataclass(frozen=True)
class Choice:
    """Chosen tokens [rows], their log-probabilities at temperature 1 [rows], and which were close."""

    tokens: Tensor
    logprobs: Tensor
    close: Tensor


def choose(logits: Tensor, uniform: Tensor, temperature: Tensor, top_p: Tensor, margin: float) -> Choice:
    """Choose a token per row of `logits` [rows, vocabulary].

    Rows with temperature 0 take the largest logit. A row is `close` if a change of `margin` in the
    cumulative probabilities (of `margin` in the logits, if greedy) could change its token.
    """
    logprobs = torch.log_softmax(logits, dim=-1)
    greedy = temperature == 0
    scaled = torch.softmax(logits / torch.where(greedy, 1.0, temperature)[:, None], dim=-1)
    close = torch.zeros_like(greedy)
    if bool((top_p < 1).any()):
        scaled, close = _nucleus(scaled, top_p, margin)
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


def _nucleus(probabilities: Tensor, top_p: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """`probabilities` with everything outside the smallest set of mass `top_p` set to 0, renormalised."""
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(-1) - ordered
    kept = before < top_p[:, None]
    last_kept = ordered.masked_fill(~kept, torch.inf).amin(-1)
    first_dropped = ordered.masked_fill(kept, 0.0).amax(-1)
    close = ((before - top_p[:, None]).abs() < margin).any(-1) | (last_kept - first_dropped < margin)
    close &= top_p < 1
    mask = torch.zeros_like(kept).scatter(1, order, kept)
    masked = probabilities * mask
    return masked / masked.sum(-1, keepdim=True), close
