"""Where steps end, and which tokens they have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.engines.steps import split_steps, tokens_per_step


@pytest.mark.parametrize(
    ("text", "separator", "steps"),
    [
        ("a\nb\n", "\n", ["a\n", "b\n"]),
        ("a\nb", "\n", ["a\n", "b"]),
        ("", "\n", [""]),
        ("\n\n", "\n", ["\n\n"]),
        ("a\n\n\nb\n", "\n", ["a\n\n\n", "b\n"]),
        ("\na\n", "\n", ["\na\n"]),
        ("## Step 1\nx\n\n## Step 2\ny", "\n\n", ["## Step 1\nx\n\n", "## Step 2\ny"]),
        ("a\n\n", "\n\n", ["a\n\n"]),
        ("a\r\n\r\nb\r\nc\n\nd", "\n\n", ["a\r\n\r\n", "b\r\nc\n\n", "d"]),
        ("a\r\nb", "\n", ["a\r\n", "b"]),
    ],
)
def test_split_steps(text: str, separator: str, steps: list[str]) -> None:
    assert split_steps(text, separator) == steps


@given(st.text(alphabet="ab \r\n", max_size=30), st.sampled_from(["\n", "\n\n"]))
def test_steps_are_the_text_and_none_is_blank(text: str, separator: str) -> None:
    steps = split_steps(text, separator)
    assert "".join(steps) == text
    assert all(step.strip() for step in steps) or len(steps) == 1


@given(st.lists(st.text(alphabet="ab\n", min_size=1, max_size=4), max_size=12), st.booleans())
def test_every_token_is_in_the_step_of_its_first_character(pieces: list[str], stopped: bool) -> None:
    steps = split_steps("".join(pieces), "\n")
    counts = tokens_per_step([*pieces, ""] if stopped else pieces, steps, "\n")
    expected = [0] * len(steps)
    position = 0
    for piece in pieces:
        ends = [sum(map(len, steps[: place + 1])) for place in range(len(steps))]
        expected[next(place for place, end in enumerate(ends) if position < end)] += 1
        position += len(piece)
    assert sum(counts) == len(pieces) + stopped
    if not stopped:
        assert counts == expected


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "b.", ".", "c\n", "x. y"])), max_size=12))
def test_pieces_without_their_spaces_are_in_the_same_steps(words: list[tuple[bool, str]]) -> None:
    """Some tokenizers leave the space before a word out of its piece: ". " is in the text alone."""
    whole = [" " * (spaced and place > 0) + word for place, (spaced, word) in enumerate(words)]
    text = "".join(whole)
    steps = split_steps(text, ". ")
    counts = tokens_per_step([word for _, word in words], steps, ". ")
    assert sum(counts) == len(words)
    if len(split_steps("".join(word for _, word in words), ". ")) != len(steps):
        assert counts == tokens_per_step(whole, steps, ". ")
