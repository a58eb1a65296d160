"""Public graders: Math-Verify's own test pairs; every disagreement is a decision in docs/design/grading.md.

The pairs are what its tests (huggingface/Math-Verify at 5d148cf) compare: a reference, and the answer of a
text as this grader finds it, or its last formula where the text states none.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

from isoflop.grading.graders.math import MathGrader

ROOT = Path(__file__).parents[2]
PAIRS = [
    json.loads(line)
    for line in (ROOT / "tests" / "cases" / "answers_math_verify.jsonl").read_text().splitlines()
]


@pytest.fixture(scope="module")
def math():
    with MathGrader() as grader:
        yield grader


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["source"])
def test_a_pair_of_math_verify_is_decided_as_there_or_as_the_docs_say(math, pair):
    agrees = pair["decision"] is None
    assert (math.equivalent(pair["answer"], pair["reference"]) is True) is (pair["expected"] is agrees)


def test_every_decision_is_in_the_docs_with_its_number():
    page = (ROOT / "docs" / "design" / "grading.md").read_text()
    decisions = Counter(pair["decision"] for pair in PAIRS if pair["decision"])
    for decision, number in decisions.items():
        assert f"| {decision} | {number} |" in page
    agreed = sum(pair["decision"] is None for pair in PAIRS)
    assert f"{agreed} of {len(PAIRS)}" in page
