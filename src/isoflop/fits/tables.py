"""Every fit of an experiment, and the rows of `fits.csv`.

The columns are described in docs/design/costs-and-fits.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isoflop.arrays import Floats
from isoflop.estimate import Estimate, number
from isoflop.fits.curves import Curve, CurveKey, csv_text
from isoflop.fits.fitting import Fit
from isoflop.fits.frontier import MeasuredCurve, PolicyFrontier, with_single
from isoflop.fits.optimal_size import size_law
from isoflop.fits.scaling_laws import (
    akaike_weights,
    fit_coverage_power_law,
    fit_exponential_in_compute,
    fit_exponential_saturation,
    fit_power_law,
    fit_power_law_with_floor,
)
from isoflop.registries import COST_MODELS, curves_column, fitted_costs, practical_selectors
from isoflop.strategy import NONE

FITS_COLUMNS = (
    "experiment", "dataset", "policy", "generator", "verifier", "selector", "step_aggregation", "subset",
    "cost_model", "fit", "parameter", "value", "ci_low", "ci_high", "status", "points", "r_squared", "aicc",
    "note",
)  # fmt: skip
# A limit is undetermined where the pool leaves the vote open on more than this share of the problems.
_MOST_OPEN = 0.1
# The vote of fewer samples than this says little of the limit, however sure each vote is.
FEWEST_SAMPLES = 16
UNKNOWN_COST = "unknown cost"
# What an unknown cost is told of, in place of all forms of error against it.
_FORMS = ("power_law_with_floor",)


class NamedFit(NamedTuple):
    """A fit with what it is about.

    Attributes
    ----------
    key
        Where the fit spans policies, its `policy` is the name of their family.
    cost_model
        Of the x, a column; `samples` or `none` where x is no cost.
    fit
        What it found.
    """

    key: CurveKey
    cost_model: str
    fit: Fit


class Frontier(NamedTuple):
    """The frontier of one strategy over its policies.

    Attributes
    ----------
    key
        Its `policy` is the name of the family.
    cost_model
        A column of costs.
    policies
        Names, by size, [p].
    params
        Their parameters, [p].
    singles
        The cost of their least budget, FLOPs, [p].
    frontier
        The best policy at every budget.
    fit
        The law of sizes.
    """

    key: CurveKey
    cost_model: str
    policies: tuple[str, ...]
    params: NDArray[np.int64]
    singles: Floats
    frontier: PolicyFrontier
    fit: Fit


@dataclass
class Outcome:
    """All that is fitted for one experiment.

    Attributes
    ----------
    fits
        Of curves, then of sizes.
    frontiers
        Of every strategy and cost model.
    """

    fits: list[NamedFit] = field(default_factory=list)
    frontiers: list[Frontier] = field(default_factory=list)


def fit_all(
    curves: Sequence[Curve], level: float, families: Mapping[str, str], costs: Sequence[str] = ()
) -> Outcome:
    """Every fit of every curve of subset `all` with at least two budgets, then the sizes' frontiers.

    Parameters
    ----------
    curves
        Of all subsets.
    level
        Confidence of intervals, in (0, 1).
    families
        Of the policies (`all` where one is not named); sizes are compared inside a family.
    costs
        Cost models beyond those of every study.

    Notes
    -----
    Chains of revisions are compared with one another (isoflop.allocation.study), not fitted.
    """
    outcome = Outcome()
    needs = {COST_MODELS[name].column: COST_MODELS[name].needs for name in fitted_costs(costs)}
    on_all = [curve for curve in curves if curve.key.subset == "all" and not curve.key.of_chains]
    for curve in on_all:
        if curve.budgets.size > 1:
            outcome.fits += _curve_fits(curve, level, needs)
    greedy = {(curve.key.dataset, curve.key.policy): curve for curve in on_all if curve.key.selector == NONE}
    for key, group in by_strategy(on_all, families).items():
        if len(group) > 1 and max(curve.budgets.size for curve in group) > 1:
            _fit_sizes(outcome, key, group, level, greedy, needs)
    return outcome


def fits_csv(outcome: Outcome, curves: Sequence[Curve], experiment: str) -> str:
    """`fits.csv`: a row per parameter; one row without a parameter where a fit has none to report.

    Parameters
    ----------
    outcome
        All that was fitted.
    curves
        Their limits come first.
    experiment
        Its name.
    """
    rows: list[list[str]] = []
    for curve in curves:
        if curve.limit is not None:
            limit = curve.limit
            estimate = Estimate(limit.accuracy, limit.low, limit.high)
            status = "ok" if limit.open_share <= _MOST_OPEN else "undetermined"
            note = f"vote of the whole pool, which leaves {limit.open_share:.0%} of the problems open"
            if curve.budgets[-1] < FEWEST_SAMPLES:
                status, note = "too few samples", f"{curve.budgets[-1]} samples, {FEWEST_SAMPLES} are needed"
            fit = Fit("limit", status, note, 0, parameters={"accuracy": estimate})
            rows += _fit_rows(NamedFit(curve.key, "none", fit), experiment)
    for named in outcome.fits:
        rows += _fit_rows(named, experiment)
    return csv_text(FITS_COLUMNS, rows)


def _curve_fits(curve: Curve, level: float, needs: Mapping[str, str]) -> list[NamedFit]:
    """`needs`: what must be known for a cost, by the column of its model."""
    fits = []
    for cost_model, needed in needs.items():
        if not _is_known(curve, cost_model):
            unknown = Fit(_FORMS[0], UNKNOWN_COST, f"{cost_model} needs {needed}", 0)
            fits.append(NamedFit(curve.key, cost_model, unknown))
            continue
        paid = _measured(curve, cost_model)
        forms = [
            fit(paid.cost, paid.error, paid.draws, level)
            for fit in (fit_power_law_with_floor, fit_power_law, fit_exponential_in_compute)
        ]
        for form, share in zip(forms, akaike_weights(forms), strict=True):
            fit = form
            if share is not None:
                weight = Estimate(share, np.nan, np.nan)
                fit = replace(form, parameters=form.parameters | {"akaike_weight": weight})
            fits.append(NamedFit(curve.key, cost_model, fit))
    if curve.key.selector == "pass":
        coverage = fit_coverage_power_law(curve.budgets, curve.accuracy, curve.draws, level)
        fits.append(NamedFit(curve.key, "samples", coverage))
    elif curve.key.selector in practical_selectors():
        saturation = fit_exponential_saturation(curve.budgets, curve.accuracy, curve.draws, level)
        fits.append(NamedFit(curve.key, "samples", saturation))
    return fits


def by_strategy(curves: Sequence[Curve], families: Mapping[str, str]) -> dict[CurveKey, list[Curve]]:
    """Curves of one strategy over its policies.

    Parameters
    ----------
    curves
        Of any strategies.
    families
        Of the policies (`all` where one is not named).

    Returns
    -------
    Curves from small to large policies, by strategy; the key's `policy` is the family.
    """
    groups: dict[CurveKey, list[Curve]] = {}
    for curve in curves:
        family = families.get(curve.key.policy, "all")
        groups.setdefault(curve.key._replace(policy=family), []).append(curve)
    return {key: sorted(group, key=_size) for key, group in groups.items()}


def _size(curve: Curve) -> float:
    """Parameters; those of unknown size come last."""
    return np.inf if curve.policy_params is None else curve.policy_params


def _fit_sizes(
    outcome: Outcome,
    key: CurveKey,
    group: list[Curve],
    level: float,
    greedy: Mapping[tuple[str, str], Curve],
    needs: Mapping[str, str],
) -> None:
    """The strategy alone, as the paper has it, and with the choice to answer greedily instead.

    There is no law of size where a size is unknown.
    """
    unsized = [curve.key.policy for curve in group if curve.policy_params is None]
    if unsized:
        fit = Fit("optimal_size", "unknown size", f"the size of {', '.join(unsized)} is not known", 0)
        outcome.fits.append(NamedFit(key, "none", fit))
        return
    params = np.array([curve.policy_params for curve in group])
    names = tuple(curve.key.policy for curve in group)
    singles = [greedy.get((key.dataset, name)) for name in names]
    for cost_model, needed in needs.items():
        unknown = [curve.key.policy for curve in group if not _is_known(curve, cost_model)]
        if unknown:
            note = f"{cost_model} needs {needed}; it is not known of {', '.join(unknown)}"
            outcome.fits.append(NamedFit(key, cost_model, Fit("optimal_size", UNKNOWN_COST, note, 0)))
            continue
        curves = [_measured(curve, cost_model) for curve in group]
        ended = all(curve.counted for curve in group)
        law = size_law(curves, names, params.tolist(), level, ended=ended)
        outcome.fits.append(NamedFit(key, cost_model, law.fit))
        if law.frontier is not None:
            least = np.array([curve.cost[0] for curve in curves])
            outcome.frontiers.append(Frontier(key, cost_model, names, params, least, law.frontier, law.fit))
        if all(single is not None and _is_known(single, cost_model) for single in singles):
            either = [
                with_single(curve, _measured(single, cost_model))
                for curve, single in zip(curves, singles, strict=True)
                if single is not None
            ]
            fit = size_law(either, names, params.tolist(), level).fit
            outcome.fits.append(NamedFit(key, cost_model, replace(fit, name="optimal_size_or_greedy")))


def _is_known(curve: Curve, cost_model: str) -> bool:
    return bool(np.isfinite(curve.measured[cost_model]).all())


def _measured(curve: Curve, cost_model: str) -> MeasuredCurve:
    """Errors by rising cost, which the seconds of searches need not do with the budget."""
    order = np.argsort(curve.measured[cost_model], kind="stable")
    return MeasuredCurve(
        curve.measured[cost_model][order], 1.0 - curve.accuracy[order], 1.0 - curve.draws[:, order]
    )


def _fit_rows(named: NamedFit, experiment: str) -> list[list[str]]:
    fit = named.fit
    head = [experiment, *named.key, curves_column(named.cost_model), fit.name]
    tail = [fit.status, str(fit.points), number(fit.r_squared), number(fit.aicc), fit.note]
    if not fit.parameters:
        return [[*head, "", "", "", "", *tail]]
    return [
        [*head, name, number(e.value), number(e.low), number(e.high), *tail]
        for name, e in fit.parameters.items()
    ]
