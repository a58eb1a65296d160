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
from isoflop.fits.bootstrap import with_measurement
from isoflop.fits.curves import dataset_weights
from isoflop.registries import CLAIM_COSTS, COST_MODELS, cost_columns
from isoflop.seeds import derive_seed
from isoflop.specs import AllocateSpec
from isoflop.tables import verified


def free() -> dict[str, float]:
    """What telling costs where nothing tells, by axis."""
    return dict.fromkeys((GENERATIONS, *cost_columns(COST_MODELS.names)), 0.0)


@dataclass(frozen=True)
class Pair:
    """A policy's parameters (those that a token meets, None where nobody knows them) and tables on one data
    set: its difficulty and its generators' credits.

    `telling`: the generator whose pool tells difficulty. Without difficulty nothing is chosen for it; it may
    be an exchange's larger model.
    """

    dataset: str
    policy: str
    parameters: int | None
    difficulty: pd.DataFrame | None
    telling: str | None
    credits: Mapping[str, CreditsTable]


@dataclass(frozen=True)
class Studied:
    """One family of strategies of one policy. `weights`: [draws, problems], shared by all of a data set.

    `options`: of whole pools. `bins`: by kind of difficulty. `curves`: by axis and kind.
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

    `axes`: of compute, those that the report needs if left out; none that nobody knows. Raises UserError for
    tables that do not fit together, and for bins of one problem.
    """
    # Generated tokens alone are what a paper's exchange counts.
    needed = (GENERATIONS, *dict.fromkeys(cost_columns((spec.cost_model, *CLAIM_COSTS, *spec.costs))))
    found = []
    for pair in (one for one in pairs if one.difficulty is not None):
        for family, names in spec.families.items():
            if not {name.partition("+")[0] for name in names} <= set(pair.credits):
                continue
            members = [_member(name, pair, spec) for name in names]
            options = gather_options(members)
            weights = dataset_weights(pair.dataset, len(options.problems), spec.draws, spec.seed)
            hows = difficulty_bins(pair, members, options)
            seed = derive_seed("choose", spec.seed, pair.dataset, pair.policy, family)
            known = [axis for axis in axes or needed if np.isfinite(options.costs[axis]).all()]
            curves = all_curves(names[0], known, hows, weights, splits=spec.splits, seed=seed)
            found.append(
                Studied(
                    dataset=pair.dataset,
                    policy=pair.policy,
                    parameters=pair.parameters,
                    family=family,
                    members=members,
                    options=options,
                    weights=weights,
                    bins={how.kind: how for how in hows},
                    curves={(curve.axis, curve.kind): curve for curve in curves},
                )
            )
    return found


def _member(name: str, pair: Pair, spec: AllocateSpec) -> Member:
    """`generator[+selector[+aggregation]]`; what is left out is the headline's."""
    generator, *how = name.split("+")
    verifier, usual = spec.judges.get(generator, (spec.verifier, spec.step_aggregation))
    selector, aggregation, *_ = [*how, *(spec.selector, usual)[len(how) :]]
    return Member(name, pair.credits[generator], selector, verifier, aggregation)


class Told(NamedTuple):
    """What is measured while other samples tell difficulty: the options, and the rows that tell."""

    options: Options
    rows: pd.DataFrame


def told_apart(pair: Pair, members: Sequence[Member], options: Options) -> list[Told]:
    """What to measure against what part of the difficulty table.

    Whole pools where the pool that tells is none of those measured, else its halves in turn; nothing where
    it is too small to be halved.
    `options`: of whole pools. Raises UserError where the difficulty is not of these problems.
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

    `options`: of whole pools. Raises UserError where the difficulty is not of these problems.
    """
    told = told_apart(pair, members, options)
    levels = _rows(pair, WHOLE, options.problems)["level"]
    whole = [View(options, np.ones(len(levels), dtype=np.int64))]
    hows = [Bins(NO_DIFFICULTY, tuple(whole), free())]
    if levels.notna().all():
        view = View(options, join_singles(levels.to_numpy(np.int64)))
        hows.append(Bins("level", (view,), free()))
    for kind in ("predicted", "oracle"):
        if told and all(one.rows[f"{kind}_bin"].notna().all() for one in told):
            views = tuple(
                View(one.options, join_singles(one.rows[f"{kind}_bin"].to_numpy(np.int64))) for one in told
            )
            hows.append(Bins(kind, views, charge([one.rows for one in told], kind)))
    return hows


def charge(rows: Sequence[pd.DataFrame], kind: str) -> dict[str, float]:
    """What the samples that told cost per problem, by axis; predicting had them read by the verifier."""
    there = rows[0].columns
    axes = {axis: axis for axis in cost_axes(there)}
    if kind == "predicted":
        axes |= {axis: verified(axis) for axis in axes if verified(axis) in there}
    costs = {axis: float(np.mean([one[name].mean() for one in rows])) for axis, name in axes.items()}
    return costs | {GENERATIONS: float(np.mean([one["samples"].mean() for one in rows]))}
