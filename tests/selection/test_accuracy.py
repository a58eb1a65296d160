"""`accuracy_at_k` against the mean over every subset, by the definition."""

from collections import defaultdict
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from isoflop.selection import accuracy_at_k

BUDGETS = (1, 2, 3, 5)


def picked(subset: list[tuple[str | None, bool, float]], selector: str) -> float:
    """The share of the credit that picking one answer of a subset earns."""
    if selector == "pass":
        return float(any(right for _, right, _ in subset))
    if selector == "best_of_n":
        best = [right for _, right, score in subset if score == max(one[2] for one in subset)]
        return float(np.mean(best))
    votes: dict[str, float] = defaultdict(float)
    for answer, _, score in subset:
        if answer is not None:
            votes[answer] += score if selector == "weighted" else 1.0
    verdict = {answer: right for answer, right, _ in subset}
    top = [verdict[answer] for answer, count in votes.items() if np.isclose(count, max(votes.values()))]
    return float(np.mean(top)) if top else 0.0


@pytest.mark.parametrize("selector", ["majority", "weighted", "best_of_n", "pass"])
def test_it_is_the_mean_over_all_subsets(selector: Any) -> None:
    generator = np.random.default_rng(3)
    names = [None, "a", "b", "right"]
    answers = [[names[one] for one in row] for row in generator.integers(0, 4, size=(6, 5))]
    correct = np.array([[one == "right" for one in row] for row in answers])
    scores = generator.integers(1, 5, size=(6, 5)) / 4.0
    found = accuracy_at_k(answers, correct, scores, budgets=BUDGETS, selector=selector)
    pools = [list(zip(*row, strict=True)) for row in zip(answers, correct, scores, strict=True)]
    wanted = [
        np.mean([np.mean([picked(list(one), selector) for one in combinations(pool, k)]) for pool in pools])
        for k in BUDGETS
    ]
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_large_pools_of_weighted_votes_are_the_same_for_the_same_seed() -> None:
    generator = np.random.default_rng(1)
    answers = generator.integers(0, 6, size=(3, 40)).tolist()
    correct = np.array(answers) == 0
    scores = generator.random((3, 40))
    first, again, other = (
        accuracy_at_k(answers, correct, scores, budgets=[8], selector="weighted", seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first == pytest.approx(other, abs=0.005)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"answers": [["a"]]}, "must be \\[problems, candidates\\]"),
        ({"correct": [1, 0]}, "must be \\[problems, candidates\\]"),
        ({"budgets": [3]}, "must rise within pools of 2 answers"),
        ({"budgets": [2, 1]}, "must rise"),
        ({"budgets": []}, "must rise"),
        ({"selector": "weighted"}, "needs scores of shape \\(1, 2\\)"),
        ({"selector": "best_of_n", "scores": [1.0, 2.0]}, "needs scores of shape"),
        ({"selector": "vote"}, "selector 'vote' is unknown"),
        ({"answers": [["a", "a"]]}, "all right or all wrong"),
        ({"answers": [[None, "a"]]}, "and None wrong"),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments: dict[str, Any], says: str) -> None:
    usual: dict[str, Any] = {"answers": [["a", "b"]], "correct": [[1, 0]], "budgets": [1]}
    with pytest.raises(ValueError, match=says):
        accuracy_at_k(**(usual | arguments))
