"""Inverting the cumulative distribution of every row, and telling which choices rounding could change.

The vocabulary is searched in blocks: one exponential a word, sums of blocks, the block, the word in it. Rows
are worked on a few at a time, so that what is made of their logits stays in the processor's cache.

How far rounding moves a boundary: if no logit moves by more than e (but for what moves all alike), the odds
c / (1 - c) of a cumulative probability c change by a factor between exp(-2e) and exp(2e), so c moves by some
2e c(1 - c) at most. Exponentials and the sums of blocks are in float32, whose errors are such movements too;
all that is added up of them is in float64.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from isoflop.engines.token_sampling import Draws

# How far apart float32 may move two logits, as a share of the row's scale: its largest logit without its
# sign, or the distance between its largest and its least. Far above what it does (a test measures that).
ROUNDING = 3e-5
# Far above what float32 moves a cumulative probability by, wherever it is (a test measures that).
CLOSE = 3e-5
# float32's own part, in exponentials and sums of blocks, as a movement of a logit; and float64's, of sums.
_ARITHMETIC, _SUMS = 1e-6, 1e-13
_BLOCK = 128
# Of so many numbers weights are made at once.
_PART = 2**19


@dataclass(frozen=True)
class Choice:
    """Chosen tokens [requests], their log-probabilities at temperature 1 [requests], and which were close."""

    tokens: Tensor
    logprobs: Tensor
    close: Tensor


def choose(
    logits: Tensor, row_of: Tensor, uniform: Tensor, drawing: Draws, rounding: float = ROUNDING
) -> Choice:
    """Choose a token for every request.

    Parameters
    ----------
    logits
        [rows, vocabulary]; those in float64 are taken to be exact but for `rounding`, all others are worked
        on in float32.
    row_of
        The row of each request [requests]; several may share one.
    uniform
        A number in [0, 1) for each request [requests], float64.
    drawing
        How each request's token is drawn.
    rounding
        How far two logits of a row may have moved apart, as a share of the row's scale.

    Returns
    -------
    A request is `close` if rounding could change its token.
    """
    tokens, close = torch.zeros_like(row_of), torch.zeros_like(row_of, dtype=torch.bool)
    logprobs = torch.zeros_like(uniform)
    greedy = drawing.temperature == 0
    # Rows with filters are weighed by themselves, all others once for the requests that share them.
    filtering = drawing.filters & ~greedy
    for temperature in sorted(set(drawing.temperature[~filtering].tolist())):
        mine = ((drawing.temperature == temperature) & ~filtering).nonzero().flatten()
        for part in _parts(logits, row_of[mine], rounding):
            places = mine[part.requests]
            if temperature == 0:
                found = part.largest()
            else:
                found = part.drawn(part.weights(temperature), uniform[places], temperature)
            tokens[places], close[places] = found
            logprobs[places] = part.logprobs(found[0], temperature)
    mine = filtering.nonzero().flatten()
    for part in _parts(logits, row_of[mine], rounding, shared=False):
        places = mine[part.requests]
        how = drawing[places]
        weights = part.softmax(how.temperature)
        gap = part.gap.to(weights.dtype) / how.temperature
        left, doubtful = filtered(weights[:, : part.words], how, CLOSE if rounding else 0.0, gap)
        weights[:, : part.words] = left
        tokens[places], close[places] = part.drawn(weights, uniform[places], how.temperature)
        close[places] |= doubtful
        logprobs[places] = part.logprobs(tokens[places], 0.0)
    return Choice(tokens, logprobs, close)


@dataclass
class _Part:
    """Some rows and the requests for them: `requests` by place, `local` the row of each in `logits`.

    `top` [rows, 1]: the largest logit of each; `gap` [rows]: how far rounding may move two of them apart.
    `spare`: room for weights [rows, whole blocks], nought after the last word.
    """

    requests: Tensor
    local: Tensor
    logits: Tensor
    spare: Tensor
    rounding: float

    def __post_init__(self) -> None:
        self.words = self.logits.shape[1]
        self.top = self.logits.amax(-1, keepdim=True)
        top, least = self.top.squeeze(1).double(), self.logits.amin(-1).double()
        self.gap = self.rounding * torch.maximum(top - least, torch.maximum(top, -least))
        self.totals: Tensor | None = None

    def weights(self, temperature: float | Tensor) -> Tensor:
        """exp((logit - largest) / temperature), in the spare room."""
        used = self.spare[:, : self.words]
        torch.sub(self.logits, self.top, out=used)
        if isinstance(temperature, Tensor):
            used /= temperature[:, None].to(used.dtype)
        elif temperature != 1:
            used /= temperature
        used.exp_()
        return self.spare

    def softmax(self, temperature: Tensor) -> Tensor:
        """The probabilities at each row's own temperature, in the spare room."""
        weights = self.weights(temperature)
        weights /= weights.sum(-1, keepdim=True)
        return weights

    def drawn(self, weights: Tensor, uniform: Tensor, temperature: float | Tensor) -> tuple[Tensor, Tensor]:
        """The token of each request by its uniform number, and whether it was close."""
        blocks = _blocks(weights)
        sums = blocks.sum(-1).double()
        ends = sums.cumsum(-1)
        if isinstance(temperature, float) and temperature == 1:
            self.totals = ends[:, -1]
        total = ends[:, -1][self.local]
        target = uniform * total
        block = torch.searchsorted(ends[self.local], target[:, None], right=True)
        block.clamp_(max=sums.shape[1] - 1)
        end, size = (values[self.local].gather(1, block) for values in (ends, sums))
        block = block.squeeze(1)
        inside = blocks[self.local, block].double().cumsum(-1)
        # The sum of a block in float32 is the one that its words share.
        inside = (end - size) + inside * (size / inside[:, -1:].clamp(min=torch.finfo(torch.float64).tiny))
        word = torch.searchsorted(inside, target[:, None], right=True).clamp_(max=inside.shape[1] - 1)
        upper = inside.gather(1, word)
        lower = torch.where(word > 0, inside.gather(1, (word - 1).clamp(min=0)), end - size)
        share = torch.stack([lower.squeeze(1), upper.squeeze(1)]) / total
        distance = torch.stack([uniform, uniform]) - share
        tokens = (block * blocks.shape[2] + word.squeeze(1)).clamp_(max=self.words - 1)
        if not self.rounding:
            return tokens, torch.zeros_like(tokens, dtype=torch.bool)
        moved = (self.gap[self.local] / temperature + 2 * _ARITHMETIC) * share * (1 - share)
        near = distance.abs() < moved.clamp(max=CLOSE) + _SUMS
        # Before the first word and after the last one there is nothing that could be chosen instead.
        return tokens, (near & (share > 0) & (share < 1)).any(0)

    def largest(self) -> tuple[Tensor, Tensor]:
        """The token of the largest logit for each request, and whether another is close to it."""
        top = self.logits.topk(min(2, self.words), dim=-1)
        near = top.values[:, 0] - top.values[:, -1] < self.gap if self.words > 1 else self.gap < 0
        return top.indices[:, 0][self.local], near[self.local]

    def logprobs(self, tokens: Tensor, temperature: float) -> Tensor:
        """The log-probability at temperature 1 of each request's token."""
        if self.totals is None:
            weights = self.weights(1.0)
            self.totals = _blocks(weights).sum(-1).double().sum(-1)
        above = (self.logits[self.local, tokens] - self.top[self.local, 0]).double()
        return above - self.totals[self.local].log()


def _blocks(weights: Tensor) -> Tensor:
    return weights.view(len(weights), -1, min(_BLOCK, weights.shape[1]))


def _parts(logits: Tensor, row_of: Tensor, rounding: float, shared: bool = True) -> Iterator[_Part]:
    """The requests in parts, by row: what fits in the cache. Without `shared`, every request has its own."""
    if not len(row_of):
        return
    rows, local = torch.unique(row_of, return_inverse=True)
    if not shared:
        rows, local = row_of, torch.arange(len(row_of), device=row_of.device)
    words = logits.shape[1]
    block = min(_BLOCK, words)
    width = -(-words // block) * block
    at_once = max(1, _PART // width) if logits.device.type == "cpu" else len(rows)
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    spare = torch.zeros((min(at_once, len(rows)), width), dtype=dtype, device=logits.device)
    order = local.argsort(stable=True)
    firsts = torch.arange(0, len(rows) + at_once, at_once, device=rows.device)
    starts = torch.searchsorted(local[order], firsts)
    whole = len(rows) == len(logits) and shared
    for number, start in enumerate(range(0, len(rows), at_once)):
        end = min(start + at_once, len(rows))
        requests = order[starts[number] : starts[number + 1]]
        some = logits[start:end] if whole else logits[rows[start:end]]
        yield _Part(requests, local[requests] - start, some.to(dtype), spare[: end - start], rounding)


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
