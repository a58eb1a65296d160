"""Sequences with common beginnings as trees of tokens, so that one forward pass reads each token once.

A tree is one sequence for the model: every node is a token, whose position is its depth and whose
context is its path from the root. Attention needs the mask that `TokenTree.ancestors` gives.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Prefix


@dataclass(frozen=True)
class TokenTree:
    """Some of the sequences of a list, merged. Nodes come after their parents.

    tokens, depths, parents: [nodes]; a root has depth 0 and parent -1. `paths` holds, by the number of
    a sequence in the list, the nodes that are its tokens.
    """

    tokens: NDArray[np.int64]
    depths: NDArray[np.int64]
    parents: NDArray[np.int64]
    paths: dict[int, NDArray[np.int64]]

    def ancestors(self) -> NDArray[np.bool_]:
        """[nodes, nodes]: whether the column's node is the row's node or on the path to it."""
        seen = np.eye(len(self.tokens), dtype=np.bool_)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen


def token_trees(sequences: Sequence[Sequence[int]], most_nodes: int) -> Iterator[TokenTree]:
    """Every sequence in one tree or another, each tree of `most_nodes` at most, or of one sequence alone."""
    order = sorted(range(len(sequences)), key=lambda place: tuple(sequences[place]))
    tokens, depths, parents = list[int](), list[int](), list[int]()
    paths: dict[int, NDArray[np.int64]] = {}
    path: list[int] = []

    def tree() -> TokenTree:
        return TokenTree(np.array(tokens), np.array(depths), np.array(parents), dict(paths))

    previous: Sequence[int] = ()
    for place in order:
        sequence = sequences[place]
        shared = Prefix.similarity(previous, sequence)
        if paths and len(tokens) + len(sequence) - shared > most_nodes:
            yield tree()
            tokens, depths, parents, paths, shared = [], [], [], {}, 0
        path = path[:shared]
        for depth in range(shared, len(sequence)):
            parents.append(path[-1] if path else -1)
            path.append(len(tokens))
            tokens.append(sequence[depth])
            depths.append(depth)
        paths[place] = np.array(path, dtype=np.int64)
        previous = sequence
    if paths:
        yield tree()
