"""Step labels from rollouts, and the yardstick for verifiers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.errors import UserError
from isoflop.training.metrics import step_auc
from isoflop.training.step_labels import (
    Written,
    continuations,
    distinct_solutions,
    open_prefixes,
    soft_labels,
)


def test_labels_are_shares_of_rollouts_and_the_end_is_graded() -> None:
    right = Written("p", "small", ("a\n", "b\n", "c\n"), True, (2, 2, 3))
    wrong = Written("p", "large", ("a\n", "x\n"), False, (4, 1))
    assert open_prefixes([right, wrong]) == {("p", "a\n"): 4, ("p", "a\nb\n"): 4}
    shares = {("p", "a\n"): 0.75, ("p", "a\nb\n"): 1.0}
    assert soft_labels(right, shares) == [0.75, 1.0, 1.0]
    assert soft_labels(wrong, shares) == [0.75, 0.0]


def test_the_completer_s_own_solutions_are_rollouts() -> None:
    solutions = [
        Written("p", "completer", ("a\n", "b\n"), True, (2, 2)),
        Written("p", "completer", ("a\n", "b\n"), True, (2, 2)),
        Written("p", "completer", ("a\n", "x\n", "y\n"), False, (2, 2, 1)),
        Written("p", "other", ("a\n", "z\n"), False, (2, 2)),
        Written("q", "completer", ("a\n",), True, (2,)),
    ]
    assert continuations(solutions, "completer") == {
        ("p", "a\n"): [True, True, False],
        ("p", "a\nx\n"): [False],
    }


def test_repetitions_count_once_per_policy() -> None:
    one = Written("p", "small", ("a\n",), True, (2,))
    other = Written("p", "large", ("a\n",), True, (2,))
    assert distinct_solutions([one, one, other]) == [one, other]


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=20))
def test_auc_is_the_share_of_ordered_pairs(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in pairs], dtype=float)
    right = np.array([flag for _, flag in pairs])
    if right.all() or not right.any():
        with pytest.raises(UserError, match="right and wrong"):
            step_auc(scores, right)
        return
    credit = [(r > w) + 0.5 * (r == w) for r in scores[right] for w in scores[~right]]
    assert step_auc(scores, right) == pytest.approx(np.mean(credit))
