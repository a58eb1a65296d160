"""Every fit of an experiment, and the rows of `fits.csv` and `differences.csv`.

The columns are described in docs/design/costs-and-fits.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isoflop.bootstrap import difference_interval
from isoflop.costs import COST_MODELS
from isoflop.curves import Curve, CurveKey, csv_text, fraction, number
from isoflop.fits import (
    Estimate,
    Fit,
    akaike_weights,
    fit_coverage_power_law,
    fit_exponential_in_compute,
    fit_exponential_saturation,
    fit_optimal_size,
    fit_power_law,
    fit_power_law_with_floor,
)
from isoflop.frontier import MeasuredCurve, PolicyFrontier, policy_frontier

Floats = NDArray[np.float64]

FITS_COLUMNS = (
    "experiment", "dataset", "policy", "generator", "verifier", "selector", "step_aggregation", "subset",
    "cost_model", "fit", "parameter", "value", "ci_low", "ci_high", "status", "points", "r_squared", "aicc",
    "note",
)  # fmt: skip
DIFFERENCES_COLUMNS = (
    "experiment", "dataset", "subset", "comparison", "left", "right", "budget", "difference", "ci_low",
    "ci_high",
)  # fmt: skip
# A limit is undetermined where the pool leaves the vote open on more than this share of the problems.
_MOST_OPEN = 0.1
_VOTING = ("majority", "weighted", "best_of_n")
# At one sample every selector answers alike; the first that both policies have stands for all.
_SINGLE_SAMPLE = ("none", "majority", "pass", "best_of_n", "weighted")


class NamedFit(NamedTuple):
    """A fit with what it is about; `key.policy` is `all` where it spans policies."""

    key: CurveKey
    cost_model: str
    fit: Fit


class Frontier(NamedTuple):
    """The frontier of one strategy over `policies` (ordered by size, [p] names and parameters)."""

    key: CurveKey
    cost_model: str
    policies: tuple[str, ...]
    params: NDArray[np.int64]
    frontier: PolicyFrontier
    fit: Fit


@dataclass
class Outcome:
    """All that is fitted for one experiment."""

    fits: list[NamedFit] = field(default_factory=list)
    frontiers: list[Frontier] = field(default_factory=list)


def fit_all(curves: Sequence[Curve], level: float) -> Outcome:
    """Every fit of every curve of subset `all` with at least two budgets, then the sizes' frontiers.

    Chains of revisions are compared with one another (isoflop.choice_study), not fitted.
    """
    outcome = Outcome()
    whole = [curve for curve in curves if curve.key.subset == "all" and not curve.key.of_chains]
    for curve in whole:
        if curve.budgets.size > 1:
            outcome.fits += _curve_fits(curve, level)
    for key, group in by_strategy(whole).items():
        if len(group) > 1 and max(curve.budgets.size for curve in group) > 1:
            _fit_sizes(outcome, key, group, level)
    return outcome


def fits_csv(outcome: Outcome, curves: Sequence[Curve], experiment: str) -> str:
    """`fits.csv`: a row per parameter; one row without a parameter where a fit has none to report."""
    rows: list[list[str]] = []
    for curve in curves:
        if curve.limit is not None:
            limit = curve.limit
            estimate = Estimate(limit.accuracy, limit.low, limit.high)
            status = "ok" if limit.open_share <= _MOST_OPEN else "undetermined"
            note = f"vote of the whole pool, which leaves {limit.open_share:.0%} of the problems open"
            fit = Fit("limit", status, note, 0, parameters={"accuracy": estimate})
            rows += _fit_rows(NamedFit(curve.key, "none", fit), experiment)
    for named in outcome.fits:
        rows += _fit_rows(named, experiment)
    return csv_text(FITS_COLUMNS, rows)


def differences_csv(curves: Sequence[Curve], experiment: str, level: float) -> str:
    """`differences.csv`: paired differences of accuracy for subset `all`."""
    whole = [curve for curve in curves if curve.key.subset == "all"]
    rows = []
    for name, left, i, right, j in _comparisons(whole):
        low, high = difference_interval(left.credits[i], right.credits[j], left.weights, level)
        values = [fraction(value) for value in (left.accuracy[i] - right.accuracy[j], low, high)]
        key = left.key
        labels = [name, key.label, right.key.label, str(left.budgets[i])]
        rows.append([experiment, key.dataset, key.subset, *labels, *values])
    return csv_text(DIFFERENCES_COLUMNS, rows)


def _curve_fits(curve: Curve, level: float) -> list[NamedFit]:
    error, error_draws = 1.0 - curve.accuracy, 1.0 - curve.draws
    found = []
    for cost_model in COST_MODELS:
        cost = curve.measured[cost_model]
        forms = [
            fit(cost, error, error_draws, level)
            for fit in (fit_power_law_with_floor, fit_power_law, fit_exponential_in_compute)
        ]
        for form, share in zip(forms, akaike_weights(forms), strict=True):
            fit = form
            if share is not None:
                weight = Estimate(share, np.nan, np.nan)
                fit = replace(form, parameters=form.parameters | {"akaike_weight": weight})
            found.append(NamedFit(curve.key, cost_model, fit))
    if curve.key.selector == "pass":
        coverage = fit_coverage_power_law(curve.budgets, curve.accuracy, curve.draws, level)
        found.append(NamedFit(curve.key, "samples", coverage))
    elif curve.key.selector in _VOTING:
        saturation = fit_exponential_saturation(curve.budgets, curve.accuracy, curve.draws, level)
        found.append(NamedFit(curve.key, "samples", saturation))
    return found


def by_strategy(curves: Sequence[Curve]) -> dict[CurveKey, list[Curve]]:
    """Curves of one strategy (policy `all` in the key) over policies, from small to large."""
    groups: dict[CurveKey, list[Curve]] = {}
    for curve in curves:
        groups.setdefault(curve.key._replace(policy="all"), []).append(curve)
    return {key: sorted(group, key=lambda c: c.policy_params) for key, group in groups.items()}


def _fit_sizes(outcome: Outcome, key: CurveKey, group: list[Curve], level: float) -> None:
    params = np.array([curve.policy_params for curve in group])
    names = tuple(curve.key.policy for curve in group)
    for cost_model in COST_MODELS:
        frontier = policy_frontier(
            [MeasuredCurve(c.measured[cost_model], 1.0 - c.accuracy, 1.0 - c.draws) for c in group]
        )
        if frontier is None:
            fit = Fit("optimal_size", "failed", "no range of budgets in which the policies compare", 0)
        else:
            never = [name for i, name in enumerate(names) if i not in frontier.best]
            sizes = params[frontier.best], params[frontier.draws]
            fit = fit_optimal_size(frontier.cost, *sizes, level, never)
            outcome.frontiers.append(Frontier(key, cost_model, names, params, frontier, fit))
        outcome.fits.append(NamedFit(key, cost_model, fit))


def _fit_rows(named: NamedFit, experiment: str) -> list[list[str]]:
    fit = named.fit
    head = [experiment, *named.key, named.cost_model, fit.name]
    tail = [fit.status, str(fit.points), number(fit.r_squared), number(fit.aicc), fit.note]
    if not fit.parameters:
        return [[*head, "", "", "", "", *tail]]
    return [
        [*head, name, number(e.value), number(e.low), number(e.high), *tail]
        for name, e in fit.parameters.items()
    ]


def _comparisons(curves: Sequence[Curve]) -> Iterable[tuple[str, Curve, int, Curve, int]]:
    """Name, left curve and its budget's index, right curve and its budget's index."""
    by_key = {curve.key: curve for curve in curves}
    pairs = (("weighted", "majority"), ("best_of_n", "majority"), ("best_of_n", "weighted"))
    for left_selector, right_selector in pairs:
        for left in curves:
            if left.key.selector != left_selector:
                continue
            verifier = (
                {"verifier": "none", "step_aggregation": "none"} if right_selector == "majority" else {}
            )
            right = by_key.get(left.key._replace(selector=right_selector, **verifier))
            if right is not None:
                name = f"{left_selector} - {right_selector}"
                for budget in sorted(set(left.budgets.tolist()) & set(right.budgets.tolist()) - {1}):
                    yield name, left, _at(left, budget), right, _at(right, budget)
    for curve in curves:
        if curve.budgets.size > 1 and curve.budgets[0] == 1:
            yield "largest budget - one sample", curve, curve.budgets.size - 1, curve, 0
    yield from _policy_comparisons(curves)


def _policy_comparisons(curves: Sequence[Curve]) -> Iterable[tuple[str, Curve, int, Curve, int]]:
    single = [curve for curve in curves if 1 in curve.budgets]
    done = set()
    for selector in _SINGLE_SAMPLE:
        for key, group in by_strategy([c for c in single if c.key.selector == selector]).items():
            if (key.dataset, key.generator) in done or len(group) < 2:
                continue
            done.add((key.dataset, key.generator))
            for smaller, larger in pairwise(group):
                yield "policy - next smaller policy", larger, _at(larger, 1), smaller, _at(smaller, 1)


def _at(curve: Curve, budget: int) -> int:
    return int(np.searchsorted(curve.budgets, budget))
