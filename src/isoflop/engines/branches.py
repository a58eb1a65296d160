"""Texts that are being written, of which requests that have drawn the same tokens share one."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from isoflop.engines.prefix_attention import DecodeState

# Unused rows are taken out once they are this share (1 in _SLACK) of all: copying has a price too.
_SLACK = 12


@dataclass
class Branch:
    """A text begun: its prompt, and the tokens that all its requests have drawn alike so far."""

    prompt: tuple[int, ...]
    tokens: list[int]


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
            branches[row] = Branch(branches[parent].prompt, branches[parent].tokens.copy())
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
