"""Keys and values of texts that grow step by step, kept in segments, so that each token is read once.

A search asks about the same beginnings again and again. What a forward pass found out about a piece of text
is kept as a segment under the whole text up to its end; a longer text is then read from where its longest
kept beginning stops.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Segment:
    """What attention needs of some tokens: keys then values of all layers, [2 * layers, kv_heads, tokens, d].

    `score`: a verifier's, of the step that they are; None for what has none.
    """

    data: Tensor
    score: float | None = None

    @property
    def count(self) -> int:
        """Number of tokens."""
        return int(self.data.shape[2])

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self.data.nbytes)


class SegmentStore:
    """Segments by the text that they end; those used least recently make way beyond `most_bytes`."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._bytes = most_bytes, 0
        self._segments: OrderedDict[bytes, Segment] = OrderedDict()

    @property
    def size(self) -> int:
        """Bytes that the segments take."""
        return self._bytes

    def put(self, ids: Sequence[int], segment: Segment) -> None:
        """Keep the segment of the last tokens of `ids`."""
        key = _key(ids)
        if key in self._segments:
            return
        self._segments[key] = segment
        self._bytes += segment.size
        while self._bytes > self._most and len(self._segments) > 1:
            _, oldest = self._segments.popitem(last=False)
            self._bytes -= oldest.size

    def chain(self, ids: Sequence[int]) -> list[Segment] | None:
        """The segments that make up exactly `ids`, in order; None where one of them is not there."""
        key, end = _key(ids), len(ids)
        segments: list[Segment] = []
        while end:
            segment = self._segments.get(key[: 4 * end])
            if segment is None:
                return None
            self._segments.move_to_end(key[: 4 * end])
            segments.append(segment)
            end -= segment.count
        return segments[::-1]

    def longest(self, ids: Sequence[int], ends: Sequence[int]) -> tuple[int, list[Segment]]:
        """The longest beginning of `ids` that is kept and ends at one of the `ends`: where, and what."""
        for end in reversed(ends):
            segments = self.chain(ids[:end])
            if segments is not None:
                return end, segments
        return 0, []


def _key(ids: Sequence[int]) -> bytes:
    return np.asarray(ids, dtype=np.int32).tobytes()


@dataclass
class ExtendStep:
    """A forward pass over new tokens after kept ones.

    `stores`: keys then values of all layers, [2 * layers, texts, kv_heads, kept + new, d]; the kept ones are
    padded on the right, the new ones are written by the pass. `bias`: [texts, 1, share * new, kept + new],
    once for each of the query heads that share keys.
    """

    stores: Tensor
    bias: Tensor
    kept: int
    layer: int = 0

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Attention of the next layer. All [texts, heads, new, d]; returns [texts, new, heads, d]."""
        keys, values = self.stores[self.layer], self.stores[self.layer + len(self.stores) // 2]
        self.layer += 1
        keys[:, :, self.kept :] = key
        values[:, :, self.kept :] = value
        texts, heads, new, width = query.shape
        # Query heads that share keys are one head with more queries.
        grouped = query.reshape(texts, key.shape[1], -1, width)
        output = torch.nn.functional.scaled_dot_product_attention(
            grouped, keys, values, attn_mask=self.bias, scale=scaling
        )
        return output.view(texts, heads, new, width).transpose(1, 2)


@dataclass(frozen=True)
class Extended:
    """What a pass gave: hidden states [texts, new, hidden], and segments of the new tokens by text."""

    hidden: Tensor
    step: ExtendStep
    starts: Sequence[int]
    lengths: Sequence[int]

    def joined(self) -> tuple[list[Tensor], list[Tensor]]:
        """Kept and new keys, and values, by layer: [texts, kv_heads, tokens, d], padded on the right.

        The pass's own stores, rearranged: no segment can be had of them afterwards.
        """
        stores, kept = self.step.stores, self.step.kept
        for row, (start, length) in enumerate(zip(self.starts, self.lengths, strict=True)):
            if start < kept:
                # Shorter ones have their new tokens where their own kept ones end.
                new = stores[:, row, :, kept : kept + length].clone()
                stores[:, row, :, start : start + length] = new
        half = len(stores) // 2
        return list(stores[:half]), list(stores[half:])

    def segment(self, text: int, start: int, end: int) -> Segment:
        """The segment of a text's new tokens from `start` to `end`."""
        kept = self.step.kept
        return Segment(self.step.stores[:, text, :, kept + start : kept + end].clone())


def kept_shape(config: Any) -> tuple[int, int, int]:
    """How many layers a model has, and in each how many heads of keys and of values, and their width."""
    # Without heads of their own, keys and values have as many as queries (GPT-NeoX).
    kv_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return config.num_hidden_layers, kv_heads, width


def extend(model: Any, texts: Sequence[Sequence[int]], kept: Sequence[Sequence[Segment]]) -> Extended:
    """Read `texts` (new tokens, at least one each), each after its `kept` segments, in one pass.

    The model's attention must be that of isoflop.engines.prefix_attention. Raises nothing of its own.
    """
    device = model.device
    before = [sum(segment.count for segment in segments) for segments in kept]
    lengths = [len(ids) for ids in texts]
    new, most = max(lengths), max(before)
    layers, kv_heads, width = kept_shape(model.config)
    dtype = model.dtype
    share = model.config.num_attention_heads // kv_heads
    stores = torch.empty((2 * layers, len(texts), kv_heads, most + new, width), dtype=dtype, device=device)
    ids = torch.zeros((len(texts), new), dtype=torch.long)
    for row, (tokens, segments) in enumerate(zip(texts, kept, strict=True)):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        at = 0
        for segment in segments:
            stores[:, row, :, at : at + segment.count] = segment.data
            at += segment.count
        # What is masked must be a number all the same.
        stores[:, row, :, at:most] = 0
    starts = torch.tensor(before, device=device)
    hidden_past = torch.arange(most, device=device)[None] >= starts[:, None]
    later = torch.ones((new, new), dtype=torch.bool, device=device).triu(1)
    absent = torch.cat(
        [hidden_past[:, None].expand(-1, new, -1), later[None].expand(len(texts), -1, -1)], dim=2
    )
    bias = torch.zeros(absent.shape, dtype=dtype, device=device).masked_fill_(absent, -torch.inf)
    step = ExtendStep(stores, bias.repeat(1, share, 1)[:, None], most)
    hidden = model.base_model(
        input_ids=ids.to(device),
        position_ids=starts[:, None] + torch.arange(new, device=device)[None],
        use_cache=False,
        extend=step,
        # Ready-made, so that transformers makes none: the attention function masks by itself.
        attention_mask=torch.zeros((len(texts), 1, 1, 1), device=device),
    ).last_hidden_state
    return Extended(hidden, step, before, lengths)
