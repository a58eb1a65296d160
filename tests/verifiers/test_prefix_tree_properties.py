"""Forests of tokens: nothing lost, nothing read twice, every token sees its own path and nothing else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Prefix

from isoflop.verifiers.prefix_trees import Forest, ForestBuilder, Ints

TEXTS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=1, max_size=14).map(sorted)


def grown(texts: list[list[int]]) -> tuple[Forest, list[Ints]]:
    builder = ForestBuilder()
    paths = [builder.add(text) for text in texts]
    return builder.forest(), paths


def seen_by(forest: Forest, size: int) -> dict[int, list[int]]:
    """The rows that every new token sees, by its number, as blocks have it."""
    seen: dict[int, list[int]] = {}
    for some in forest.blocks(size):
        for number, rows, flags in zip(some.numbers, some.rows, some.seen, strict=True):
            for token, own in enumerate(flags, start=int(number) * size):
                found = rows[own].tolist()
                assert len(set(found)) == len(found), "a row counted twice"
                if token < len(forest.tokens):
                    assert token not in seen, "a token in two blocks"
                    seen[token] = sorted(found)
                else:
                    assert found, "softmax over nothing"
    return seen


@given(TEXTS)
def test_every_beginning_is_read_once(texts: list[list[int]]) -> None:
    forest, paths = grown(texts)
    beginnings = {tuple(text[: end + 1]) for text in texts for end in range(len(text))}
    assert len(forest.tokens) == len(beginnings)
    for text, path in zip(texts, paths, strict=True):
        assert forest.tokens[path].tolist() == text
        assert forest.positions[path].tolist() == list(range(len(text)))


@given(TEXTS, st.integers(1, 12))
def test_a_token_sees_its_path_alone(texts: list[list[int]], size: int) -> None:
    forest, paths = grown(texts)
    seen = seen_by(forest, size)
    for path in paths:
        for end, node in enumerate(path.tolist()):
            assert seen[node] == sorted(path[: end + 1].tolist())


@given(TEXTS, TEXTS, st.integers(1, 12), st.booleans())
def test_what_is_kept_is_seen_and_not_read_again(
    before: list[list[int]], texts: list[list[int]], size: int, told: bool
) -> None:
    """Texts go on from rows of an earlier pass: its last text's, or those that each one says."""
    _, paths = grown(before)
    kept = {tuple(text): path for text, path in zip(before, paths, strict=True)}
    rows = 1 + max(int(path.max()) for path in paths)
    builder = ForestBuilder(rows) if told else ForestBuilder(rows, before[-1], paths[-1])
    held = []
    for text in texts if told else sorted(text for text in texts if text > before[-1]):
        known = [kept[tuple(text[:end])] for end in range(len(text), 0, -1) if tuple(text[:end]) in kept]
        shared = builder.shared(text)
        path = builder.add(text, known[0] if told and known else None)
        held.append((text, path))
        # What the text before has too has its rows, whatever else is kept.
        if told and known:
            assert (path[shared : len(known[0])] < rows).all()
    if not builder.new:
        return
    forest = builder.forest()
    seen = seen_by(forest, size)
    for text, path in held:
        assert len(path) == len(text)
        if not told:
            assert (path[: Prefix.similarity(before[-1], text)] < rows).all()
        for end, node in enumerate(path.tolist()):
            if node >= rows:
                assert forest.tokens[node - rows] == text[end]
                assert forest.positions[node - rows] == end
                assert seen[node - rows] == sorted(path[: end + 1].tolist())


def test_blocks_are_as_wide_as_paths_and_not_as_the_forest() -> None:
    """Two hundred solutions of one prompt: a block sees the prompt and its own solution or two."""
    rng = np.random.default_rng(0)
    texts = sorted([[7] * 40 + rng.integers(0, 6, 30).tolist() for _ in range(200)])
    forest, _ = grown(texts)
    assert len(forest.tokens) > 5000
    assert max(some.rows.shape[1] for some in forest.blocks(32)) <= 128
