"""Where the thoughts of a text are, and how many of its tokens they have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.grading.statements import answering
from isoflop.thinking import CLOSING, opens_thoughts, thinking_tokens, thoughts


@pytest.mark.parametrize(
    ("text", "begun", "thinking"),
    [
        ("4", False, []),
        ("<think>a</think>4", False, ["<think>a</think>"]),
        ("<think>a", False, ["<think>a"]),
        # The template opened them.
        ("a</think>4", False, ["a</think>"]),
        ("a</think>4", True, ["a</think>"]),
        ("a", True, ["a"]),
        ("", True, []),
        ("", False, []),
        # Twice, opened twice, closed twice, in other models' words.
        ("<think>a</think>b<think>c</think>d", False, ["<think>a</think>", "<think>c</think>"]),
        ("<think>a<think>b</think>c", False, ["<think>a<think>b</think>"]),
        ("<think>a</think>b</think>c", False, ["<think>a</think>"]),
        ("◁think▷a◁/think▷b", False, ["◁think▷a◁/think▷"]),
        ("[THINK]a[/THINK]b", False, ["[THINK]a[/THINK]"]),
        ("<thinking>a</thinking>b<think", False, ["<thinking>a</thinking>"]),
        ("x<think>a</think>", True, ["x<think>a</think>"]),
    ],
)
def test_thoughts(text: str, begun: bool, thinking: list[str]) -> None:
    found = [text[start:end] for start, end in thoughts(text, begun=begun) if end > start]
    assert found == thinking


@pytest.mark.parametrize(
    ("prompt", "opens"),
    [
        ("<|assistant|>\n<think>\n", True),
        ("<|assistant|><think>", True),
        ("<|assistant|>\n", False),
        # What a template writes where thinking is switched off, and a question about tags.
        ("<|assistant|>\n<think>\n\n</think>\n\n", False),
        ("Think between <think> and </think>.\n", False),
        ("Write <think> before you think.\n", False),
    ],
)
def test_a_prompt_that_opens_thoughts(prompt: str, opens: bool) -> None:
    assert opens_thoughts(prompt) == opens


PIECES = st.lists(
    st.sampled_from(["a", "b\n", "", "<think>", "</think>", "<", "think", ">", "</", "x<think>y"]),
    max_size=14,
)


@given(PIECES, st.booleans())
def test_a_token_counts_where_its_first_character_is(pieces: list[str], begun: bool) -> None:
    text = "".join(pieces)
    inside = set()
    for start, end in thoughts(text, begun=begun):
        inside |= set(range(start, end))
    expected, position, last = 0, 0, begun
    for piece in pieces:
        if piece:
            last = position in inside
        expected += last
        position += len(piece)
    assert thinking_tokens(pieces, begun=begun) == expected


@given(PIECES)
def test_what_answers_holds_no_thought(pieces: list[str]) -> None:
    text = "".join(pieces)
    answer = answering(text)
    begin = max((found.end() for found in CLOSING.finditer(text)), default=0)
    assert text.startswith(answer, begin)
    for start, end in thoughts(text):
        assert end <= begin or start >= begin + len(answer)
