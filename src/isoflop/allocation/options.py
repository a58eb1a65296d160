"""What a choice is made between: strategies at their budgets, with credit and cost on every problem.

A family is a set of strategies: the searches and best-of-n of Snell et al. 2024, Figure 4, the ratios of
sequential to parallel revisions of Figure 8, or the selectors of one pool.

Where difficulty is told by a pool that is measured too, one half of it tells and the other is measured, both
ways: options are then gathered twice, with that generator's credits from one half each time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from isoflop.allocation.halves import WHOLE
from isoflop.arrays import Bools, Floats, Ints
from isoflop.errors import UserError
from isoflop.registries import COST_MODELS, cost_columns
from isoflop.strategy import NONE, needs_verifier

GENERATIONS = "generations"

# A cost that a budget exceeds by rounding alone is still within it.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class CreditsTable:
    """One generator's credits.

    Attributes
    ----------
    generator
        Its name.
    credits
        Columns of `isoflop.tables.CREDITS`.
    nominal
        What its budgets count as in samples; a budget that is not named counts as itself.
    source
        What errors name: the file.
    """

    generator: str
    credits: pd.DataFrame
    nominal: Mapping[int, float]
    source: str

    @property
    def made_by(self) -> str:
        """The entry of the config that made the pool; chains of all lengths (`revisions/4`) are of one."""
        return self.generator.partition("/")[0]


@dataclass(frozen=True)
class Member:
    """One strategy of a family.

    Attributes
    ----------
    name
        What the family calls it.
    table
        Of its generator.
    selector, verifier, step_aggregation
        How it picks.
    """

    name: str
    table: CreditsTable
    selector: str
    verifier: str
    step_aggregation: str


@dataclass(frozen=True)
class Options:
    """All options of one family on the same problems, in this order.

    Attributes
    ----------
    problems
        Identifiers, [problems].
    members, budgets
        By option, [options].
    credits
        [options, problems].
    costs
        By axis, [options, problems]; on the axis `generations` it is the number of samples an option counts
        as.
    """

    problems: Sequence[str]
    members: Sequence[str]
    budgets: Sequence[int]
    credits: Floats
    costs: Mapping[str, Floats]

    def of(self, member: str) -> Ints:
        """The options of one member, by rising budget.

        Parameters
        ----------
        member
            Its name.

        Returns
        -------
        Indices of options.
        """
        return np.array([index for index, name in enumerate(self.members) if name == member], dtype=int)

    def name(self, option: int) -> str:
        """`beam@16`.

        Parameters
        ----------
        option
            Its index.
        """
        return f"{self.members[option]}@{self.budgets[option]}"


def cost_axes(columns: Iterable[str]) -> tuple[str, ...]:
    """Those of a table's columns that are costs, in the order of cost models.

    Parameters
    ----------
    columns
        Of a table.
    """
    there = set(columns)
    return tuple(name for name in cost_columns(COST_MODELS.names) if name in there)


def gather_options(members: Sequence[Member], telling: str | None = None, half: int = WHOLE) -> Options:
    """Every member at every budget, problems by identifier; the limit is none of them.

    Parameters
    ----------
    members
        Of a family.
    telling
        A generator that counts with one half of its pool; a member that has no credits there is left out.
    half
        Which one.

    Raises
    ------
    UserError
        For a table without the member's selector, and for tables of different problems.

    Notes
    -----
    What a generator without a choice of answers makes (greedy) is an option as it is.
    """
    problems: list[str] = []
    first = ""
    names: list[str] = []
    budgets: list[int] = []
    credits: list[Floats] = []
    axes = cost_axes(members[0].table.credits.columns)
    costs: dict[str, list[Floats]] = {axis: [] for axis in (GENERATIONS, *axes)}
    for member in members:
        table, rows = member.table, _rows(member)
        rows = rows[rows["half"] == (half if table.made_by == telling else WHOLE)]
        if rows.empty:
            continue
        identifiers = sorted(set(rows["problem_id"]))
        if not problems:
            problems, first = identifiers, table.source
        if identifiers != problems:
            raise UserError(
                f"{table.source}: its problems are not those of {first}; delete both and run again"
            )
        for budget, group in rows.groupby("budget", sort=True):
            ordered = group.sort_values("problem_id", kind="stable")
            if ordered["problem_id"].tolist() != problems:
                raise UserError(
                    f"{table.source}: budget {budget} lacks problems or has one twice; delete it, run again"
                )
            names.append(member.name)
            budgets.append(int(str(budget)))
            credits.append(ordered["credit"].to_numpy(np.float64))
            for axis in axes:
                costs[axis].append(ordered[axis].to_numpy(np.float64))
            nominal = table.nominal.get(budgets[-1], float(budgets[-1]))
            costs[GENERATIONS].append(np.full(len(problems), nominal))
    return Options(problems, names, budgets, np.array(credits), {k: np.array(v) for k, v in costs.items()})


def mean_options(views: Sequence[Options]) -> Options:
    """Views of the same options as one: means of their credits and costs.

    Parameters
    ----------
    views
        At least one.
    """
    costs = {axis: np.mean([view.costs[axis] for view in views], axis=0) for axis in views[0].costs}
    return replace(views[0], credits=np.mean([view.credits for view in views], axis=0), costs=costs)


def affordable(options: Options, axis: str, targets: Floats) -> Bools:
    """Which options each budget can pay.

    Parameters
    ----------
    options
        Of a family.
    axis
        Of compute.
    targets
        Budgets in its unit, [targets].

    Returns
    -------
    [targets, options].

    Notes
    -----
    In generations, those that count as exactly that many samples: strategies are compared at the same number.
    In FLOPs, those whose mean cost is at most the target: what is left over is not spent.
    """
    mean = options.costs[axis].mean(axis=1)
    if axis == GENERATIONS:
        result: Bools = np.isclose(mean[None], targets[:, None])
    else:
        result = mean[None] <= targets[:, None] * (1 + _ROUNDING)
    return result


def _rows(member: Member) -> pd.DataFrame:
    table = member.table
    rows = table.credits[table.credits["budget"] > 0]
    if set(rows["selector"].unique()) == {NONE}:
        return rows
    rows = rows[rows["selector"] == member.selector]
    if needs_verifier(member.selector):
        picked = (rows["verifier"] == member.verifier) & (rows["step_aggregation"] == member.step_aggregation)
        rows = rows[picked]
    if rows.empty:
        raise UserError(
            f"{table.source}: has no {member.selector} with verifier {member.verifier} and step aggregation "
            f"{member.step_aggregation}, which {member.name} needs; choose others in compute_optimal.families"
        )
    return rows
