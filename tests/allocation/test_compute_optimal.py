"""Choosing per bin: against a plain loop, on planted worlds, and never on what is measured."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.allocation.compute_optimal import Chosen, choose, fold_masks
from isoflop.allocation.difficulty import quantile_bins
from isoflop.errors import UserError
from isoflop.fits.bootstrap import percentile_interval, problem_weights
from isoflop.fits.interpolation import Line, saved

unhurried = settings(deadline=None, max_examples=60)
SEED = 5


def chosen(
    credits: np.ndarray, bins: np.ndarray, weights: np.ndarray | None = None, splits: int = 4
) -> Chosen:
    options, problems = credits.shape
    return choose(
        credits,
        np.ones_like(credits) * np.arange(1, options + 1)[:, None],
        np.ones((1, options), dtype=bool),
        bins,
        np.zeros((0, problems)) if weights is None else weights,
        splits=splits,
        seed=SEED,
    )


def plain(credits: np.ndarray, bins: np.ndarray, splits: int) -> float:
    """The same estimate by loops over bins, splits, ways and problems."""
    total = 0.0
    for name in sorted(set(bins.tolist())):
        members = [i for i, b in enumerate(bins) if b == name]
        for mask in fold_masks(len(members), splits, SEED + name):
            for way in (True, False):
                choosing = [i for i, m in zip(members, mask, strict=True) if m == way]
                measuring = [i for i, m in zip(members, mask, strict=True) if m != way]
                sums = [sum(row[i] for i in choosing) for row in credits]
                tied = [k for k, value in enumerate(sums) if value >= max(sums) - 1e-9]
                total += sum(credits[k][i] for k in tied for i in measuring) / len(tied) / splits
    return total / len(bins)


@unhurried
@given(data=st.data())
def test_it_is_what_loops_give(data: st.DataObject) -> None:
    options, problems = data.draw(st.integers(1, 4)), data.draw(st.integers(2, 12))
    eighths = st.lists(st.integers(0, 8), min_size=problems, max_size=problems)
    credits = np.array([data.draw(eighths) for _ in range(options)]) / 8
    bins = (
        np.array([1 + (i * 2) // problems for i in range(problems)])
        if problems >= 4
        else np.ones(problems, int)
    )
    assert chosen(credits, bins).accuracy[0, 0] == pytest.approx(plain(credits, bins, 4))


@unhurried
@given(count=st.integers(2, 40), seed=st.integers(0, 1000))
def test_folds_are_halves(count: int, seed: int) -> None:
    masks = fold_masks(count, 8, seed)
    assert set(masks.sum(axis=1).tolist()) <= {count // 2, (count + 1) // 2}
    assert (~masks).sum(axis=1).min() >= 1


def test_the_fold_that_is_measured_never_chooses() -> None:
    rng = np.random.default_rng(0)
    credits, bins = rng.random((3, 20)), np.ones(20, dtype=int)
    masks = fold_masks(20, 1, SEED + 1)[0]
    before = chosen(credits, bins, splits=1)
    # Whatever is measured, the choice that the other fold made stays: only one way's share may move.
    changed = credits.copy()
    changed[:, masks] = rng.random((3, int(masks.sum())))
    after = chosen(changed, bins, splits=1)
    best = int(credits[:, ~masks].sum(axis=1).argmax())
    assert before.shares[0, 0, best] >= 0.5
    assert after.shares[0, 0, best] >= 0.5


def world(
    rng: np.random.Generator, easy: tuple[float, float], hard: tuple[float, float], problems: int = 400
):
    """Credits of two strategies on problems half of which are easy, and a noisy view of which."""
    is_easy = np.arange(problems) < problems // 2
    rates = np.where(is_easy, np.array(easy)[:, None], np.array(hard)[:, None])
    credits = np.clip(rates + 0.2 * rng.standard_normal((2, problems)), 0, 1)
    return credits, quantile_bins(np.where(is_easy, 0.8, 0.2) + 0.1 * rng.random(problems), 4)


def test_a_planted_choice_is_found() -> None:
    credits, bins = world(np.random.default_rng(1), easy=(0.8, 0.6), hard=(0.2, 0.5))
    weights = problem_weights(400, 200, 3)
    found = chosen(credits, bins, weights)
    assert found.shares[:2, 0, 0].min() == 1.0
    assert found.shares[2:, 0, 1].min() == 1.0
    gain = found.accuracy[0] - np.hstack([credits.mean(axis=1)[:, None], credits @ weights.T]).max(axis=0)
    low, _ = percentile_interval(gain[1:])
    assert low > 0.05


def test_where_strategies_do_not_differ_choosing_gains_nothing() -> None:
    gains = []
    for seed in range(30):
        credits, bins = world(np.random.default_rng(seed), easy=(0.6, 0.6), hard=(0.4, 0.4), problems=120)
        gains.append(chosen(credits, bins).accuracy[0, 0] - credits.mean())
    mean, error = np.mean(gains), np.std(gains, ddof=1) / np.sqrt(len(gains))
    assert abs(mean) < 3 * error
    # Choosing and measuring on the same problems would seem to gain.
    assert error < 0.005


def test_ties_share_the_choice_and_its_cost() -> None:
    credits = np.array([[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0]])
    found = chosen(credits, np.array([1, 1, 1, 1]))
    assert found.shares[0, 0].tolist() == [0.5, 0.5]
    assert found.cost[0, 0] == pytest.approx(1.5)
    assert found.accuracy[0, 0] == pytest.approx(0.5)


def test_only_what_a_budget_can_pay_is_chosen() -> None:
    credits = np.array([[0.1] * 6, [0.9] * 6])
    found = choose(
        credits,
        np.ones((2, 6)),
        np.array([[True, False], [True, True]]),
        np.array([1, 1, 1, 2, 2, 2]),
        np.zeros((0, 6)),
        splits=2,
        seed=1,
    )
    assert found.accuracy[:, 0] == pytest.approx([0.1, 0.9])
    assert found.by_bin[:, :, 0] == pytest.approx(np.array([[0.1, 0.9], [0.1, 0.9]]))


def test_a_bin_of_one_problem_and_a_budget_for_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="bin 2 has one problem"):
        chosen(np.ones((1, 3)), np.array([1, 1, 2]))
    with pytest.raises(UserError, match="budget number 1 can pay no strategy"):
        choose(
            np.ones((1, 2)), np.ones((1, 2)), np.zeros((1, 1), dtype=bool), np.ones(2, int), np.zeros((0, 2)),
            splits=1, seed=1,
        )  # fmt: skip


def test_a_draw_is_the_procedure_on_the_problems_it_drew() -> None:
    rng = np.random.default_rng(2)
    credits, bins = rng.random((3, 12)), np.array([1] * 6 + [2] * 6)
    weights = problem_weights(12, 3, 1)
    found = chosen(credits, bins, weights)
    for draw in range(3):
        direct = chosen(credits, bins, weights[draw : draw + 1])
        assert found.accuracy[0, 1 + draw] == pytest.approx(direct.accuracy[0, 1])


LINES = {
    "between two points": ([0.0, 1.0], [0.2, 0.6], 0.4, 0.5),
    "at a point": ([0.0, 1.0], [0.2, 0.6], 0.6, 1.0),
    "below the first": ([0.0, 1.0], [0.2, 0.6], 0.1, 0.0),
    "never": ([0.0, 1.0], [0.2, 0.6], 0.7, np.inf),
    "a dip is left unspent": ([0.0, 1.0, 2.0, 3.0], [0.5, 0.3, 0.4, 0.7], 0.6, 2.5),
}


@pytest.mark.parametrize("name", LINES)
def test_where_a_line_reaches_an_accuracy(name: str) -> None:
    x, accuracy, target, expected = LINES[name]
    line = Line(np.array(x), np.array(accuracy)[:, None])
    assert line.first_reached(np.array([target]))[0] == pytest.approx(expected)


def test_the_factor_saved_is_a_distance_on_the_logarithm() -> None:
    slow = Line(np.log([1.0, 4.0, 16.0]), np.array([[0.1], [0.3], [0.5]]))
    fast = Line(np.log([1.0, 4.0]), np.array([[0.3], [0.5]]))
    assert np.exp(saved(fast, slow, 2)[0]) == pytest.approx(4.0)
    assert saved(slow, Line(np.log([1.0]), np.array([[0.9]])), 0)[0] == -np.inf
