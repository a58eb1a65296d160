"""How well scores tell right from wrong: against all pairs one by one, and where the truth is planted."""

import csv
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import binom, norm

from isoflop.arrays import Bools, Floats, Ints
from isoflop.fits.bootstrap import problem_weights
from isoflop.fits.verifiers.calibration import calibration, equal_count_bins
from isoflop.fits.verifiers.discrimination import drawn_aucs, problem_aucs
from isoflop.fits.verifiers.quality import Quality, Scored, calibration_csv, quality, verifiers_csv

# What chance leaves once in ten thousand.
RARE = 1e-4
# Scores of few values, so that many are tied.
CANDIDATES = st.lists(
    st.tuples(st.integers(0, 4), st.booleans(), st.sampled_from([0.0, 0.125, 0.5, 0.5000001, 1.0])),
    min_size=1,
    max_size=30,
)


def columns(rows: list[tuple[int, bool, float]]) -> tuple[Floats, Bools, Ints]:
    problem, right, scores = zip(*rows, strict=True)
    return np.array(scores), np.array(right), np.array(problem)


def by_pairs(rows: list[tuple[int, bool, float]], times: list[int]) -> float:
    """Every right candidate against every wrong one, each as often as its problem is drawn."""
    won = pairs = 0.0
    for one, right, score in rows:
        for other, other_right, other_score in rows:
            if right and not other_right:
                count = times[one] * times[other]
                pairs += count
                won += count * (1.0 if score > other_score else 0.5 if score == other_score else 0.0)
    return won / pairs if pairs else math.nan


@settings(deadline=None)
@given(rows=CANDIDATES, counts=st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1))
def test_auc_is_that_of_all_pairs_as_often_as_they_are_drawn(
    rows: list[tuple[int, bool, float]], counts: list[list[int]]
) -> None:
    drawn = drawn_aucs(*columns(rows), np.array(counts, dtype=np.float64))
    assert drawn.tolist() == pytest.approx([by_pairs(rows, times) for times in counts], abs=0, nan_ok=True)


@settings(deadline=None)
@given(rows=CANDIDATES)
def test_aucs_within_problems_are_those_of_their_pairs(rows: list[tuple[int, bool, float]]) -> None:
    found = problem_aucs(*columns(rows), 5)
    expected = [by_pairs([row for row in rows if row[0] == number], [1] * 5) for number in range(5)]
    assert found.tolist() == pytest.approx(expected, abs=0, nan_ok=True)


@pytest.mark.parametrize("block", [1, 7, 10**6])
def test_replicates_are_the_same_in_any_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    problem = np.repeat(np.arange(6), 5)
    scores, right = rng.integers(0, 9, 30) / 8, rng.random(30) < 0.5
    counts = np.rint(problem_weights(6, 50, 1) * 6)
    whole = drawn_aucs(scores, right, problem, counts)
    monkeypatch.setattr("isoflop.fits.verifiers.discrimination._BLOCK", block * 30)
    assert drawn_aucs(scores, right, problem, counts).tolist() == whole.tolist()


@settings(deadline=None)
@given(scores=st.lists(st.integers(0, 20), min_size=1, max_size=60), most=st.integers(1, 12))
def test_bins_keep_ties_together_and_rise(scores: list[int], most: int) -> None:
    bins = equal_count_bins(np.array(scores) / 20, most)
    pairs = sorted(zip(scores, bins.tolist(), strict=True))
    assert [place for _, place in pairs] == sorted(bins.tolist())
    assert len({*pairs}) == len({*scores})
    assert {*bins.tolist()} == {*range(max(bins.tolist()) + 1)}
    assert len({*bins.tolist()}) <= most


def test_bins_of_distinct_scores_have_as_many_candidates_each() -> None:
    scores = np.random.default_rng(2).permutation(1003) / 1003
    assert {*np.bincount(equal_count_bins(scores)).tolist()} == {100, 101}


def test_brier_and_calibration_by_hand() -> None:
    scores, right = np.array([0.1, 0.1, 0.9, 0.9]), np.array([False, True, True, True])
    found = calibration(scores, right, np.array([0, 1, 0, 1]), problem_weights(2, 200, 1), 0.95)
    assert found is not None
    assert found.brier == pytest.approx((0.01 + 0.81 + 0.01 + 0.01) / 4)
    assert found.base_rate == pytest.approx(0.75 * 0.25)
    assert found.gain.value == pytest.approx(0.1875 - 0.21)
    assert [(one.candidates, one.problems) for one in found.bins] == [(2, 2), (2, 2)]
    assert [one.right.value for one in found.bins] == [0.5, 1.0]
    assert [one.mean_score for one in found.bins] == pytest.approx([0.1, 0.9])
    assert found.error == pytest.approx((2 * 0.4 + 2 * 0.1) / 4)
    assert found.bins[1].right.low < 1.0, "two answers are no certainty"
    assert calibration(scores * 2, right, np.array([0, 1, 0, 1]), problem_weights(2, 9, 1), 0.95) is None


def of(problem: Ints, right: Bools, scores: Floats, draws: int = 200, seed: int = 1) -> Quality:
    weights = problem_weights(int(problem.max()) + 1, draws, seed)
    return quality(Scored(problem, right, scores, scores), weights, 0.95)


def test_what_has_no_score_is_left_out_and_counted() -> None:
    problem, right = np.array([0, 0, 1, 1, 2]), np.array([True, False, True, False, True])
    scores = np.array([0.9, 0.2, math.nan, 0.95, math.nan])
    found = of(problem, right, scores)
    assert (found.problems, found.candidates, found.unscored, found.right) == (2, 3, 2, 1 / 3)
    assert (found.auc.value, found.mixed_problems, found.auc_within.value) == (0.5, 1, 1.0)
    assert (found.auc_within.low, found.auc_within.high) == (0.0, 1.0), "one problem says nothing of others"


@pytest.mark.parametrize("outcome", [True, False])
def test_where_all_are_right_or_all_are_wrong_nothing_is_told(outcome: bool) -> None:
    found = of(np.array([0, 0, 1]), np.full(3, outcome), np.array([0.25, 0.5, 0.75]))
    about = ("x", "d", "p", "sampling", "prm", "last")
    [row] = csv.DictReader(io.StringIO(verifiers_csv([(about, found)])))
    empty = {name for name, cell in row.items() if not cell}
    assert empty == {f"{name}{end}" for name in ("auc", "auc_within") for end in ("", "_low", "_high")}
    assert row["brier_base_rate"] == "0.000000"
    bins = [*csv.DictReader(io.StringIO(calibration_csv([(about, found)])))]
    assert [bin["mean_score"] for bin in bins] == ["0.250000", "0.500000", "0.750000"]
    assert {bin["share_right"] for bin in bins} == {f"{outcome:.6f}"}


def test_a_pool_without_any_score_and_scores_that_are_no_chances_have_empty_cells() -> None:
    problem, right = np.array([0, 0, 1, 1]), np.array([True, False, True, False])
    none, logits = of(problem, right, np.full(4, math.nan)), of(problem, right, np.array([2.0, -1, 3, -2]))
    about = ("x", "d", "p", "sampling", "prm", "last")
    rows = [*csv.DictReader(io.StringIO(verifiers_csv([(about, none), (about, logits)])))]
    assert [row["share_right"] for row in rows] == ["", "0.500000"]
    assert [row["auc"] for row in rows] == ["", "1.000000"]
    assert float(rows[1]["auc_low"]) < 1.0
    assert {row["brier"] + row["calibration_error"] for row in rows} == {""}
    assert calibration_csv([(about, logits)]).count("\n") == 1


STUDIES, PROBLEMS, SAMPLES = 200, 80, 8


def planted(seed: int, gap: float) -> tuple[Ints, Bools, Floats]:
    """Right candidates score `gap` standard deviations above wrong ones; some problems are harder."""
    rng = np.random.default_rng([seed, 77])
    problem = np.repeat(np.arange(PROBLEMS), SAMPLES)
    right = rng.random(problem.size) < expit(2.0 * rng.standard_normal(PROBLEMS))[problem]
    return problem, right, rng.standard_normal(problem.size) + gap * right


@pytest.mark.parametrize("gap", [0.0, 1.0], ids=["null", "planted"])
def test_intervals_hold_the_planted_auc_as_often_as_they_say(gap: float) -> None:
    truth = norm.cdf(gap / math.sqrt(2.0))
    found = [of(*planted(seed, gap), seed=seed) for seed in range(STUDIES)]
    least, most = binom.ppf([RARE / 2, 1 - RARE / 2], STUDIES, 0.95)
    for name in ("auc", "auc_within"):
        intervals = [getattr(one, name) for one in found]
        held = sum(one.low <= truth <= one.high for one in intervals)
        assert least <= held <= most, name
        assert np.mean([one.value for one in intervals]) == pytest.approx(truth, abs=0.01)


def test_the_whole_tells_problems_apart_where_nothing_is_told_within_them() -> None:
    rng = np.random.default_rng(3)
    problem = np.repeat(np.arange(300), 8)
    chance = rng.random(300)[problem]
    found = of(problem, rng.random(2400) < chance, chance)
    assert found.auc.low > 0.75
    assert found.auc_within.value == 0.5


def test_chances_are_calibrated_as_far_as_chance_lets_them_be() -> None:
    errors, by_chance, held, bins = [], [], 0, 0
    for seed in range(STUDIES):
        rng = np.random.default_rng([seed, 5])
        problem, scores = np.repeat(np.arange(PROBLEMS), SAMPLES), rng.random(PROBLEMS * SAMPLES)
        right = rng.random(scores.size) < scores
        told = calibration(scores, right, problem, problem_weights(PROBLEMS, 200, seed), 0.95)
        assert told is not None
        errors.append(told.error)
        by_chance.append(told.error_by_chance)
        bins += len(told.bins)
        held += sum(one.right.low <= one.mean_score <= one.right.high for one in told.bins)
        assert told.gain.low > 0
    assert np.mean(errors) == pytest.approx(np.mean(by_chance), rel=0.05)
    assert 0.92 < held / bins < 0.97


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_monotone_scores_have_the_same_auc(seed: int) -> None:
    problem, right, scores = planted(seed, 0.5)
    one, other = of(problem, right, scores, draws=20), of(problem, right, expit(scores), draws=20)
    assert (one.auc, one.auc_within) == (other.auc, other.auc_within)
    assert (one.calibration is None, other.calibration is None) == (True, False)
