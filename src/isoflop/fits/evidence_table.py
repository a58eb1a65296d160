"""The credits of every strategy on every problem as one table, and back to what tests are made on.

The table is all that intervals, verdicts and headlines come from: whoever has it can compute them again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from isoflop.errors import UserError
from isoflop.fits.bootstrap import Resampling, dataset_weights
from isoflop.fits.curves import Curve
from isoflop.fits.evidence import Evidence, Series
from isoflop.registries import COST_MODELS, cost_columns, fitted_costs
from isoflop.strategy import Strategy
from isoflop.tables import MEASURED, with_columns

# Parameters of a policy of unknown size.
_UNKNOWN = 0


def measured_schema(costs: Sequence[str] = ()) -> pa.Schema:
    """MEASURED of a study with these cost models beyond those of every study.

    Parameters
    ----------
    costs
        Cost models beyond those of every study.
    """
    return with_columns(MEASURED, cost_columns(fitted_costs(costs)))


def measured_columns(curves: Sequence[Curve], costs: Sequence[str] = ()) -> dict[str, list[object]]:
    """The columns of `measured_schema(costs)`: curves of subset `all` in their order, by rising budget.

    Parameters
    ----------
    curves
        Of all subsets.
    costs
        Cost models beyond those of every study.
    """
    columns: dict[str, list[object]] = {name: [] for name in measured_schema(costs).names}
    for curve in curves:
        if curve.key.subset != "all":
            continue
        count = curve.budgets.size
        for name, value in curve.key._asdict().items():
            if name in columns:
                columns[name] += [value] * count
        columns["policy_params"] += [curve.policy_params or _UNKNOWN] * count
        columns["budget"] += curve.budgets.tolist()
        for column in cost_columns(fitted_costs(costs)):
            columns[column] += curve.measured[column].tolist()
        columns["credits"] += curve.credits.tolist()
    return columns


def measured_metadata(resampling: Resampling, level: float) -> dict[str, object]:
    """What belongs to the columns: problems and levels by data set, and what fixes the bootstrap.

    Parameters
    ----------
    resampling
        That the curves were made with.
    level
        Confidence of intervals, in (0, 1).
    """
    problems = {
        name: {"ids": resampling.problems(name), "levels": levels.tolist()}
        for name, levels in resampling.levels.items()
    }
    bootstrap = {"draws": resampling.draws, "seed": resampling.seed, "level": level}
    return {"problems": problems, "bootstrap": bootstrap}


def read_evidence(
    table: pa.Table, metadata: Mapping[str, Any], source: str, costs: Sequence[str] = ()
) -> dict[str, Evidence]:
    """The evidence of every data set.

    Parameters
    ----------
    table
        Columns of MEASURED.
    metadata
        As `measured_metadata` gives it.
    source
        What errors name: the file.
    costs
        Cost models beyond those of every study.

    Raises
    ------
    UserError
        Where credits and problems do not belong together.
    """
    bootstrap = metadata["bootstrap"]
    evidence = {}
    for dataset, about in metadata["problems"].items():
        rows = [row for row in table.to_pylist() if row["dataset"] == dataset]
        groups: dict[tuple[str, Strategy], list[dict[str, Any]]] = {}
        for row in rows:
            if len(row["credits"]) != len(about["ids"]):
                raise UserError(
                    f"{source}: {row['policy']}/{row['generator']} at budget {row['budget']} has "
                    f"{len(row['credits'])} credits for {len(about['ids'])} problems; delete it and run again"
                )
            parts = (row[name] for name in ("generator", "selector", "verifier", "step_aggregation"))
            groups.setdefault((row["policy"], Strategy(*parts)), []).append(row)
        levels = np.array(about["levels"], dtype=np.int64)
        evidence[dataset] = Evidence(
            dataset=dataset,
            problems=about["ids"],
            levels=None if (levels < 0).any() else levels,
            series={key: _series(*key, group, fitted_costs(costs)) for key, group in groups.items()},
            weights=dataset_weights(dataset, len(about["ids"]), bootstrap["draws"], bootstrap["seed"]),
            level=bootstrap["level"],
        )
    return evidence


def parameters(table: pa.Table) -> dict[str, int]:
    """Parameters of every policy whose size is known.

    Parameters
    ----------
    table
        Columns of MEASURED.
    """
    pairs = zip(table["policy"].to_pylist(), table["policy_params"].to_pylist(), strict=True)
    return {policy: params for policy, params in pairs if params != _UNKNOWN}


def _series(
    policy: str, strategy: Strategy, rows: Sequence[Mapping[str, Any]], costs: Sequence[str]
) -> Series:
    ordered = sorted(rows, key=lambda row: int(row["budget"]))
    return Series(
        policy=policy,
        strategy=strategy,
        budgets=np.array([row["budget"] for row in ordered]),
        credits=np.array([row["credits"] for row in ordered]),
        costs={cost: np.array([row[COST_MODELS[cost].column] for row in ordered]) for cost in costs},
    )
