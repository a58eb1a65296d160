"""Credits per problem to curves: accuracy with its interval and cost, over budgets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from isoflop.arrays import Floats
from isoflop.errors import UserError
from isoflop.estimate import fraction, number
from isoflop.fits.bootstrap import Resampling, accuracy_interval
from isoflop.registries import COST_MODELS, CostModelName, cost_columns, measured_costs
from isoflop.tables import CURVES_COLUMNS, NO_LEVEL, subsets

_STRATEGY = ["verifier", "selector", "step_aggregation"]
_BOUNDS = ("limit_low", "limit_high")


class CreditsInput(BaseModel):
    """What one credits table is about.

    Attributes
    ----------
    dataset, policy, generator
        Names in the config.
    tokens_estimated, counted
        Whether its tokens were not all counted, and whether it counts right samples alone, without texts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str = Field(min_length=1)
    policy: str = Field(min_length=1)
    generator: str = Field(min_length=1)
    tokens_estimated: bool = False
    counted: bool = False


class FitSpec(BaseModel):
    """All that decides the fit stage's tables, next to the credits they are made from.

    Attributes
    ----------
    experiment
        Its name, the first column of every table.
    inputs
        One per credits table, in their order.
    families
        Of the policies; a policy that is not named belongs to the family `all`.
    searches, published_searches
        The generators that search, and those whose searches are imported.
    common
        Curves are over the problems that all tables of a data set have.
    thinking
        Of each model that thinks, the policies by how long.
    costs
        Cost models beyond those of every study.
    draws
        Bootstrap replicates.
    level
        Confidence of all intervals, in (0, 1).
    seed
        The experiment's.
    code
        Digest of the stage's import closure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    experiment: str = Field(min_length=1)
    inputs: tuple[CreditsInput, ...] = Field(min_length=1)
    families: Mapping[str, str] = Field(default_factory=dict)
    searches: tuple[str, ...] = ()
    thinking: tuple[tuple[str, ...], ...] = ()
    published_searches: tuple[str, ...] = ()
    common: bool = False
    costs: tuple[CostModelName, ...] = ()
    draws: int = Field(default=1000, ge=2)
    level: float = Field(default=0.95, gt=0.0, lt=1.0)
    seed: int
    code: str

    @model_validator(mode="after")
    def _inputs_are_distinct(self) -> Self:
        if len({(table.dataset, table.policy, table.generator) for table in self.inputs}) != len(self.inputs):
            raise ValueError("inputs: the same dataset, policy and generator are named twice")
        return self


class CurveKey(NamedTuple):
    """What one curve is about.

    Attributes
    ----------
    dataset, policy, generator, verifier, selector, step_aggregation
        Names; "none" where a part is not used.
    subset
        `all`, or the number of a level.
    """

    dataset: str
    policy: str
    generator: str
    verifier: str
    selector: str
    step_aggregation: str
    subset: str

    @property
    def of_chains(self) -> bool:
        """Whether it is about chains of revisions of one length (`revisions/4`): no law is fitted to it."""
        return "/" in self.generator

    @property
    def label(self) -> str:
        """`policy/generator/verifier/selector/step_aggregation`."""
        return "/".join((self.policy, self.generator, self.verifier, self.selector, self.step_aggregation))


@dataclass(frozen=True)
class Limit:
    """Accuracy at infinitely many samples.

    Attributes
    ----------
    accuracy
        Of the vote of the whole pool, in [0, 1].
    low, high
        What it may be between: they hold both the problems' chance and the votes that the pool leaves open,
        which go wrong in the one and right in the other.
    open_share
        The share of problems with such a vote.

    References
    ----------
    Wu et al. 2024, Inference Scaling Laws, Theorems 1 and 2. doi:10.48550/arXiv.2408.00724
    """

    accuracy: float
    low: float
    high: float
    open_share: float


@dataclass(frozen=True)
class Curve:
    """Accuracy over budgets, m of them, for P problems.

    Attributes
    ----------
    key
        What the curve is about.
    policy_params
        Parameters of the policy; None where they are not known.
    budgets
        Numbers of samples, rising, [m].
    credits
        Expected correctness, problems by identifier, [m, P].
    weights
        Of the bootstrap, shared by all curves of the data set and subset, [draws, P].
    accuracy, low, high
        Mean credit and its interval, [m].
    draws
        The accuracy in every bootstrap replicate, [draws, m].
    measured
        Cost per problem by the column of its cost model, [m]; nan where it is not known.
    limit
        At infinitely many samples; None where it was not estimated.
    tokens_estimated, counted
        Whether tokens were not all counted, and whether it is coverage from counts of right samples.
    """

    key: CurveKey
    policy_params: int | None
    budgets: NDArray[np.int64]
    credits: Floats
    weights: Floats
    accuracy: Floats
    low: Floats
    high: Floats
    draws: Floats
    measured: dict[str, Floats]
    limit: Limit | None
    tokens_estimated: bool = False
    counted: bool = False


def build_curves(
    credits: pd.DataFrame,
    about: CreditsInput,
    policy_params: int | None,
    resampling: Resampling,
    *,
    level: float,
    source: str,
    costs: Sequence[str] = (),
) -> list[Curve]:
    """Every curve of one credits table, by verifier, selector, step aggregation, then subset (`all` first).

    Parameters
    ----------
    credits
        Columns of `isoflop.tables.CREDITS`, and of `costs`.
    about
        What the table is about.
    policy_params
        Parameters of its policy; None where they are not known.
    resampling
        The bootstrap of all tables.
    level
        Confidence of intervals, in (0, 1).
    source
        What errors name: the file.
    costs
        Cost models beyond those of every study.

    Raises
    ------
    UserError
        Where problems are missing, doubled or differ between tables, or a number is out of range.
    """
    credits = credits[credits["half"] == 0]
    measured = cost_columns(measured_costs(costs))
    _check_numbers(credits, measured, source)
    problems = sorted(set(credits["problem_id"]))
    resampling.check(about.dataset, problems, source)
    ordered = credits.sort_values([*_STRATEGY, "budget", "problem_id"], kind="stable")
    levels = resampling.levels.setdefault(about.dataset, _levels(ordered, source))
    curves = []
    for group, rows in ordered.groupby(_STRATEGY, sort=True):
        strategy = cast(tuple[str, str, str], group)
        if any(ids != problems for _, ids in rows.groupby("budget")["problem_id"].agg(list).items()):
            raise UserError(
                f"{source}: strategy {'/'.join(strategy)} does not have every problem exactly once "
                "at every budget; delete the file and run again"
            )
        shape = (-1, len(problems))
        budgets = rows["budget"].to_numpy(np.int64).reshape(shape)[:, 0]
        columns = {
            name: rows[name].to_numpy(np.float64).reshape(shape) for name in ("credit", *_BOUNDS, *measured)
        }
        for subset, mask in subsets(levels).items():
            key = CurveKey(about.dataset, about.policy, about.generator, *strategy, subset)
            weights = resampling.weights(about.dataset, subset, int(mask.sum()))
            chosen = {name: np.ascontiguousarray(values[:, mask]) for name, values in columns.items()}
            curves.append(
                _curve(
                    key,
                    policy_params,
                    budgets,
                    chosen,
                    measured=measured,
                    weights=weights,
                    level=level,
                    about=about,
                )
            )
    return curves


def curves_columns(costs: Sequence[str] = ()) -> tuple[str, ...]:
    """The columns of `curves.csv` of a study with these cost models beyond those of every study.

    Parameters
    ----------
    costs
        Cost models beyond those of every study.
    """
    further = (COST_MODELS[name].curves_column for name in costs)
    return tuple(dict.fromkeys((*CURVES_COLUMNS, *further)))


def curves_csv(curves: Sequence[Curve], experiment: str, costs: Sequence[str] = ()) -> str:
    """`curves.csv`: one row per curve and budget, columns `curves_columns(costs)`.

    Parameters
    ----------
    curves
        In the order of the table.
    experiment
        Its name.
    costs
        Cost models beyond those of every study.
    """
    rows = []
    usual, columns = cost_columns(measured_costs()), cost_columns(measured_costs(costs))
    for curve in curves:
        key = curve.key
        for i, budget in enumerate(curve.budgets.tolist()):
            accuracies = [fraction(values[i]) for values in (curve.accuracy, curve.low, curve.high)]
            measured = {name: number(curve.measured[name][i]) for name in columns}
            params = "" if curve.policy_params is None else str(curve.policy_params)
            head = [experiment, key.dataset, key.policy, params, *key[2:], str(budget)]
            paid, further = (
                [measured[name] for name in usual],
                [measured[name] for name in columns[len(usual) :]],
            )
            estimated = "true" if curve.tokens_estimated else "false"
            rows.append([*head, str(curve.credits.shape[1]), *accuracies, *paid, estimated, *further])
    return csv_text(curves_columns(costs), rows)


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """CSV with a header and Unix line ends.

    Parameters
    ----------
    columns
        Names.
    rows
        Cells, as many in each row as there are columns.
    """
    return pd.DataFrame(rows, columns=list(columns)).to_csv(index=False, lineterminator="\n")


def _levels(ordered: pd.DataFrame, source: str) -> NDArray[np.int64]:
    """The level of each problem, by identifier; NO_LEVEL where it has none."""
    pairs = ordered[["problem_id", "level"]].drop_duplicates()
    if pairs["problem_id"].duplicated().any():
        name = pairs.loc[pairs["problem_id"].duplicated(), "problem_id"].iloc[0]
        raise UserError(f"{source}: problem {name} has two levels; delete the file and run again")
    numbers = pairs.sort_values("problem_id")["level"].to_numpy(np.float64, na_value=np.nan)
    levels: NDArray[np.int64] = np.nan_to_num(numbers, nan=NO_LEVEL).astype(np.int64)
    return levels


def _check_numbers(credits: pd.DataFrame, measured: Sequence[str], source: str) -> None:
    if credits.empty:
        raise UserError(f"{source}: no rows; delete the file and run again")
    credit = credits["credit"].to_numpy(np.float64)
    wrong = ~((credit >= 0.0) & (credit <= 1.0 + 1e-9))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UserError(f"{source}: row {row}: credit is {credit[row]:g}, but must lie in [0, 1]")
    # Infinitely many samples (budget 0) have no finite cost.
    finite = credits["budget"].to_numpy() > 0
    verifiers = credits["verifier"].to_numpy()
    for name in measured:
        values = credits[name].to_numpy(np.float64)
        unknown = np.zeros_like(finite)
        for verifier in dict.fromkeys(verifiers.tolist()):
            # Who is of unknown size, price or speed is so at every budget and on every problem.
            own = finite & (verifiers == verifier)
            unknown |= own & np.isnan(values[own]).all()
        wrong = ~(np.isfinite(values) & (values >= 0.0)) & finite & ~unknown
        if wrong.any():
            row = int(np.argmax(wrong))
            raise UserError(
                f"{source}: row {row}: {name} is {values[row]:g}, but must be finite and at least 0"
            )


def _curve(
    key: CurveKey,
    policy_params: int | None,
    budgets: NDArray[np.int64],
    columns: dict[str, Floats],
    *,
    measured: Sequence[str],
    weights: Floats,
    level: float,
    about: CreditsInput,
) -> Curve:
    credits = columns["credit"]
    accuracy, draws = credits.mean(axis=1), weights @ credits.T
    bounds = np.array([accuracy_interval(row, weights, level) for row in credits])
    finite = budgets > 0
    limit = None
    if not finite.all():
        at = int(np.argmin(finite))
        worst, best = (columns[name][at] for name in _BOUNDS)
        limit = Limit(
            float(accuracy[at]),
            accuracy_interval(worst, weights, level).low,
            accuracy_interval(best, weights, level).high,
            float((best - worst).mean()),
        )
    return Curve(
        key=key,
        policy_params=policy_params,
        budgets=budgets[finite],
        credits=credits[finite],
        weights=weights,
        accuracy=accuracy[finite],
        low=bounds[finite, 0],
        high=bounds[finite, 1],
        draws=draws[:, finite],
        measured={name: columns[name][finite].mean(axis=1) for name in measured},
        limit=limit,
        tokens_estimated=about.tokens_estimated,
        counted=about.counted,
    )
