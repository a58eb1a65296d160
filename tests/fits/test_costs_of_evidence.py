"""Evidence at equal cost: by rising cost, and without what nobody knows the cost of."""

import numpy as np

from isoflop.claims.wu2024 import wu_claims
from isoflop.fits.bootstrap import problem_weights
from isoflop.fits.evidence import Evidence, Series
from isoflop.planted.cases import setting, world
from isoflop.strategy import Strategy
from isoflop.verdicts.judge import ANY, NOT_TESTED

PROBLEMS = 30


def series(name: str, seconds: list[float]) -> Series:
    """Of three budgets whose credits are their indices."""
    credits = np.repeat(np.arange(3.0)[:, None] / 2, PROBLEMS, axis=1)
    costs = {"total": np.array([1.0, 2.0, 4.0]), "seconds": np.array(seconds)}
    return Series("small", Strategy(name, "majority"), np.array([1, 2, 4]), credits, costs)


def evidence(*found: Series) -> Evidence:
    return Evidence(
        "d",
        [str(place) for place in range(PROBLEMS)],
        None,
        {(one.policy, one.strategy): one for one in found},
        problem_weights(PROBLEMS, 10, 1),
        0.95,
    )


def test_what_costs_less_comes_first_where_budgets_do_not_say_it() -> None:
    """A search at a larger budget that took less time."""
    searched = series("rebase", [5.0, 3.0, 9.0])
    ordered = evidence(searched).under("seconds").get("small", searched.strategy)
    assert ordered is not None
    assert ordered.budgets.tolist() == [2, 1, 4]
    assert ordered.costs["seconds"].tolist() == [3.0, 5.0, 9.0]
    assert ordered.costs["total"].tolist() == [2.0, 1.0, 4.0]
    # Four seconds buy what lies between the second budget, half right, and the first, none right.
    bought = ordered.at_cost(4.0, "seconds")
    share = np.log(4 / 3) / np.log(5 / 3)
    assert bought is not None
    assert np.allclose(bought, 0.5 * (1 - share))
    budget = ordered.at_budget(4)
    assert budget is not None
    assert budget.tolist() == [1.0] * PROBLEMS
    assert evidence(searched).under("total").get("small", searched.strategy) is searched


def test_what_nobody_knows_the_cost_of_is_not_compared() -> None:
    known, unknown = series("rebase", [1.0, 2.0, 3.0]), series("sampling", [np.nan] * 3)
    both = evidence(known, unknown)
    assert list(both.under("seconds").series) == [("small", known.strategy)]
    assert both.under("total").series == both.series


def test_claims_under_an_unknown_cost_say_what_is_missing() -> None:
    planted = world("w")
    study = planted.study(40, 1)
    for one in study.series.values():
        one.costs["seconds"] = np.full(one.budgets.size, np.nan)  # type: ignore[index]
    for judged in wu_claims(study, setting(planted), ("seconds",)):
        if judged.claim.cost_model != ANY:
            assert judged.verdict == NOT_TESTED
            assert (
                judged.claim.missing
                == "seconds is not known: it needs measured times, which imported work lacks"
            )
