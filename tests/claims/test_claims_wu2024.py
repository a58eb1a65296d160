"""The claims of Wu et al. 2024 on planted worlds whose truth is known: what each test looks at.

How often verdicts are false, and how wide intervals are, is measured in tests/planted/test_verdict_bench.py.
"""

from dataclasses import replace

import numpy as np
import pytest

from isoflop.claims.setting import Setting
from isoflop.claims.wu2024 import CLAIMS, wu_claims
from isoflop.fits.evidence import Evidence, Series
from isoflop.planted.cases import HEADLINE, MAJORITY, POLICIES, setting, world
from isoflop.planted.worlds import Lift, PlantedPolicy, Vote
from isoflop.verdicts.factors import factor_saved
from isoflop.verdicts.judge import CONTRADICTED, NOT_TESTED, SUPPORTED, UNDECIDED, ClaimJudged

PROBLEMS = 600


def judged(evidence: Evidence, about: Setting) -> dict[tuple[int, str], ClaimJudged]:
    return {(one.claim.number, one.claim.cost_model): one for one in wu_claims(evidence, about)}


def better(points: float) -> Lift:
    return Lift(points)


@pytest.fixture(scope="module")
def papers() -> dict[tuple[int, str], ClaimJudged]:
    """A world in which search gains, more on hard problems, and MCTS loses."""
    hard = Lift(0.08, by_level=(0.2, 0.4, 1.2, 1.6, 1.6))
    planted = world(
        "papers",
        headline=Vote(weight=1.6, cap=16),
        best=Vote(),
        searched={"rebase": hard, "mcts": better(-0.10)},
    )
    return judged(planted.study(PROBLEMS, 1), setting(planted))


@pytest.mark.parametrize("number", [3, 4, 6, 7])
@pytest.mark.parametrize("cost", ["wu2024", "total"])
def test_what_is_true_of_search_is_found(
    papers: dict[tuple[int, str], ClaimJudged], number: int, cost: str
) -> None:
    assert papers[number, cost].verdict == SUPPORTED


def test_every_claim_is_told_whatever_comes_of_it(papers: dict[tuple[int, str], ClaimJudged]) -> None:
    assert {number for number, _ in papers} == set(CLAIMS)
    assert {cost for number, cost in papers if number in (5, 8)} == {"any"}
    for number in set(CLAIMS) - {5, 8}:
        assert {cost for one, cost in papers if one == number} == {"wu2024", "total"}


def test_a_search_that_is_truly_worse_contradicts() -> None:
    planted = world("worse", searched={"rebase": better(-0.08), "mcts": better(0.08)})
    found = judged(planted.study(PROBLEMS, 2), setting(planted))
    for number in (3, 4, 7):
        assert found[number, "wu2024"].verdict == CONTRADICTED


def test_sizes_that_differ_only_in_price_support_no_law() -> None:
    """Each larger model wins as soon as one sample of it is affordable: what changes is the price."""
    steep = tuple(PlantedPolicy(f"m{place}", 10.0 ** (6 + place), -1.5 + 1.5 * place) for place in range(4))
    planted = world("prices", headline=Vote(weight=1.3, cap=1), policies=steep, searches=())
    found = judged(planted.study(PROBLEMS, 3), setting(planted))
    assert found[2, "wu2024"].verdict == NOT_TESTED
    assert "too few crossings" in found[2, "wu2024"].claim.missing
    assert "entry prices" in found[2, "wu2024"].claim.missing
    # The smaller model is never ahead where the larger can be had: no curves cross.
    assert found[1, "wu2024"].verdict == CONTRADICTED


def test_a_smaller_model_whose_samples_cost_more_is_not_ahead_where_only_the_larger_can_be_had() -> None:
    """Small models ramble: in tokens, a sample of the larger one is the cheaper, and it is better too."""
    sizes = tuple(PlantedPolicy(f"m{place}", 10.0 ** (6 + place), -1.5 + 1.5 * place) for place in range(2))
    planted = world("rambling", headline=Vote(weight=1.3, cap=16), policies=sizes, searches=())
    evidence = planted.study(PROBLEMS, 3)
    longer = {"m0": 1.4, "m1": 1.0}
    evidence = replace(
        evidence,
        series={
            key: replace(one, costs=dict(one.costs) | {"total": longer[one.policy] * one.budgets})
            for key, one in evidence.series.items()
        },
    )
    assert judged(evidence, setting(planted))[1, "total"].verdict == CONTRADICTED


def _sizes(curves: dict[str, tuple[list[int], list[float], float]]) -> tuple[Evidence, Setting]:
    """Policies by rising size, each with budgets, accuracies and the cost of a sample."""
    planted = world("sizes", headline=Vote(weight=1.3, cap=16), policies=POLICIES[: len(curves)], searches=())
    about, study = setting(planted), planted.study(200, 1)
    series = {}
    for policy, (budgets, accuracies, price) in zip(POLICIES, curves.values(), strict=False):
        # Every problem has its share, so nothing is left to chance.
        credits = np.repeat(np.array(accuracies)[:, None], 200, axis=1)
        costs = {name: price * np.array(budgets, dtype=np.float64) for name in ("wu2024", "total")}
        key = (policy.name, about.headline)
        series[key] = Series(policy.name, about.headline, np.array(budgets), credits, costs)
    return replace(study, series=series), about


def test_sizes_are_compared_up_to_where_the_first_of_them_ends() -> None:
    """The smaller goes on to 256 samples; the larger, ahead where its own end, has four."""
    curves = {
        "small": ([1, 4, 16, 64, 256], [0.20, 0.40, 0.52, 0.58, 0.66], 1.0),
        "large": ([1, 4], [0.30, 0.62], 8.0),
    }
    assert judged(*_sizes(curves))[1, "wu2024"].verdict == SUPPORTED


def test_a_pair_that_shares_no_compute_leaves_open_whether_some_pair_crosses() -> None:
    curves = {
        "small": ([1, 4], [0.20, 0.30], 1.0),
        "middle": ([1, 4], [0.50, 0.60], 2.0),
        "large": ([1, 4], [0.70, 0.80], 100.0),
    }
    found = judged(*_sizes(curves))[1, "wu2024"]
    assert found.verdict == UNDECIDED
    middle, large = (policy.name for policy in POLICIES[1:3])
    assert found.statements[0].statement.untested == (f"{middle} and {large}",)


def test_sizes_are_compared_inside_a_family_only() -> None:
    apart = tuple(replace(policy, family=policy.name) for policy in POLICIES)
    planted = world("apart", policies=apart)
    found = judged(planted.study(100, 4), setting(planted))
    for number in (1, 2, 9):
        assert (found[number, "total"].verdict, "family" in found[number, "total"].claim.missing) == (
            NOT_TESTED,
            True,
        )


def test_policies_of_equal_size_are_no_pair() -> None:
    about = setting(world("w"))
    same = replace(about, parameters=dict.fromkeys(about.policies, 10))
    assert same.pairs() == []
    assert len(about.pairs()) == len(POLICIES) - 1


@pytest.mark.parametrize(
    ("number", "searches", "missing"),
    [
        (3, ("mcts",), "needs a generator of kind rebase"),
        (6, ("mcts",), "needs a generator of kind rebase"),
        (7, ("rebase",), "needs a generator of kind mcts"),
    ],
)
def test_what_is_missing_is_told(number: int, searches: tuple[str, ...], missing: str) -> None:
    planted = world("w", searches=searches)
    found = judged(planted.study(80, 5), setting(planted))
    assert (found[number, "total"].verdict, found[number, "total"].claim.missing) == (NOT_TESTED, missing)


def test_half_a_claim_is_never_the_whole() -> None:
    """Weighted voting is truly better; without a search nobody knows whether the gap shrinks under one."""
    planted = world("w", headline=Vote(weight=3.0), searches=())
    found = judged(planted.study(300, 5), setting(planted))[5, "any"]
    assert [one.verdict for one in found.statements] == [SUPPORTED]
    assert found.verdict == UNDECIDED
    assert "needs a generator of kind rebase" in found.claim.missing


def test_rebase_leads_every_rival_at_every_budget_on_the_mean_over_policies() -> None:
    planted = world("w", searched={"rebase": Lift(0.03)})
    evidence, about = planted.study(120, 7), setting(planted)
    parts = {one.name: one for one in judged(evidence, about)[3, "wu2024"].statements[0].statement.parts}
    rebase = replace(HEADLINE, generator="rebase")
    gaps = []
    for policy in about.policies:
        search, sampled = evidence.series[policy, rebase], evidence.series[policy, MAJORITY]
        x = np.log(sampled.costs["wu2024"])
        gaps.append(search.accuracy[0] - np.interp(np.log(search.costs["wu2024"][0]), x, sampled.accuracy))
    assert parts["REBASE at 4 against sampling+mv"].value == pytest.approx(np.mean(gaps))
    assert len(parts) == 3 * (len(about.strategies) - 2)


def test_saturation_of_three_samples_is_no_saturation() -> None:
    planted = world("w")
    whole = planted.study(80, 6)
    few = {
        key: Series(one.policy, one.strategy, one.budgets[:3], one.credits[:3],
                    {cost: values[:3] for cost, values in one.costs.items()})
        for key, one in whole.series.items()
    }  # fmt: skip
    found = judged(replace(whole, series=few), setting(planted))
    assert found[8, "any"].verdict == NOT_TESTED
    assert "16 samples" in found[8, "any"].claim.missing


def test_statistics_are_differences_of_credits() -> None:
    """Weighted minus majority, and sampling minus MCTS, counted by hand."""
    planted = world("w")
    evidence, about = planted.study(120, 7), setting(planted)
    found = judged(evidence, about)
    gaps = [
        evidence.series[policy, HEADLINE].accuracy[-1] - evidence.series[policy, MAJORITY].accuracy[-1]
        for policy in about.policies
    ]
    statement = found[5, "any"].statements[0].statement
    assert [part.value for part in statement.parts] == pytest.approx(gaps)
    assert statement.primary is not None
    assert statement.primary.value == pytest.approx(np.mean(gaps))
    mcts = replace(HEADLINE, generator="mcts")
    for part, policy in zip(found[7, "wu2024"].statements[0].statement.parts, about.policies, strict=True):
        search, sampled = evidence.series[policy, mcts], evidence.series[policy, HEADLINE]
        x = np.log(sampled.costs["wu2024"])
        bought = [np.interp(np.log(cost), x, sampled.accuracy) for cost in search.costs["wu2024"]]
        assert part.value == pytest.approx(np.mean(bought - search.accuracy))


def test_rebase_is_held_against_greedy_decoding_too() -> None:
    planted = world("w")
    found = judged(planted.study(80, 8), setting(planted))
    names = {part.name for part in found[3, "total"].statements[0].statement.parts}
    assert "REBASE at 4 against greedy" in names
    assert not any("against rebase" in name for name in names)


def test_a_strategy_saves_nothing_over_itself() -> None:
    evidence = world("w").study(100, 9)
    for policy in POLICIES:
        series = evidence.series[policy.name, HEADLINE]
        factor = factor_saved(series, series, "total", evidence)
        assert (factor.value, factor.low, factor.high) == pytest.approx((1.0, 1.0, 1.0), abs=1e-9)


def test_a_plateau_is_no_saving() -> None:
    """A baseline that stops gaining at 8 of 64 samples: an identical search saves nothing."""
    planted = world("plateau", headline=Vote(weight=1.3, cap=8))
    evidence, about = planted.study(PROBLEMS, 10), setting(planted)
    assert judged(evidence, about)[4, "wu2024"].verdict == UNDECIDED
    for policy in about.policies:
        search = evidence.series[policy, replace(HEADLINE, generator="rebase")]
        factor = factor_saved(search, evidence.series[policy, HEADLINE], "wu2024", evidence)
        assert factor.low <= 1.0 <= factor.high or factor.low == 0.0
