"""Attention for decoding many continuations of the same prompts, without repeating the prompts.

The keys and values of a prompt are kept once for all its continuations (its *group*), so attention
over the prompt is one matrix product per group; only what a continuation has written itself is kept
per row. Plugs into any transformers model that uses the common attention interface.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NAME = "isoflop_shared_prefix"
# Unused rows are taken out once they are this share (1 in _SLACK) of all: copying has a price too.
_SLACK = 12


@dataclass
class Recorder:
    """Collects the keys and values of a forward pass over whole prompts, one entry per layer."""

    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)


class DecodeState:
    """Keys and values of the active rows, by layer, and where each row stands.

    Layout per layer: prompts [groups, kv_heads, prompt_length, head_dim], padded on the right;
    own tokens [rows or more, kv_heads, own_length, head_dim].
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.prompt_keys: list[Tensor] = []
        self.prompt_values: list[Tensor] = []
        self.own_keys: list[Tensor] = []
        self.own_values: list[Tensor] = []
        self.prompt_lengths = torch.zeros(0, dtype=torch.long, device=device)
        self.own_lengths = torch.zeros(0, dtype=torch.long, device=device)
        self.group_of_row = torch.zeros(0, dtype=torch.long, device=device)

    @property
    def rows(self) -> int:
        """Number of active rows."""
        return len(self.group_of_row)

    def admit(self, recorder: Recorder, prompt_lengths: Sequence[int]) -> None:
        """Add a group with one row for each recorded prompt."""
        lengths = torch.tensor(prompt_lengths, device=self.device)
        groups = torch.arange(len(lengths), device=self.device) + len(self.prompt_lengths)
        if not self.prompt_keys:
            self.prompt_keys, self.prompt_values = list(recorder.keys), list(recorder.values)
            self.own_keys = [_empty_rows(keys) for keys in recorder.keys]
            self.own_values = [_empty_rows(values) for values in recorder.values]
        else:
            for store, new in ((self.prompt_keys, recorder.keys), (self.prompt_values, recorder.values)):
                for layer, (old, added) in enumerate(zip(store, new, strict=True)):
                    width = max(old.shape[2], added.shape[2])
                    store[layer] = torch.cat([_widen(old, width), _widen(added, width)])
        self.prompt_lengths = torch.cat([self.prompt_lengths, lengths])
        self._resize(self.rows + len(lengths))
        self.group_of_row[-len(lengths) :] = groups
        self.own_lengths[-len(lengths) :] = 0

    def fork(self, sources: Tensor, targets: Tensor, rows: int) -> None:
        """Make rows `targets` copies of rows `sources`; there are `rows` rows then, old and new."""
        self._resize(rows)
        width = int(self.own_lengths[sources].max())
        for store in (self.own_keys, self.own_values):
            for layer in store:
                layer[targets, :, :width] = layer[sources, :, :width]
        self.own_lengths[targets] = self.own_lengths[sources]
        self.group_of_row[targets] = self.group_of_row[sources]

    def _resize(self, rows: int) -> None:
        """Room for `rows` rows; the caller says what is in the new ones."""
        added = rows - self.rows
        self.group_of_row = torch.nn.functional.pad(self.group_of_row, (0, added))
        self.own_lengths = torch.nn.functional.pad(self.own_lengths, (0, added))
        if rows > len(self.own_keys[0]):
            # A third more than needed, or every fork would copy the store.
            more = rows + rows // 3 - len(self.own_keys[0])
            for store in (self.own_keys, self.own_values):
                for layer, old in enumerate(store):
                    store[layer] = torch.cat([old, old.new_zeros(more, *old.shape[1:])])

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but `rows`, and the groups that have none left."""
        groups, self.group_of_row = torch.unique(self.group_of_row[rows], return_inverse=True)
        self.own_lengths = self.own_lengths[rows]
        # Room to grow is kept, or every step would copy the store to widen it by one.
        own_width = _room(int(self.own_lengths.max()) + 1)
        all_groups = len(groups) == len(self.prompt_lengths)
        self.prompt_lengths = self.prompt_lengths[groups]
        prompt_width = int(self.prompt_lengths.max())
        for store in (self.own_keys, self.own_values):
            for layer, old in enumerate(store):
                store[layer] = old[:, :, :own_width].index_select(0, rows)
        if not all_groups:
            for store in (self.prompt_keys, self.prompt_values):
                for layer, old in enumerate(store):
                    store[layer] = old[:, :, :prompt_width].index_select(0, groups)

    def begin_step(self) -> "DecodeStep":
        """Prepare one decoding step for all rows: room, masks and the grouped layout."""
        needed = int(self.own_lengths.max()) + 1
        if needed > self.own_keys[0].shape[2]:
            width = _room(needed)
            for store in (self.own_keys, self.own_values):
                for layer, old in enumerate(store):
                    store[layer] = _widen(old, width)
        groups = len(self.prompt_lengths)
        counts = torch.bincount(self.group_of_row, minlength=groups)
        starts = counts.cumsum(0) - counts
        place_in_group = torch.empty_like(self.group_of_row)
        in_order = torch.argsort(self.group_of_row, stable=True)
        place_in_group[in_order] = (
            torch.arange(self.rows, device=self.device) - starts[self.group_of_row[in_order]]
        )
        most = int(counts.max())
        prompt_width = self.prompt_keys[0].shape[2]
        absent = torch.arange(prompt_width, device=self.device)[None] >= self.prompt_lengths[:, None]
        # All the room is read: products of dense keys are up to six times as fast as of a part of them.
        room = self.own_keys[0].shape[2]
        later = torch.arange(room, device=self.device)[None] > self.own_lengths[:, None]
        return DecodeStep(
            state=self,
            grouped_place=self.group_of_row * most + place_in_group,
            most=most,
            prompt_bias=self._bias(absent)[:, None, None, :] if bool(absent.any()) else None,
            own_bias=self._bias(later)[:, None, None, :],
            row_index=torch.arange(self.rows, device=self.device),
        )

    def _bias(self, absent: Tensor) -> Tensor:
        zeros = torch.zeros(absent.shape, dtype=self.own_keys[0].dtype, device=self.device)
        return zeros.masked_fill_(absent, -torch.inf)

    def end_step(self) -> None:
        """Every row has written one more token."""
        self.own_lengths += 1


@dataclass(frozen=True)
class DecodeStep:
    """One decoding step: the state, and index tensors that all layers share."""

    state: DecodeState
    grouped_place: Tensor
    most: int
    prompt_bias: Tensor | None
    own_bias: Tensor
    row_index: Tensor

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Attention of one new token per row. query [rows, heads, 1, d]; returns [rows, 1, heads, d]."""
        state = self.state
        rows, heads, _, width = query.shape
        kv_heads = key.shape[1]
        share = heads // kv_heads
        own_keys, own_values = state.own_keys[layer][:rows], state.own_values[layer][:rows]
        own_keys[self.row_index, :, state.own_lengths] = key[:, :, 0]
        own_values[self.row_index, :, state.own_lengths] = value[:, :, 0]
        query = (query * scaling).view(rows, kv_heads, share, width)
        groups = len(state.prompt_lengths)

        grouped = query.new_zeros(groups * self.most, kv_heads, share, width)
        grouped[self.grouped_place] = query
        grouped = grouped.view(groups, self.most, kv_heads, share, width).transpose(1, 2)
        grouped = grouped.reshape(groups, kv_heads, self.most * share, width)
        prompt_scores = grouped @ state.prompt_keys[layer].transpose(2, 3)
        if self.prompt_bias is not None:
            prompt_scores += self.prompt_bias
        prompt_scores = self._by_row(prompt_scores, kv_heads, share)

        own_scores = query @ own_keys.transpose(2, 3)
        own_scores += self.own_bias
        weights = torch.softmax(torch.cat([prompt_scores, own_scores], dim=-1), dim=-1)
        prompt_width = prompt_scores.shape[-1]
        prompt_weights, own_weights = weights[..., :prompt_width], weights[..., prompt_width:]

        spread = weights.new_zeros(groups * self.most, kv_heads, share, prompt_weights.shape[-1])
        spread[self.grouped_place] = prompt_weights
        spread = spread.view(groups, self.most, kv_heads, share, -1).transpose(1, 2)
        spread = spread.reshape(groups, kv_heads, self.most * share, -1)
        output = self._by_row(spread @ state.prompt_values[layer], kv_heads, share)
        output = output + own_weights @ own_values
        return output.reshape(rows, 1, heads, width)

    def _by_row(self, grouped: Tensor, kv_heads: int, share: int) -> Tensor:
        """[groups, kv_heads, most * share, x] -> [rows, kv_heads, share, x]."""
        groups, last = grouped.shape[0], grouped.shape[-1]
        split = grouped.view(groups, kv_heads, self.most, share, last).transpose(1, 2)
        return split.reshape(groups * self.most, kv_heads, share, last).index_select(0, self.grouped_place)


class UncommonAttentionError(Exception):
    """A model asks for more than the attention of this module: says what."""


class Reads(Protocol):
    """A pass over new tokens that says itself what each one sees, layer by layer."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Attention of the next layer. All [texts, heads, new, d]; returns [texts, new, heads, d]."""
        ...


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    decode: DecodeStep | None = None,
    recorder: Recorder | None = None,
    extend: Reads | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The attention function: a decoding step, a pass that says what it sees, or a causal one over texts.

    Raises UncommonAttentionError where scores are to be capped or to compete with a sink.
    """
    if softcap is not None or s_aux is not None:
        raise UncommonAttentionError("capped scores" if s_aux is None else "sinks")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if extend is not None:
        return extend.attend(query, key, value, scale), None
    if decode is not None:
        return decode.attend(module.layer_idx, query, key, value, scale), None
    if recorder is not None:
        recorder.keys.append(key)
        recorder.values.append(value)
    share = query.shape[1] // key.shape[1]
    if share > 1:
        key, value = key.repeat_interleave(share, dim=1), value.repeat_interleave(share, dim=1)
    # Prompts are padded on the right, so a causal mask alone hides the padding from every real token.
    output = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
    return output.transpose(1, 2), None


def _widen(store: Tensor, width: int) -> Tensor:
    if store.shape[2] >= width:
        return store
    return torch.nn.functional.pad(store, (0, 0, 0, width - store.shape[2]))


def _room(length: int) -> int:
    """The next multiple of 32; 16 where that is enough."""
    return 16 if length <= 16 else -(-length // 32) * 32


def _empty_rows(like: Tensor) -> Tensor:
    return like.new_zeros(0, like.shape[1], 16, like.shape[3])


@dataclass
class Branch:
    """A text in progress: its prompt, and the tokens that all its requests have drawn alike so far.

    `read`: up to where it was read in float64 (isoflop.engines.decoding.exact), in rising order.
    """

    prompt: tuple[int, ...]
    tokens: list[int]
    read: list[int] = field(default_factory=list)

    def copied(self) -> "Branch":
        """The same text, to go on otherwise."""
        return Branch(self.prompt, self.tokens.copy(), self.read.copy())


def branch_out(
    state: DecodeState, branches: list[Branch], row_of: NDArray[np.int64], tokens: NDArray[np.int64]
) -> tuple[list[Branch], NDArray[np.int64], NDArray[np.int64]]:
    """Append each request's token: one row per distinct text, in `state` as in the returned branches.

    `row_of` and `tokens` are by request. Also returns the last token by row and the new `row_of`.
    """
    pairs, where = np.unique((row_of << 32) | tokens, return_inverse=True)
    parents, drawn = pairs >> 32, pairs & 0xFFFFFFFF
    is_fork = np.concatenate([[False], parents[1:] == parents[:-1]])
    forks = np.flatnonzero(is_fork)
    unused = np.setdiff1d(np.arange(len(branches)), parents)[: len(forks)]
    added = len(forks) - len(unused)
    rows = parents.copy()
    rows[forks] = np.concatenate([unused, np.arange(len(branches), len(branches) + added)])
    if len(forks):
        state.fork(torch.from_numpy(parents[forks]), torch.from_numpy(rows[forks]), len(branches) + added)
        branches = branches + [branches[0]] * added
        for parent, row in zip(parents[forks], rows[forks], strict=True):
            branches[row] = branches[parent].copied()
    last = np.zeros(len(branches), dtype=np.int64)
    last[rows] = drawn
    for row, token in zip(rows.tolist(), drawn.tolist(), strict=True):
        branches[row].tokens.append(token)
    row_of = rows[where]
    if len(branches) - len(rows) > max(4, len(branches) // _SLACK):
        kept = np.sort(rows)
        state.keep(torch.from_numpy(kept).to(state.device))
        return [branches[row] for row in kept], last[kept], np.searchsorted(kept, row_of)
    return branches, last, row_of
