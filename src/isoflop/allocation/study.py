"""A study of compute-optimal choice: credits and difficulties of every policy to curves of choice.

`Studied` is one family of strategies of one policy on one data set, with every difficulty and axis.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from isoflop.allocation.choice import NO_DIFFICULTY, Bins, ChoiceCurve, View, all_curves
from isoflop.allocation.difficulty import join_singles
from isoflop.allocation.halves import HALVES, WHOLE
from isoflop.allocation.options import GENERATIONS, CreditsTable, Member, Options, cost_axes, gather_options
from isoflop.arrays import Floats
from isoflop.errors import UserError
from isoflop.fits.bootstrap import dataset_weights, with_measurement
from isoflop.registries import CLAIM_COSTS, COST_MODELS, cost_columns
from isoflop.seeds import derive_seed
from isoflop.specs import AllocateSpec
from isoflop.tables import verified


def free() -> dict[str, float]:
    """What telling costs where nothing tells, by axis."""
    return dict.fromkeys((GENERATIONS, *cost_columns(COST_MODELS.names)), 0.0)


@dataclass(frozen=True)
class Pair:
    """A policy's tables on one data set.

    Attributes
    ----------
    dataset, policy
        Their names.
    parameters
        Of the policy, those that a token meets; None where they are not known.
    difficulty
        Its table; without one nothing is chosen for the policy: it may be an exchange's larger model.
    telling
        The generator that difficulty is told by.
    credits
        By generator.
    """

    dataset: str
    policy: str
    parameters: int | None
    difficulty: pd.DataFrame | None
    telling: str | None
    credits: Mapping[str, CreditsTable]


@dataclass(frozen=True)
class Studied:
    """One family of strategies of one policy on one data set.

    Attributes
    ----------
    dataset, policy, family
        Their names.
    parameters
        Of the policy.
    members
        The strategies, the baseline first.
    options
        Of whole pools.
    weights
        Of the bootstrap, [draws, problems], shared by all of a data set.
    bins
        By kind of difficulty.
    curves
        By axis and kind.
    """

    dataset: str
    policy: str
    parameters: int | None
    family: str
    members: Sequence[Member]
    options: Options
    weights: Floats
    bins: Mapping[str, Bins]
    curves: Mapping[tuple[str, str], ChoiceCurve]

    @property
    def baseline(self) -> str:
        """What the choice is compared with: the family's first."""
        return self.members[0].name

    @cached_property
    def drawn(self) -> Floats:
        """The weights with those of the measurement before them, [1 + draws, problems]."""
        return with_measurement(self.weights)


def study_choice(
    pairs: Sequence[Pair], spec: AllocateSpec, axes: Sequence[str] | None = None
) -> list[Studied]:
    """Every family of every policy and data set that has all its generators.

    Parameters
    ----------
    pairs
        Of policy and data set.
    spec
        The families, and how often folds and replicates are drawn.
    axes
        Of compute; those that the report needs if left out. Axes of unknown cost are left out.

    Raises
    ------
    UserError
        For tables that do not fit together, and for bins of one problem.
    """
    # Generated tokens alone are what a paper's exchange counts.
    needed = (GENERATIONS, *dict.fromkeys(cost_columns((spec.cost_model, *CLAIM_COSTS, *spec.costs))))
    studies = []
    for pair in (candidate for candidate in pairs if candidate.difficulty is not None):
        for family, names in spec.families.items():
            if not {name.partition("+")[0] for name in names} <= set(pair.credits):
                continue
            members = [_member(name, pair, spec) for name in names]
            options = gather_options(members)
            weights = dataset_weights(pair.dataset, len(options.problems), spec.draws, spec.seed)
            difficulties = difficulty_bins(pair, members, options)
            seed = derive_seed("choose", spec.seed, pair.dataset, pair.policy, family)
            known = [axis for axis in axes or needed if np.isfinite(options.costs[axis]).all()]
            curves = all_curves(names[0], known, difficulties, weights, splits=spec.splits, seed=seed)
            studies.append(
                Studied(
                    dataset=pair.dataset,
                    policy=pair.policy,
                    parameters=pair.parameters,
                    family=family,
                    members=members,
                    options=options,
                    weights=weights,
                    bins={bins.kind: bins for bins in difficulties},
                    curves={(curve.axis, curve.kind): curve for curve in curves},
                )
            )
    return studies


def _member(name: str, pair: Pair, spec: AllocateSpec) -> Member:
    """`generator[+selector[+aggregation]]`; what is left out is the headline's."""
    generator, *picking = name.split("+")
    verifier, aggregation = spec.judges.get(generator, (spec.verifier, spec.step_aggregation))
    selector, aggregation, *_ = [*picking, *(spec.selector, aggregation)[len(picking) :]]
    return Member(name, pair.credits[generator], selector, verifier, aggregation)


class Told(NamedTuple):
    """What is measured while other samples tell difficulty.

    Attributes
    ----------
    options
        What is measured.
    rows
        Of the difficulty table, those that tell, [problems].
    """

    options: Options
    rows: pd.DataFrame


def told_apart(pair: Pair, members: Sequence[Member], options: Options) -> list[Told]:
    """What to measure against what part of the difficulty table.

    Parameters
    ----------
    pair
        With a difficulty.
    members
        Of the family.
    options
        Of whole pools.

    Returns
    -------
    Whole pools where the pool that tells is none of those measured, else its halves in turn; nothing where
    it is too small to be halved.

    Raises
    ------
    UserError
        Where the difficulty is not of these problems.
    """
    assert pair.difficulty is not None  # only such pairs are studied
    if pair.telling not in {member.table.made_by for member in members}:
        return [Told(options, _rows(pair, WHOLE, options.problems))]
    if not set(HALVES) <= set(pair.difficulty["half"]):
        return []
    views = []
    for tells, measured in (HALVES, HALVES[::-1]):
        view = gather_options(members, pair.telling, measured)
        if members[0].name not in view.members:
            return []
        views.append(Told(view, _rows(pair, tells, options.problems)))
    return views


def _rows(pair: Pair, half: int, problems: Sequence[str]) -> pd.DataFrame:
    """The difficulty by one half or the whole pool, in the order of the problems."""
    assert pair.difficulty is not None
    table = pair.difficulty[pair.difficulty["half"] == half].sort_values("problem_id", kind="stable")
    if table["problem_id"].tolist() != list(problems):
        raise UserError(
            f"the difficulty of {pair.policy} on {pair.dataset} is not of the problems that its credits are "
            "of; delete both and run again"
        )
    return table


def difficulty_bins(pair: Pair, members: Sequence[Member], options: Options) -> list[Bins]:
    """Every way of telling difficulty apart that the problems allow, none first; no bin is of one problem.

    Parameters
    ----------
    pair
        With a difficulty.
    members
        Of the family.
    options
        Of whole pools.

    Raises
    ------
    UserError
        Where the difficulty is not of these problems.
    """
    told = told_apart(pair, members, options)
    levels = _rows(pair, WHOLE, options.problems)["level"]
    undivided = [View(options, np.ones(len(levels), dtype=np.int64))]
    difficulties = [Bins(NO_DIFFICULTY, tuple(undivided), free())]
    if levels.notna().all():
        view = View(options, join_singles(levels.to_numpy(np.int64)))
        difficulties.append(Bins("level", (view,), free()))
    for kind in ("predicted", "oracle"):
        if told and all(part.rows[f"{kind}_bin"].notna().all() for part in told):
            views = tuple(
                View(part.options, join_singles(part.rows[f"{kind}_bin"].to_numpy(np.int64))) for part in told
            )
            difficulties.append(Bins(kind, views, charge([part.rows for part in told], kind)))
    return difficulties


def charge(rows: Sequence[pd.DataFrame], kind: str) -> dict[str, float]:
    """What the samples that told cost per problem, by axis; predicting had them read by the verifier.

    Parameters
    ----------
    rows
        Of the difficulty table, one table per view.
    kind
        Of difficulty: `oracle` or `predicted`.
    """
    there = rows[0].columns
    axes = {axis: axis for axis in cost_axes(there)}
    if kind == "predicted":
        axes |= {axis: verified(axis) for axis in axes if verified(axis) in there}
    costs = {axis: float(np.mean([table[name].mean() for table in rows])) for axis, name in axes.items()}
    return costs | {GENERATIONS: float(np.mean([table["samples"].mean() for table in rows]))}
