"""A study of compute-optimal choice: credits and difficulties of every policy to curves of choice.

`Studied` is one family of strategies of one policy on one data set, with every difficulty and axis.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isoflop.bootstrap import problem_weights, subset_means, with_measurement
from isoflop.choice import NO_DIFFICULTY, Bins, ChoiceCurve, all_curves
from isoflop.difficulty import join_singles
from isoflop.errors import UserError
from isoflop.options import GENERATIONS, CreditsTable, Member, Options, gather_options
from isoflop.seeds import derive_seed
from isoflop.specs import ChooseSpec

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Pair:
    """A policy's parameters and tables on one data set: its difficulty and its generators' credits.

    Without difficulty nothing is chosen for it; it may be an exchange's larger model.
    """

    dataset: str
    policy: str
    parameters: int
    difficulty: pd.DataFrame | None
    credits: Mapping[str, CreditsTable]


@dataclass(frozen=True)
class Studied:
    """One family of strategies of one policy. `weights`: [draws, problems], shared by all of a data set.

    `bins`: by kind of difficulty. `curves`: by axis and kind.
    """

    dataset: str
    policy: str
    parameters: int
    family: str
    baseline: str
    options: Options
    weights: Floats
    bins: Mapping[str, Bins]
    curves: Mapping[tuple[str, str], ChoiceCurve]

    @cached_property
    def drawn(self) -> Floats:
        """The weights with those of the measurement before them, [1 + draws, problems]."""
        return with_measurement(self.weights)

    def accuracy(self, option: int, members: NDArray[np.bool_] | None = None) -> Floats:
        """Accuracy of one option, on some of the problems or all, [1 + draws]; nan where a draw has none."""
        credit = self.options.credits[option]
        if members is None:
            whole: Floats = self.drawn @ credit
            return whole
        return subset_means(credit, self.drawn, members)


def study_choice(pairs: Sequence[Pair], spec: ChooseSpec) -> list[Studied]:
    """Every family of every policy and data set that has all its generators.

    Raises UserError for tables that do not fit together, and for bins of one problem.
    """
    # Generated tokens alone are what an exchange is reckoned in.
    axes = (GENERATIONS, *dict.fromkeys((f"flops_{spec.cost_model}", "flops_wu2024", "flops_total")))
    found = []
    for pair in (one for one in pairs if one.difficulty is not None):
        for family, members in spec.families.items():
            if not {name.partition("+")[0] for name in members} <= set(pair.credits):
                continue
            options = gather_options([_member(name, pair, spec) for name in members])
            weights = problem_weights(
                len(options.problems), spec.draws, derive_seed("fit", spec.seed, pair.dataset), "all"
            )
            hows = difficulty_bins(pair, options.problems)
            seed = derive_seed("choose", spec.seed, pair.dataset, pair.policy, family)
            curves = all_curves(options, members[0], axes, hows, weights, splits=spec.splits, seed=seed)
            found.append(
                Studied(
                    dataset=pair.dataset,
                    policy=pair.policy,
                    parameters=pair.parameters,
                    family=family,
                    baseline=members[0],
                    options=options,
                    weights=weights,
                    bins={how.kind: how for how in hows},
                    curves={(curve.axis, curve.kind): curve for curve in curves},
                )
            )
    return found


def _member(name: str, pair: Pair, spec: ChooseSpec) -> Member:
    """`generator[+selector[+aggregation]]`; what is left out is the headline's."""
    generator, *how = name.split("+")
    verifier, usual = spec.judges.get(generator, (spec.verifier, spec.step_aggregation))
    selector, aggregation, *_ = [*how, *(spec.selector, usual)[len(how) :]]
    return Member(name, pair.credits[generator], selector, verifier, aggregation)


def difficulty_bins(pair: Pair, problems: Sequence[str]) -> list[Bins]:
    """Every way of telling difficulty apart that the problems allow, none first; no bin is of one problem.

    Raises UserError where the difficulty is not of these problems.
    """
    assert pair.difficulty is not None  # only such pairs are studied
    table = pair.difficulty.sort_values("problem_id", kind="stable")
    if table["problem_id"].tolist() != list(problems):
        raise UserError(
            f"the difficulty of {pair.policy} on {pair.dataset} is not of the problems that its credits are "
            "of; delete both and run again"
        )
    free = dict.fromkeys((GENERATIONS, "flops_wu2024", "flops_kaplan", "flops_total"), 0.0)
    sampled = {name: float(table[name].mean()) for name in free if name != GENERATIONS}
    sampled[GENERATIONS] = float(table["samples"].mean())
    hows = [Bins(NO_DIFFICULTY, np.ones(len(table), dtype=np.int64), free)]
    if table["level"].notna().all():
        hows.append(Bins("level", table["level"].to_numpy(np.int64), free))
    if table["predicted_bin"].notna().all():
        read = sampled | {"flops_total": float(table["flops_total_verified"].mean())}
        hows.append(Bins("predicted", table["predicted_bin"].to_numpy(np.int64), read))
    hows.append(Bins("oracle", table["oracle_bin"].to_numpy(np.int64), sampled))
    return [replace(how, bins=join_singles(how.bins)) for how in hows]
