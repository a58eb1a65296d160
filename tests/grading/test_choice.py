"""Multiple choice: where a letter is stated, cases in tests/cases/answers_choice_extract.jsonl."""

import json
import string
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.grading.grader import make_grader

CASES = Path(__file__).parents[1] / "cases" / "answers_choice_extract.jsonl"
LETTERS = string.ascii_uppercase[:10]


@pytest.mark.parametrize(
    "case", [json.loads(line) for line in CASES.read_text().splitlines()], ids=lambda case: case["why"]
)
def test_extraction(case):
    assert make_grader("choice").extract(case["text"], truncated=case["truncated"]) == case["answer"]


@given(
    st.sampled_from(LETTERS),
    st.sampled_from(
        [
            "The answer is {}.", "**Answer: {}**", r"\boxed{{{}}}", r"\boxed{{\text{{({})}}}}", "({})",
            "So option {} is correct.", "Answer:\n\n{}) 12 m", "#### {}", "The correct choice is ({}).",
        ]
    ),
    st.lists(st.sampled_from(["A train leaves at 12.", "I think so.", "Let E = 3.", "(A) is small."])),
)  # fmt: skip
def test_a_statement_is_found_after_any_prose(letter, form, prose):
    text = "\n".join([*prose, form.format(letter)])
    assert make_grader("choice").extract(text) == letter


@given(st.text(alphabet="ABCabI ().,:*$\\{}\n<answer is or boxed>", max_size=60), st.booleans())
def test_what_is_found_is_a_letter_of_the_choices_whatever_the_text(text, truncated):
    grader = make_grader("choice", choices=2)
    assert grader.extract(text, truncated=truncated) in {"A", "B", None}


@given(st.sampled_from(LETTERS), st.sampled_from(LETTERS))
def test_letters_are_compared_whatever_their_dress(first, second):
    grader = make_grader("choice")
    for dressed in (second, second.lower(), f"({second})", f"{second}.", f"**{second}**"):
        assert grader.equivalent(first, dressed) is (first == second)
        assert grader.equivalent(dressed, first) is (first == second)
        assert grader.correct(first, dressed) is (first == second)
        assert grader.reference_fault(dressed) is None


def test_the_choices_bound_the_letters():
    assert make_grader("choice", choices=4).extract("The answer is E.") is None
    assert make_grader("choice", choices=5).extract("The answer is E.") == "E"
    assert make_grader("choice", choices=26).extract("The answer is Z.") == "Z"


@pytest.mark.parametrize("reference", ["0", "3", "12 m", "", "A and C", "AB", "none"])
def test_a_reference_that_is_no_letter_is_refused_with_what_to_do(reference):
    fault = make_grader("choice", choices=4).reference_fault(reference)
    assert fault is not None
    assert fault.startswith("it is no letter from A to D; write the letter of the right choice into the file")


def test_a_reference_beyond_the_choices_is_refused_with_the_number_to_set():
    assert (
        make_grader("choice", choices=4).reference_fault("E") == "it lies beyond D; set choices to 5 or more"
    )


HOSTILE = [
    "The answer is " * 7000, "answer: " * 12000, "A and " * 16000, "the answer is A and " * 5000,
    "\n" * 100000,
    "answer is" + " " * 100000, "answer: A" + " " * 100000 + "x", "answer: A" + ")" * 100000, "#### " * 20000,
    r"\boxed{" * 14000, "answer\n" * 15000, "would most likely " * 6000, "answer to " * 10000,
    "((((A" * 20000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:12])
def test_extraction_from_hostile_text_is_fast(text):
    started = time.process_time()
    for truncated in (False, True):
        assert make_grader("choice").extract(text, truncated=truncated) in {"A", None}
    assert time.process_time() - started < 4


def test_votes_are_of_letters():
    with make_grader("choice") as grader:
        classes = grader.classes(["B", "C", "B", "A"], "(b)")
    assert classes.number == {"A": 0, "B": 1, "C": 2}
    assert (classes.correct, classes.undecided) == ({"B"}, ())
