"""What a study of choice says where the truth is known: nothing where nothing differs."""

from collections import Counter

import numpy as np
import pytest
from choice_worlds import alike, credits_of, difficulty_of, greedy_of, pair, sampled, spec

from isoflop.allocation.choice import ChoiceCurve, choice_curve
from isoflop.allocation.exchange_study import exchanges
from isoflop.allocation.options import GENERATIONS, Member, gather_options
from isoflop.allocation.study import Pair, difficulty_bins, study_choice
from isoflop.claims.snell2024 import snell_claims
from isoflop.fits.bootstrap import problem_weights
from isoflop.specs import ExchangePair

PROBLEMS, WORLDS = 300, 40
KINDS = {"sampling": "sampling", "greedy": "greedy", "beam": "beam", "lookahead": "lookahead"}
KINDS |= {"revisions": "revisions"}


def chosen(policy: Pair, seed: int) -> ChoiceCurve:
    """The choice by oracle bins between two pools, at equal numbers of samples."""
    members = [Member(name, table, "weighted", "prm", "last") for name, table in policy.credits.items()]
    options = gather_options(members)
    (how,) = [how for how in difficulty_bins(policy, members, options) if how.kind == "oracle"]
    weights = problem_weights(PROBLEMS, 200, seed)
    return choice_curve("sampling", GENERATIONS, how, weights, splits=4, seed=seed)


def test_an_identical_rival_gains_nothing() -> None:
    """Two pools of one policy: bins told by the samples that are measured would favour one of them."""
    rng = np.random.default_rng(7)
    gains: dict[str, list[np.ndarray]] = {"halves": [], "as if independent": []}
    above = []
    for world in range(WORLDS):
        chances = alike(rng, PROBLEMS, 1.0)[0]
        halves = sampled(rng, chances)
        credits = {
            "sampling": credits_of(halves, (1, 4, 16, 32), 1e6, tells=True),
            "rival": credits_of(sampled(rng, chances), (1, 4, 16, 32), 1e6),
        }
        for name, telling in (("halves", "sampling"), ("as if independent", "pilot")):
            curve = chosen(pair("small", credits, difficulty_of(halves), telling), world)
            gain = curve.accuracy - curve.baseline
            gains[name].append(gain[:, 0])
            if name == "halves":
                above.append(np.quantile(gain[:, 1:], 0.025, axis=1, method="nearest") > 0)
    means = {name: 100 * np.mean(found, axis=0) for name, found in gains.items()}
    errors = 100 * np.std(gains["halves"], axis=0) / np.sqrt(WORLDS)
    assert np.all(np.abs(means["halves"]) < 3 * errors)
    assert means["as if independent"][-1] > 0.3, "what was wrong: points from nothing"
    assert np.mean(above, axis=0).max() <= 0.05


def test_each_half_is_measured_in_the_bins_of_the_other() -> None:
    rng = np.random.default_rng(3)
    halves = [np.arange(PROBLEMS) % 33, rng.integers(0, 33, PROBLEMS)]
    policy = pair(
        "small", {"sampling": credits_of(halves, (1, 32, 64), 1e6, tells=True)}, difficulty_of(halves)
    )
    members = [Member("sampling", policy.credits["sampling"], "weighted", "prm", "last")]
    none, oracle = difficulty_bins(policy, members, gather_options(members))
    assert none.views[0].options.budgets == [1, 32, 64], "one choice for all problems needs no bins"
    assert oracle.options.budgets == [1, 32], "budgets end at half of the pool"
    for view, told, measured in zip(oracle.views, halves, halves[::-1], strict=True):
        assert view.options.credits[0] == pytest.approx(measured / 32)
        assert np.all(np.diff(view.bins[np.argsort(told)]) <= 0), "many right answers are an easy bin"
    assert oracle.charge[GENERATIONS] == 32


@pytest.mark.parametrize("correlation", [0.5, 0.8, 0.95])
def test_of_two_equal_models_neither_wins_the_exchange(correlation: float) -> None:
    rng = np.random.default_rng(int(100 * correlation))
    found: Counter[tuple[int, str]] = Counter()
    worlds = 30
    for _ in range(worlds):
        chances = alike(rng, PROBLEMS, correlation)
        halves = [sampled(rng, one) for one in chances]
        credits = credits_of(halves[0], (1,), 1e6, tells=True)
        small = pair("small", {"sampling": credits}, difficulty_of(halves[0]))
        answers = greedy_of(rng.random(PROBLEMS) < chances[1], 14e6)
        large = pair("large", {"greedy": answers}, difficulty_of(halves[1]))
        match = ExchangePair(small="small", large="large", greedy="greedy")
        about = spec({"alone": ("sampling",)}, exchange=(match,), ratios=(0.16, 22.0), splits=1, draws=100)
        studied = study_choice([small], about)
        swaps = exchanges(studied, [small, large], about)
        assert {one.told_by for one in swaps} == {"both"}
        for judged in snell_claims(studied, swaps, KINDS, 0.95):
            if (judged.claim.number, judged.claim.cost_model) == (6, "total"):
                found.update((place, one.verdict) for place, one in enumerate(judged.statements))
                found[-1, judged.verdict] += 1
    assert found[-1, "supported"] == 0
    for place in range(3):
        # Either way one in forty by chance alone.
        assert found[place, "supported"] <= 3
        assert found[place, "contradicted"] <= 3


def test_alike_strategies_earn_no_verdict() -> None:
    """Beam, lookahead and revisions are all what sampling is, each with samples of its own."""
    rng = np.random.default_rng(11)
    budgets = {"beam": (4, 16, 32), "lookahead": (16, 32), "revisions/1": (1, 4, 16), "revisions/4": (4, 16)}
    found: Counter[tuple[int, str]] = Counter()
    worlds = 25
    for _ in range(worlds):
        chances = alike(rng, PROBLEMS, 1.0)[0]
        halves = sampled(rng, chances)
        credits = {"sampling": credits_of(halves, (1, 4, 16, 32), 1e6, tells=True)}
        credits |= {name: credits_of(sampled(rng, chances), own, 1e6) for name, own in budgets.items()}
        about = spec(
            {"search": ("sampling", "beam", "lookahead"), "ratios": ("revisions/1", "revisions/4")},
            splits=1,
            draws=100,
        )
        studied = study_choice([pair("small", credits, difficulty_of(halves))], about)
        for judged in snell_claims(studied, [], KINDS, 0.95):
            # In FLOPs a choice may spend less, which truly helps: votes on hard problems fall with their
            # number.
            if judged.claim.cost_model == GENERATIONS or judged.claim.number != 4:
                found[judged.claim.number, judged.verdict] += 1
    assert found[6, "not tested"] == 2 * worlds
    for number in (1, 2, 3, 4, 5):
        tested = sum(count for (claim, _), count in found.items() if claim == number)
        assert found[number, "not tested"] == 0
        # Chance alone has one in forty; claims of several statements less.
        assert found[number, "supported"] <= 0.07 * tested + 1, number


def test_what_is_as_good_and_more_expensive_is_behind_at_equal_compute_alone() -> None:
    """Beam search and chains are samples at eight times their price, where votes gain by their number."""
    rng = np.random.default_rng(5)
    halves = sampled(rng, rng.uniform(0.5, 0.9, PROBLEMS))
    prices = {
        "sampling": ((1, 2, 4, 8, 16, 32, 64), 1e6),
        "beam": ((1, 4), 8e6),
        "lookahead": ((4, 16), 1e6),
        "revisions/1": ((1, 4, 16, 32), 1e6),
        "revisions/4": ((4, 16), 8e6),
    }
    credits = {
        name: credits_of(halves, budgets, size, tells=name == "sampling")
        for name, (budgets, size) in prices.items()
    }
    about = spec(
        {"search": ("sampling", "beam", "lookahead"), "ratios": ("revisions/1", "revisions/4")},
        splits=1,
        draws=100,
    )
    studied = study_choice([pair("small", credits, difficulty_of(halves))], about)
    judged = {(one.claim.number, one.claim.cost_model): one for one in snell_claims(studied, [], KINDS, 0.95)}

    def value(number: int, cost: str, place: int = 0) -> float:
        primary = judged[number, cost].statements[place].statement.primary
        assert primary is not None
        return primary.value

    votes, ratios = (
        credits[name][credits[name]["half"] == 0].groupby("budget")["credit"].mean()
        for name in ("sampling", "revisions/1")
    )
    bought = np.interp(np.log(8.0 * (4 * np.array([1, 4]) + 1)), np.log(4 * votes.index + 1), votes)
    lead, at_four = votes[1] - bought[0], votes[4] - bought[1]
    for number, place in ((1, 0), (1, 1), (5, 0)):
        assert value(number, "generations", place) == pytest.approx(0, abs=1e-12)
    assert value(1, "total") == pytest.approx(lead, abs=1e-9)
    assert value(1, "total", 1) == pytest.approx((lead - at_four) / 2, abs=1e-9)
    # 16 answers in chains cost more than twice what parallel answers were given, so only 4 are compared.
    parallel = np.interp(np.log(8.0 * 17), np.log(4 * ratios.index + 1), ratios)
    assert value(5, "total") == pytest.approx(ratios[4] - parallel, abs=1e-9)
    verdicts = {key: one.statements[0].verdict for key, one in judged.items() if one.statements}
    assert verdicts[1, "generations"] == verdicts[5, "generations"] == "undecided"
    assert verdicts[1, "total"] == verdicts[5, "total"] == "contradicted"
    assert verdicts[2, "total"] == "contradicted"


def test_what_is_missing_is_named() -> None:
    rng = np.random.default_rng(2)
    halves = sampled(rng, alike(rng, PROBLEMS, 1.0)[0])
    credits = {"sampling": credits_of(halves, (1, 4), 1e6, tells=True)}
    studied = study_choice([pair("small", credits, difficulty_of(halves))], spec({"alone": ("sampling",)}))
    judged = snell_claims(studied, [], KINDS, 0.95)
    assert {one.verdict for one in judged} == {"not tested"}
    missing = {one.claim.number: one.claim.missing for one in judged}
    assert missing[1] == "needs a generator of kind beam and sampling with two budgets in common"
    assert "kinds beam and lookahead" in missing[2]
    assert "several strategies at one budget" in missing[4]
    assert "chains of revisions of two lengths" in missing[5]
    assert "pairs of a smaller and a larger model" in missing[6]
