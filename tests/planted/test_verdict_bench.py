"""Verdicts in planted worlds, a small version of the bench whose table is in docs/design/verdicts.md.

Seeds are fixed, and bounds are what chance leaves of 5% once in ten thousand.
"""

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from isoflop.claims.wu2024 import wu_claims
from isoflop.fits.bootstrap import Interval, problem_weights
from isoflop.fits.revision_rates import revision_rates
from isoflop.planted.bench import (
    Told,
    Truth,
    factors,
    first_near_last,
    score_chains,
    score_factors,
    score_study,
    score_told,
    statement_is_false,
)
from isoflop.planted.bench_page import with_tables
from isoflop.planted.cases import (
    BEST,
    FAMILIES,
    GREEDY,
    HEADLINE,
    MAJORITY,
    SEARCHED,
    cases,
    choice_world,
    setting,
    world,
)
from isoflop.planted.chains import CHAIN_WORLDS, ChainWorld
from isoflop.planted.choices import choice_spec, choice_study, expected_gains, measured_pairs, told_choices
from isoflop.planted.tally import Tally, rate
from isoflop.planted.worlds import Best, Greedy, Lift, PlantedPolicy, Vote
from isoflop.verdicts.factors import factor_saved
from isoflop.verdicts.judge import CONTRADICTED, MIXED, NOT_TESTED, SUPPORTED, UNDECIDED, StatementJudged
from isoflop.verdicts.statements import Element, Part, Statement

STUDIES, PROBLEMS = 40, 150
TWO = (PlantedPolicy("1M", 1e6, -0.5), PlantedPolicy("10M", 1e7, 0.5))
FLAT = Vote(weight=1.3, cap=8)
# What chance leaves once in ten thousand.
RARE = 1e-4


def part(name: str, value: float) -> Part:
    return Part(name, "s", (Element(np.full(3, value), 0.01, Interval(value, value)),))


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"), [(0, 20, 0.0, 0.1611), (5, 100, 0.0215, 0.1118), (20, 20, 0.8389, 1.0)]
)
def test_a_rate_has_wilsons_interval(hits: int, trials: int, low: float, high: float) -> None:
    found = rate(hits, trials)
    assert found == pytest.approx((hits / trials, low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("quantifier", "margin", "values", "false"),
    [
        ("for all", 0.01, (0.02, -0.005), set()),
        ("for all", 0.01, (0.02, -0.02), {SUPPORTED}),
        ("for all", 0.0, (0.02, 0.0), {SUPPORTED, CONTRADICTED, MIXED}),
        ("there is", 0.0, (0.02, -0.02), {CONTRADICTED}),
        ("there is", 0.0, (0.0, 0.0), {SUPPORTED, CONTRADICTED, MIXED}),
        ("on average", 0.0, (0.02, 0.02), {CONTRADICTED, MIXED}),
        ("on average", 0.0, (0.04, -0.02), {CONTRADICTED}),
        ("on average", 0.0, (0.0, 0.0), {SUPPORTED, CONTRADICTED, MIXED}),
    ],
)
def test_which_verdicts_are_false_follows_from_the_true_values(
    quantifier: str, margin: float, values: tuple[float, ...], false: set[str]
) -> None:
    parts = tuple(part(f"p{place}", value) for place, value in enumerate(values))
    primary = part("mean", float(np.mean(values))) if quantifier == "on average" else None
    truth = Statement("t", quantifier, parts, primary, margin)  # type: ignore[arg-type]
    found = set()
    for verdict in (SUPPORTED, CONTRADICTED, MIXED, UNDECIDED):
        judged = StatementJudged(truth, verdict, (), None, "")
        if statement_is_false(judged, truth):
            found.add(verdict)
    assert found == false


def test_an_estimate_is_false_where_its_interval_is_on_the_wrong_side() -> None:
    tally = Tally()
    for truth, low, high in ((0.0, 0.1, 0.3), (0.2, 0.1, 0.3), (0.2, -0.3, -0.1), (0.2, -0.1, 0.1)):
        score_told(tally, {"a": Told((low + high) / 2, low, high)}, {"a": truth})
    assert (tally.false, tally.right, tally.said[UNDECIDED], tally.covered) == (2, 1, 1, 1)


def test_a_study_is_an_unbiased_measurement_of_its_world() -> None:
    planted = world("w", best=Best(lead=1.0, fooled=0.03), policies=TWO)
    study, truth = planted.study(3000, seed=1), planted.truth
    for (policy, strategy), series in study.series.items():
        true = truth.series[policy, strategy]
        for budget, credits in zip(series.budgets.tolist(), series.credits, strict=True):
            known = true.at_budget(budget)
            assert known is not None
            error = credits.std() / np.sqrt(credits.size)
            assert abs(credits.mean() - known.mean()) < 4.5 * error, (policy, strategy, budget)


def test_a_lift_is_what_it_says_at_every_budget_and_level() -> None:
    lift = Lift(0.04, by_level=(0.0, 0.5, 1.0, 1.5, 2.0))
    planted = world("w", searched={"rebase": lift}, policies=TWO)
    truth = planted.truth
    for policy in TWO:
        for budget in SEARCHED:
            search = truth.series[policy.name, HEADLINE.__class__("rebase", "weighted", "prm", "last")]
            sampled = truth.series[policy.name, HEADLINE]
            one, other = search.at_budget(budget), sampled.at_budget(budget)
            assert one is not None
            assert other is not None
            assert truth.levels is not None
            gains = [(one - other)[truth.levels == level].mean() for level in range(1, 6)]
            assert gains == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08], abs=1e-4)


@cache
def bench(searched: float) -> dict[str, Tally]:
    """Forty small studies; REBASE better by so much and MCTS worse."""
    lifts = {"rebase": Lift(searched), "mcts": Lift(-searched)}
    planted = world("w", headline=FLAT, majority=FLAT, best=FLAT, searched=lifts, policies=TWO)
    about, tallies = setting(planted), dict[str, Tally]()
    truth = Truth(planted.truth, about)
    for seed in range(STUDIES):
        score_study(tallies, planted.study(PROBLEMS, seed, 100), truth, about)
    return tallies


def test_where_nothing_is_true_every_sentence_is_seldom_false_and_intervals_cover() -> None:
    for sentence, tally in bench(0.0).items():
        most = binom.ppf(1 - RARE, tally.studies, 0.05)
        assert tally.false <= most, sentence
        if tally.intervals:
            assert tally.covered / tally.intervals > 0.85, sentence


def test_what_is_better_by_ten_points_is_found() -> None:
    found = bench(0.10)
    for sentence in ("Wu 4", "Wu 7", "rebase over samples"):
        assert found[sentence].right > 0.8 * found[sentence].studies, sentence
        assert found[sentence].false == 0, sentence
    # Samples stop gaining before the search's second budget: so coarse a grid shows no factor above 1.
    saved = found["compute saved"]
    assert (saved.false, saved.covered) == (0, saved.intervals)


def test_a_factor_far_beyond_the_resolution_of_the_budgets_is_found() -> None:
    planted = world("w", headline=Best(lead=1.0), searched={"rebase": Lift(0.15)}, policies=TWO)
    about, tallies = setting(planted), dict[str, Tally]()
    truth = factors(planted.truth, about, "total")
    assert min(told.value for told in truth.values()) > 10
    for seed in range(20):
        score_factors(tallies, factors(planted.study(300, seed, 100), about, "total"), truth)
    saved = tallies["compute saved"]
    assert saved.right > 0.8 * saved.studies
    assert (saved.false, saved.covered) == (0, saved.intervals)


def test_a_strategy_saves_nothing_over_itself() -> None:
    planted = world("w", policies=TWO)
    evidence = planted.study(PROBLEMS, seed=3, resamples=100)
    for policy in TWO:
        for strategy in (HEADLINE, MAJORITY, BEST):
            series = evidence.series[policy.name, strategy]
            factor = factor_saved(series, series, "total", evidence)
            assert (factor.value, factor.low, factor.high) == pytest.approx((1.0, 1.0, 1.0), rel=1e-9)


def test_the_first_budget_that_is_near_the_last_is_found_from_the_end() -> None:
    planted = world("w", policies=TWO)
    series = planted.truth.series["1M", HEADLINE]
    credits = np.array([[0.3], [0.395], [0.38], [0.395], [0.4]])
    costs = {name: values[:5] for name, values in series.costs.items()}
    dipping = replace(series, budgets=np.array([1, 2, 4, 8, 16]), credits=credits, costs=costs)
    assert first_near_last(dipping) == 8


@pytest.mark.parametrize("chains", CHAIN_WORLDS, ids=lambda one: one.name)
def test_shares_of_turned_answers_are_unbiased_and_their_intervals_cover(chains: ChainWorld) -> None:
    truth, tallies = chains.truth(), dict[str, Tally]()
    for seed in range(STUDIES):
        weights = problem_weights(PROBLEMS, 200, seed, "chains")
        score_chains(tallies, revision_rates(chains.graded(PROBLEMS, seed), weights, 0.95), truth)
    for name, tally in tallies.items():
        assert tally.covered >= binom.ppf(RARE, tally.intervals, 0.95), name
    many = 20_000
    for found in revision_rates(chains.graded(many, 99), problem_weights(many, 20, 1, "chains"), 0.95):
        assert found.value == pytest.approx(truth[found.place, found.measure], abs=0.02)


def test_what_is_told_of_choosing_is_the_gain_over_the_baseline_of_its_world() -> None:
    """Revisions in a row are 20 points better: half of the choices are worth that, the others nothing."""
    planted = choice_world("w", Best(lead=1.0), Greedy(), {"revisions/4": Lift(0.2)})
    spec = choice_spec(planted, FAMILIES, 40)
    studied = choice_study(measured_pairs(planted, 120, 1), spec).studied
    told = told_choices(studied, spec)
    expected = expected_gains(planted, 120, spec, 4)
    assert set(told) == {"choice by oracle difficulty", "choice by predicted difficulty"}
    for name, gains in told.items():
        assert set(gains) == {f"{size}, {family}" for size in ("1M", "4M") for family in FAMILIES}
        for part, one in gains.items():
            assert (one.low > 0) is part.endswith("revisions")
            true = 0.2 if part.endswith("revisions") else 0.0
            assert expected[name][part] == pytest.approx(true, abs=0.05)


def test_entry_prices_are_no_law() -> None:
    prices = next(case.world for case in cases() if case.name == "entry prices only")
    about = setting(prices)
    for seed in range(5):
        judged = wu_claims(prices.study(PROBLEMS, seed, 100), about, ("total",))
        assert next(one for one in judged if one.claim.number == 2).verdict == NOT_TESTED


def test_the_page_has_the_tables_of_the_committed_numbers() -> None:
    folder = Path(__file__).parents[2] / "docs/design"
    with (folder / "verdicts-bench.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    page = (folder / "verdicts.md").read_text(encoding="utf-8")
    assert with_tables(page, rows) == page
    worlds = {one.name for one in (*cases(), *CHAIN_WORLDS)}
    assert {row["world"] for row in rows} == worlds


def test_every_world_names_its_strategies_and_has_greedy_answers() -> None:
    found = cases()
    assert len({case.name for case in found}) == len(found)
    for case in found:
        assert GREEDY in setting(case.world).strategies
