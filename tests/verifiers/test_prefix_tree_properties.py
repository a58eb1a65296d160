"""Token trees: nothing lost, nothing shared that differs, limits kept."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isoflop.verifiers.prefix_trees import token_trees

SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=7), max_size=12)


@given(SEQUENCES, st.integers(1, 20))
def test_trees_hold_every_sequence_once(sequences: list[list[int]], most_nodes: int) -> None:
    trees = list(token_trees(sequences, most_nodes))
    held = [place for tree in trees for place in tree.paths]
    assert sorted(held) == list(range(len(sequences)))
    for tree in trees:
        assert len(tree.tokens) <= most_nodes or len(tree.paths) == 1
        beginnings = set()
        for place, path in tree.paths.items():
            sequence = sequences[place]
            assert tree.tokens[path].tolist() == sequence
            assert tree.depths[path].tolist() == list(range(len(sequence)))
            assert tree.parents[path].tolist() == [-1, *path[:-1].tolist()]
            beginnings |= {tuple(sequence[: end + 1]) for end in range(len(sequence))}
        assert len(tree.tokens) == len(beginnings)


@given(SEQUENCES)
def test_a_node_sees_its_path_alone(sequences: list[list[int]]) -> None:
    for tree in token_trees(sequences, 10):
        seen = tree.ancestors()
        for path in tree.paths.values():
            for end, node in enumerate(path):
                assert np.flatnonzero(seen[node]).tolist() == sorted(path[: end + 1].tolist())
