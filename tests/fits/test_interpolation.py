"""Compute saved: a strategy saves nothing over itself, whatever its plateau."""

import numpy as np
import pytest

from isoflop.fits.interpolation import Line, saved

BUDGETS = np.log([1.0, 2, 4, 8, 16, 32, 64])
PLATEAU = np.array([0.5, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7])


def test_a_strategy_saves_nothing_over_itself_in_any_draw() -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        line = Line(BUDGETS, PLATEAU[:, None] + 0.02 * generator.standard_normal((7, 51)))
        for place in range(BUDGETS.size):
            assert np.all(saved(line, line, place) == 0.0)


def test_a_strategy_that_needs_half_the_compute_saves_half() -> None:
    truth = np.linspace(0.4, 0.7, BUDGETS.size)[:, None]
    baseline, faster = Line(BUDGETS, truth), Line(BUDGETS - np.log(2), truth)
    for place in range(BUDGETS.size):
        assert saved(faster, baseline, place) == pytest.approx(np.log(2))
        assert saved(baseline, faster, place) == pytest.approx(-np.log(2))


def test_what_is_not_reached_is_told_as_such() -> None:
    baseline = Line(BUDGETS, np.linspace(0.4, 0.7, BUDGETS.size)[:, None])
    low = Line(BUDGETS, np.full((BUDGETS.size, 1), 0.5))
    assert saved(low, baseline, 6) == -np.inf
    # From its first point on it has what the baseline has at its third.
    assert saved(low, baseline, 2) == pytest.approx(np.log(4))


def test_a_plateau_is_decided_no_more_often_than_by_chance() -> None:
    """Two strategies alike, each with luck of its own, whose gain ends at 4 samples."""
    generator = np.random.default_rng(2)
    decided = []
    for _ in range(200):
        baseline, line = (
            Line(BUDGETS, np.column_stack([one, one[:, None] + 0.01 * generator.standard_normal((7, 200))]))
            for one in PLATEAU + 0.01 * generator.standard_normal((2, 7))
        )
        low, high = np.quantile(saved(line, baseline, 6)[1:], [0.025, 0.975], method="nearest")
        decided.append((low > 1e-9, high < -1e-9))
    # Either is to be had by chance in one of forty.
    assert np.mean(decided, axis=0).max() < 0.06


def test_where_a_line_got_there_lies_between_two_measured_points() -> None:
    draws = np.array([[0.1, 0.5, 0.1], [0.3, 0.4, 0.2], [0.5, 0.6, 0.2]])
    before, after = Line(np.array([1.0, 2.0, 4.0]), draws).reached_between(np.array([0.4, 0.45, 0.9]))
    assert before.tolist() == [2.0, 1.0, 4.0]
    assert after.tolist() == [4.0, 1.0, np.inf]
