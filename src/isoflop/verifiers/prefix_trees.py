"""Texts with common beginnings as one forest of tokens, so that a forward pass reads each token once.

A pass attends to *rows*: those that are kept of earlier passes, then its own, one per new token, depth first.
So whatever descends from a row is one interval of new tokens, and that is all attention needs to know: a
token sees the rows whose intervals hold it, which are its path.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Prefix

Ints = NDArray[np.int64]
# Blocks that see about as many rows are computed together, padded to multiples of this.
_WIDTH = 32


@dataclass(frozen=True)
class Forest:
    """What one pass reads, and what sees what in it.

    Attributes
    ----------
    tokens, positions
        [new]; a position is the number of tokens before it in its text.
    kept
        How many rows are of earlier passes.
    first, last
        [kept + new]: a row is seen by the new tokens from its `first` to the one before its `last`.
    """

    tokens: Ints
    positions: Ints
    kept: int
    first: Ints
    last: Ints

    def blocks(self, size: int) -> Iterator["Blocks"]:
        """All new tokens in blocks of `size` neighbours, each with the rows that any of them sees.

        Parameters
        ----------
        size
            Tokens in a block; the last one may have fewer.
        """
        new = len(self.tokens)
        begins = np.arange(0, new, size)
        needed = (self.first < begins[:, None] + size) & (self.last > begins[:, None])
        widths = -(-needed.sum(axis=1) // _WIDTH) * _WIDTH
        for width in np.unique(widths).tolist():
            numbers = np.flatnonzero(widths == width)
            block, row = np.nonzero(needed[numbers])
            place = np.arange(len(row)) - np.searchsorted(block, block)
            rows, first, last = (np.zeros((len(numbers), width), dtype=np.int64) for _ in range(3))
            for table, values in ((rows, row), (first, self.first[row]), (last, self.last[row])):
                table[block, place] = values
            # What is missing in the last block sees what the last token does: softmax needs something.
            tokens = np.minimum(begins[numbers, None] + np.arange(size), new - 1)[:, :, None]
            yield Blocks(numbers, rows, (first[:, None] <= tokens) & (tokens < last[:, None]))


@dataclass(frozen=True)
class Blocks:
    """Blocks of neighbouring tokens that see about as many rows.

    Attributes
    ----------
    numbers
        [blocks], counted from the first token.
    rows
        [blocks, width]: the rows that tokens of a block see; unused places are row 0, unseen there.
    seen
        [blocks, tokens of a block, width].
    """

    numbers: Ints
    rows: Ints
    seen: NDArray[np.bool_]


class ForestBuilder:
    """Texts in lexicographic order, merged into one forest."""

    def __init__(self, kept: int = 0, text: Sequence[int] = (), path: Ints | None = None) -> None:
        """A forest after `kept` rows; `text`, of which `path` are the rows, is what the first begins with."""
        self._kept = kept
        self._text, self._path = text, np.zeros(0, dtype=np.int64) if path is None else path
        self._tokens: list[int] = []
        self._positions: list[int] = []
        self._texts: list[tuple[int, Ints]] = []

    @property
    def new(self) -> int:
        """How many tokens are to be read so far."""
        return len(self._tokens)

    def shared(self, ids: Sequence[int]) -> int:
        """How many tokens a text begins with that the text before it begins with too."""
        return Prefix.similarity(self._text, ids)

    def add(self, ids: Sequence[int], kept: Ints | None = None) -> Ints:
        """Merge a text.

        Parameters
        ----------
        ids
            Its tokens; texts come in lexicographic order.
        kept
            Rows of earlier passes that are its first tokens.

        Returns
        -------
        The row of every token, [tokens].
        """
        shared = self.shared(ids)
        # Rows of the text before come first: equal beginnings must be the same rows for all.
        path = self._path[:shared]
        if kept is not None and len(kept) > shared:
            path = np.concatenate([path, kept[shared:]])
        begin, start = self.new, len(path)
        self._tokens += ids[start:]
        self._positions += range(start, len(ids))
        path = np.concatenate([path, np.arange(begin, self.new) + self._kept])
        self._texts.append((begin, path))
        self._text, self._path = ids, path
        return path

    def forest(self) -> Forest:
        """All that was added."""
        rows = self._kept + self.new
        first, last = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
        ends = [begin for begin, _ in self._texts[1:]] + [self.new]
        for end, (_, path) in zip(ends, self._texts, strict=True):
            last[path] = end
        for begin, path in reversed(self._texts):
            first[path] = begin
        first[self._kept :] = np.arange(self.new)
        return Forest(np.array(self._tokens), np.array(self._positions), self._kept, first, last)
