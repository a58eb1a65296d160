"""The generated data set: what it promises, checked through an independent reading of the text."""

import hashlib
import re

import pytest

from isoflop.data.word_problems import (
    LARGEST,
    SPLITS,
    generate_problems,
    holdings,
    needed_facts,
    read_facts,
    true_steps,
    vocabulary,
)
from isoflop.errors import UserError
from isoflop.specs import PROBLEMS_VERSION


@pytest.mark.parametrize("split", SPLITS)
def test_reference_solutions_follow_from_the_text(split: str) -> None:
    for problem in generate_problems(split, 250, seed=3):
        facts, asked = read_facts(problem.prompt)
        values = holdings(facts)
        assert str(values[asked]) == problem.answer
        assert all(1 <= value <= LARGEST for value in values.values())
        steps = problem.solution.splitlines()
        assert len(steps) == problem.level + 1
        assert true_steps(problem.prompt, steps) == [True] * len(steps)
        # Without other lines, what each step computes is nothing more than the answer needs.
        needed = needed_facts({fact.person: fact for fact in facts}, asked)
        assert len(needed) == problem.level


def test_most_problems_have_distractors() -> None:
    problems = generate_problems("dev", 300, seed=4)
    sentences = [problem.prompt.count(".") for problem in problems]
    told = [len(read_facts(problem.prompt)[0]) for problem in problems]
    distractors = [total - facts for total, facts in zip(sentences, told, strict=True)]
    assert set(distractors) == {0, 1, 2}
    assert sum(count > 0 for count in distractors) > 0.6 * len(problems)


def test_levels_come_in_turn_and_prefixes_agree() -> None:
    long = generate_problems("dev", 40, seed=7, levels=(2, 5))
    assert [problem.level for problem in long] == [2, 5] * 20
    assert generate_problems("dev", 10, seed=7, levels=(2, 5)) == long[:10]
    assert len({problem.prompt for problem in long}) == 40
    assert long != generate_problems("dev", 40, seed=8, levels=(2, 5))


def shape(prompt: str) -> tuple[str, ...]:
    """The prompt with people numbered by first appearance, and asides about other things left out."""
    facts, asked = read_facts(prompt)
    places = {fact.person: str(place) for place, fact in enumerate(facts)}
    told = [f"{fact.kind}{fact.number}{[places[other] for other in fact.others]}" for fact in facts]
    return (*told, places[asked])


def test_splits_share_no_structure_whatever_the_names() -> None:
    shapes = {
        split: {shape(problem.prompt) for problem in generate_problems(split, size, seed=1, levels=(1,))}
        for split, size in (("train", 3000), ("dev", 400), ("test", 400))
    }
    assert not shapes["train"] & shapes["test"]
    assert not shapes["train"] & shapes["dev"]
    assert not shapes["dev"] & shapes["test"]


PROMPT = (
    "Mia has 14 apples. Ana has 3 pears. Compared with Mia, Tom has 6 more apples. Tom also has 9 pears. "
    "Compared with Tom, Leo has twice as many apples. How many apples does Leo have?"
)
TOM = "Compared with Mia, Tom has 6 more apples"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([f"{TOM}: 14 + 6 = 20.\n", "Compared with Tom, Leo has twice as many apples: 20 * 2 = 40.\n",
          "The answer is 40.\n"], [True, True, True]),
        ([f"Mia has 14 apples. {TOM}: 14 + 6 = 20.\n"], [True]),
        ([f"Mia has 41 apples. {TOM}: 41 + 6 = 47.\n"], [False]),
        ([f"{TOM}: 14 + 6 = 21.\n", "The answer is 40.\n"], [False, False]),
        ([f"{TOM}: 15 + 6 = 21.\n"], [False]),
        ([f"{TOM}: 14 + 6 = 20.\n", "The answer is 20.\n"], [True, False]),
        (["Compared with Mia, Leo has 6 more apples: 14 + 6 = 20.\n"], [False]),
        ([f"{TOM}: 14 + 6 = 2"], [False]),
        (["Compared with Mia, Bob has 6 more apples: 14 + 6 = 20.\n"], [False]),
        ([""], [False]),
    ],
)  # fmt: skip
def test_true_steps(steps: list[str], expected: list[bool]) -> None:
    assert true_steps(PROMPT, steps) == expected


def test_read_facts_leaves_asides_out() -> None:
    facts, asked = read_facts(PROMPT)
    assert asked == "Leo"
    assert [(fact.person, fact.kind) for fact in facts] == [
        ("Mia", "given"),
        ("Tom", "more"),
        ("Leo", "times"),
    ]


def test_the_vocabulary_covers_every_text() -> None:
    pieces = set(vocabulary())
    for problem in generate_problems("train", 300, seed=2):
        text = f"{problem.prompt}\n{problem.solution}"
        for piece in re.findall(r"\n| ?[A-Za-z]+| ?\d| ?[^\sA-Za-z\d]", re.sub(r"(?m)^", " ", text.strip())):
            assert piece in pieces


@pytest.mark.parametrize(("split", "levels"), [("validation", (1,)), ("test", (6,)), ("test", ())])
def test_bad_requests_are_refused(split: str, levels: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="wordproblems"):
        generate_problems(split, 5, seed=1, levels=levels)


def test_what_is_generated_changes_only_with_its_version() -> None:
    """Whoever changes the generator raises PROBLEMS_VERSION, or old problems would meet new solutions."""
    problems = [problem for split in SPLITS for problem in generate_problems(split, 40, seed=11)]
    digest = hashlib.sha256(repr(problems).encode()).hexdigest()[:16]
    assert (PROBLEMS_VERSION, digest) == (2, "05388f680c293998")
