"""The rows of `draws.parquet`: what figures draw beside the curves.

The columns are described in docs/design/costs-and-fits.md.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from isoflop.fits.curves import Curve, CurveKey
from isoflop.fits.fitting import Fit, interval
from isoflop.fits.frontier import pareto
from isoflop.fits.tables import Frontier, NamedFit, Outcome, by_strategy
from isoflop.registries import cost_columns, curves_column, fitted_costs
from isoflop.strategy import NONE

DRAWS = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in CurveKey._fields),
        pa.field("cost_model", pa.string(), nullable=False),
        pa.field("fit", pa.string(), nullable=False),
        pa.field("x", pa.float64()),
        pa.field("y", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
    ]
)

_ORACLE = "pass"

Point = tuple[float | None, float | None, float | None, float | None]


def draws_columns(
    outcome: Outcome,
    curves: Sequence[Curve],
    level: float,
    families: Mapping[str, str],
    costs: Sequence[str] = (),
) -> dict[str, list[object]]:
    """The columns of `draws.parquet` (schema DRAWS).

    Parameters
    ----------
    outcome
        All that was fitted.
    curves
        Of all subsets, in the order of `curves.csv`.
    level
        Confidence of intervals, in (0, 1).
    families
        Of the policies (`all` where one is not named).
    costs
        Cost models beyond those of every study.
    """
    table = _Columns()
    row = 0
    first_rows: dict[CurveKey, int] = {}
    for curve in curves:
        first_rows[curve.key] = row
        row += curve.budgets.size
        if curve.limit is not None:
            limit = (None, curve.limit.accuracy, curve.limit.low, curve.limit.high)
            table.add("limit", curve.key, "none", "limit", [limit])
    for named in outcome.fits:
        _add_fit(table, named)
    for frontier in outcome.frontiers:
        _add_frontier(table, frontier, level)
    plain = [curve for curve in curves if curve.key.subset == "all" and not curve.key.of_chains]
    _add_pareto(table, plain, first_rows, families, cost_columns(fitted_costs(costs)))
    return table.columns


class _Columns:
    """Columns of schema DRAWS, filled row by row."""

    def __init__(self) -> None:
        self.columns: dict[str, list[object]] = {name: [] for name in DRAWS.names}

    def add(
        self,
        kind: str,
        key: CurveKey,
        cost_model: str,
        fit: str,
        points: Sequence[Point],
        row: int = -1,
    ) -> None:
        """One row per point (x, y, low, high)."""
        shared = (kind, row, *key, curves_column(cost_model), fit)
        for name, value in zip(DRAWS.names, shared, strict=False):
            self.columns[name] += [value] * len(points)
        for name, values in zip(("x", "y", "low", "high"), zip(*points, strict=True), strict=True):
            self.columns[name] += values


def _add_fit(table: _Columns, named: NamedFit) -> None:
    fit = named.fit
    if fit.band is None or fit.status != "ok":
        return
    band = fit.band
    points = list(zip(*(v.tolist() for v in (band.x, band.y, band.low, band.high)), strict=True))
    table.add("fit", named.key, named.cost_model, fit.name, points)
    residuals = zip(fit.x.tolist(), fit.residuals.tolist(), strict=True)
    table.add("residual", named.key, named.cost_model, fit.name, [(x, y, None, None) for x, y in residuals])


def _add_frontier(table: _Columns, named: Frontier, level: float) -> None:
    frontier, params = named.frontier, named.params
    low, high = interval(params[frontier.draws].astype(np.float64), level)
    for i, best in enumerate(frontier.best.tolist()):
        key = named.key._replace(policy=named.policies[best])
        point = (float(frontier.cost[i]), float(params[best]), float(low[i]), float(high[i]))
        table.add("optimal_size", key, named.cost_model, "none", [point])
    for policy, shares in zip(named.policies, frontier.probability, strict=True):
        points = [(x, y, None, None) for x, y in zip(frontier.cost.tolist(), shares.tolist(), strict=True)]
        table.add("best_policy", named.key._replace(policy=policy), named.cost_model, "none", points)
    entries = zip(named.policies, named.singles.tolist(), named.params.tolist(), strict=True)
    for policy, single, size in entries:
        entry: Point = (single, float(size), None, None)
        table.add("entry_price", named.key._replace(policy=policy), named.cost_model, "none", [entry])
    fit = named.fit
    crossings: list[Point] = [
        (float(10.0 ** (at + off)), float(10.0**size), None, None)
        for size, at, off in zip(fit.x.tolist(), _on_line(fit), fit.residuals.tolist(), strict=True)
    ]
    if crossings:
        table.add("crossing", named.key, named.cost_model, "optimal_size", crossings)
    _add_line(table, named)


def _on_line(fit: Fit) -> list[float]:
    """log10 C of the regression at each crossing."""
    if not fit.parameters:
        return []
    alpha, beta = (fit.parameters[name].value for name in ("alpha", "beta"))
    return [alpha * size + beta for size in fit.x.tolist()]


def _add_line(table: _Columns, named: Frontier) -> None:
    """The regression of the optimal size at both ends of the budgets, where it has a rising slope."""
    if "alpha" not in named.fit.parameters or named.fit.parameters["alpha"].value <= 0.0:
        return
    alpha, beta = (named.fit.parameters[name].value for name in ("alpha", "beta"))
    ends = (float(named.frontier.cost[0]), float(named.frontier.cost[-1]))
    points: list[Point] = [(x, float(10.0 ** ((np.log10(x) - beta) / alpha)), None, None) for x in ends]
    table.add("optimal_size_fit", named.key, named.cost_model, "optimal_size", points)


def _add_pareto(
    table: _Columns,
    curves: Sequence[Curve],
    first_rows: dict[CurveKey, int],
    families: Mapping[str, str],
    costs: Sequence[str],
) -> None:
    """Measured points that no other beats: within a strategy over a family's policies, greedy answers among
    them, then over all strategies and policies but the oracle.

    A greedy point on a strategy's frontier has the strategy's key, its own policy, and `greedy` as its fit.
    """
    greedy = [curve for curve in curves if curve.key.selector == NONE]
    selectable: dict[str, list[Curve]] = {}
    for curve in curves:
        if curve.key.selector != _ORACLE:
            selectable.setdefault(curve.key.dataset, []).append(curve)
    for key, group in by_strategy(curves, families).items():
        single = [
            curve
            for curve in greedy
            if curve.key.dataset == key.dataset
            and families.get(curve.key.policy, "all") == key.policy
            and key.selector not in (NONE, _ORACLE)
            and curve.key.subset == key.subset
        ]
        _add_front(table, "pareto", [*group, *single], first_rows, key, costs)
    for group in selectable.values():
        _add_front(table, "pareto_all", group, first_rows, None, costs)


def _add_front(
    table: _Columns,
    kind: str,
    group: Sequence[Curve],
    first_rows: dict[CurveKey, int],
    strategy: CurveKey | None,
    costs: Sequence[str],
) -> None:
    everyone = [(curve, i) for curve in group for i in range(curve.budgets.size)]
    for cost_model in costs:
        # What nobody knows the cost of is on no frontier.
        members = [(curve, i) for curve, i in everyone if np.isfinite(curve.measured[cost_model][i])]
        error = np.array([1.0 - curve.accuracy[i] for curve, i in members])
        cost = np.array([curve.measured[cost_model][i] for curve, i in members])
        for at in np.flatnonzero(pareto(cost, error)).tolist():
            curve, i = members[at]
            point = (
                float(cost[at]),
                float(error[at]),
                float(1.0 - curve.high[i]),
                float(1.0 - curve.low[i]),
            )
            key, fit = curve.key, "none"
            if strategy is not None and curve.key.generator != strategy.generator:
                key, fit = strategy._replace(policy=curve.key.policy), "greedy"
            table.add(kind, key, cost_model, fit, [point], first_rows[curve.key] + i)
