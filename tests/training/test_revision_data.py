"""What a revision model learns from, and how attempts are shown to whoever revises or judges."""

from collections import Counter
from itertools import pairwise

import pytest
from pydantic import ValidationError
from rapidfuzz.distance import Levenshtein

from isoflop.config.generators import AttemptTexts, Revisions
from isoflop.search.revision_texts import with_attempts
from isoflop.training.revision_data import build_trajectories

RIGHT = ["The answer is 90.", "The answer is 90"]
WRONG = ["The answer is 91.", "The answer is 17.", "Who knows?", "Three or four.", "The answer is 90 91."]


def test_the_last_wrong_answer_is_the_nearest_and_none_comes_twice() -> None:
    for seed in range(60):
        for one in build_trajectories(RIGHT, WRONG, most_wrong=4, most=None, seed=seed):
            assert len(set(one.attempts)) == len(one.attempts) <= 4
            assert set(one.attempts) <= set(WRONG)
            if one.attempts:
                nearest = min(Levenshtein.distance(wrong, one.right) for wrong in WRONG)
                assert Levenshtein.distance(one.attempts[-1], one.right) == nearest


def test_their_number_is_uniform_as_far_as_there_are_any() -> None:
    counts = Counter(
        len(one.attempts)
        for seed in range(2000)
        for one in build_trajectories(RIGHT[:1], WRONG, most_wrong=4, most=None, seed=seed)
    )
    assert set(counts) == {0, 1, 2, 3, 4}
    # Five standard deviations of a count of 2,000 with probability 1/5.
    assert all(abs(count - 400) < 90 for count in counts.values())
    capped = Counter(
        len(one.attempts)
        for seed in range(1000)
        for one in build_trajectories(RIGHT[:1], WRONG[:2], most_wrong=4, most=None, seed=seed)
    )
    assert set(capped) == {0, 1, 2}
    assert capped[2] > 2 * capped[1]


def test_the_others_are_random() -> None:
    firsts = Counter(
        one.attempts[0]
        for seed in range(600)
        for one in build_trajectories(RIGHT[:1], WRONG, most_wrong=4, most=None, seed=seed)
        if len(one.attempts) > 1
    )
    assert set(firsts) == set(WRONG) - {"The answer is 91."}
    assert max(firsts.values()) < 1.6 * min(firsts.values())


def test_attempts_as_sampled_are_any_other_samples() -> None:
    right = [f"right {number}" for number in range(4)]
    shown: Counter[str] = Counter()
    for seed in range(400):
        for one in build_trajectories(right, WRONG[:4], most_wrong=4, most=1, seed=seed, as_sampled=1.0):
            assert one.right not in one.attempts
            assert len(set(one.attempts)) == len(one.attempts)
            shown.update(one.attempts)
    # Three of the seven others are right.
    assert sum(shown[text] for text in right) / shown.total() == pytest.approx(3 / 7, abs=0.06)
    half = [
        one
        for seed in range(400)
        for one in build_trajectories(right, WRONG[:4], most_wrong=4, most=1, seed=seed, as_sampled=0.5)
    ]
    with_right = sum(any(text in right for text in one.attempts) for one in half)
    assert 0.2 < with_right / len(half) < 0.45


def test_no_right_answer_no_trajectory_and_no_wrong_one_a_bare_one() -> None:
    assert build_trajectories([], WRONG, most_wrong=4, most=None, seed=1) == []
    assert [one.attempts for one in build_trajectories(RIGHT, [], most_wrong=4, most=None, seed=1)] == [
        (),
        (),
    ]
    assert len(build_trajectories(RIGHT, WRONG, most_wrong=4, most=1, seed=1)) == 1
    assert build_trajectories(RIGHT, WRONG, most_wrong=4, most=2, seed=5) == build_trajectories(
        RIGHT, WRONG, most_wrong=4, most=2, seed=5
    )


def test_the_latest_attempts_are_shown_the_earliest_first() -> None:
    texts = AttemptTexts()
    assert with_attempts(texts, "How many?", [], 4) == "How many?"
    assert with_attempts(texts, "How many?", ["a\n", "b {x}\n", "c"], 2) == "How many?\n\nb {x}\n\nc\n"
    assert with_attempts(texts, "How many?", ["a"], 0) == "How many?"
    own = AttemptTexts(asked="{attempts}Now solve: {problem}", attempt="<old>{attempt}</old>")
    assert with_attempts(own, "1 + 1", ["2"], 4) == "<old>2</old>Now solve: 1 + 1"


@pytest.mark.parametrize(
    "texts",
    [
        {"asked": "{problem}"},
        {"asked": "{problem}{attempts}{attempts}"},
        {"asked": "{problem} {attempts} {x}"},
        {"attempt": "{}"},
        {"attempt": "{attempt} {problem}"},
        {"attempt": "{"},
    ],
)
def test_templates_without_what_they_are_for_are_refused(texts: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        AttemptTexts(**texts)


GRIDS = {
    "powers of two": ({"chains": 4, "length": 4}, {1: (1, 2, 4), 2: (2, 4, 8), 4: (4, 8, 16)}, (4, 4, 4, 4)),
    "a length between": ({"chains": 2, "length": 3}, {1: (1, 2), 2: (2, 4), 3: (3, 6)}, (3, 3)),
    "a largest number": (
        {"chains": 8, "length": 4, "largest": 8},
        {1: (1, 2, 4, 8), 2: (2, 4, 8), 4: (4, 8)},
        (4, 4, 2, 2, 1, 1, 1, 1),
    ),
    "lengths": ({"chains": 3, "length": 6, "lengths": (1, 6)}, {1: (1, 2), 6: (6, 12)}, (6, 6, 6)),
    "one answer": ({"chains": 2, "length": 1}, {1: (1, 2)}, (1, 1)),
}


@pytest.mark.parametrize("name", GRIDS)
def test_the_grid_of_parallel_and_sequential_answers(name: str) -> None:
    settings, budgets, lengths = GRIDS[name]
    entry = Revisions(kind="revisions", max_tokens=8, **settings)
    assert {length: entry.budgets(length) for length in entry.compared} == budgets
    assert entry.chain_lengths == lengths
    for length in entry.compared:
        assert sum(one >= length for one in lengths) == entry.parallel(length)
    assert all(longer >= shorter for longer, shorter in pairwise(lengths))
