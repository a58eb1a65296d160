"""Pairs of sizes: inside a family, next sizes only, whatever the order of the policies."""

import pytest

from isoflop.families import next_sizes


@pytest.mark.parametrize(
    ("parameters", "families", "pairs"),
    [
        ({"a": 1, "b": 2, "c": 3}, {}, [("a", "b"), ("b", "c")]),
        ({"c": 3, "a": 1, "b": 2}, {}, [("a", "b"), ("b", "c")]),
        ({"a": 1, "b": 2}, {"a": "x", "b": "y"}, []),
        ({"a": 1, "b": 2, "c": 3}, {"a": "x", "c": "x"}, [("a", "c")]),
        # Two models of one size are compared with the next size, not with one another.
        ({"a": 1, "tuned": 1, "b": 2}, {}, [("a", "b"), ("tuned", "b")]),
        ({"a": 1}, {}, []),
    ],
)
def test_next_sizes(
    parameters: dict[str, int], families: dict[str, str], pairs: list[tuple[str, str]]
) -> None:
    assert next_sizes(parameters, families) == pairs
