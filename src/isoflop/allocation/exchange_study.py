"""Pretraining against test-time compute, per difficulty bin (Snell et al. 2024, section 7, Figure 9).

The larger model answers greedily; the smaller one chooses compute-optimally, per bin, within the compute that
makes both totals equal. That is counted twice: in generated tokens, as in the paper, and in total, where
prompts and the verifier's reading have to be paid from the same compute. Its own greedy answer is among what
the smaller model chooses from, so that there is always something it can pay.

Bins are told by both models, by the mean of their pass rates (or of the verifier's scores): by one model
alone, bins would hold what that model finds easy, and of two models that are equally good it would win on its
own easy problems. Nothing that tells is measured: of the larger model all samples may tell, as its greedy
answer is measured; of the smaller one the half of its pool that is not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from isoflop.allocation.choice import Bins, View, bin_means, choose_in_views
from isoflop.allocation.difficulty import join_singles, quantile_bins
from isoflop.allocation.exchange import inference_multiplier
from isoflop.allocation.halves import WHOLE
from isoflop.allocation.options import Member, affordable, gather_options
from isoflop.allocation.study import Pair, Studied, Told, charge, free, told_apart
from isoflop.arrays import Floats, Ints
from isoflop.errors import UserError
from isoflop.registries import CLAIM_COSTS, COST_MODELS
from isoflop.seeds import derive_seed
from isoflop.specs import AllocateSpec, ExchangePair
from isoflop.strategy import NONE

_WHOLE = 0

ToldBy = Literal["both", "small", "level"]


@dataclass(frozen=True)
class Exchanged:
    """One comparison. `bin` is 0 for all problems. `small`, `large`: accuracies, [1 + draws].

    `told_by`: whose samples the bins are of, or the data set's levels. `multiplier`: how many times its own
    greedy answer's compute the small model may spend; `matched` the FLOPs per problem that this is, `spent`
    what its choice took, `charge` what telling difficulty cost in addition. `enough`: whether the small model
    was measured up to there.
    """

    dataset: str
    small_policy: str
    large_policy: str
    family: str
    cost_model: str
    kind: str
    told_by: ToldBy
    ratio: float
    size_ratio: float
    multiplier: float
    matched: float
    spent: float
    charge: float
    enough: bool
    bin: int
    problems: float
    small: Floats
    large: Floats


def exchange_costs(costs: Sequence[str]) -> tuple[str, ...]:
    """The cost models under which models are exchanged: those in FLOPs, as pretraining is counted.

    `costs`: of the study, beyond those of every study.
    """
    return (*CLAIM_COSTS, *(name for name in costs if COST_MODELS[name].unit == COST_MODELS["total"].unit))


def exchanges(studied: Sequence[Studied], pairs: Sequence[Pair], spec: AllocateSpec) -> list[Exchanged]:
    """Every pair of models at every ratio under every cost in FLOPs, for all problems and for each bin.

    Raises UserError for a pair whose larger model is not the larger one, or has other problems.
    """
    by_name = {(pair.dataset, pair.policy): pair for pair in pairs}
    found: list[Exchanged] = []
    for match in spec.exchange:
        for one in studied:
            other = by_name.get((one.dataset, match.large))
            if one.policy == match.small and other is not None:
                found += _compared(one, by_name[one.dataset, one.policy], other, match, spec)
    return found


def _compared(
    one: Studied, own: Pair, other: Pair, match: ExchangePair, spec: AllocateSpec
) -> Iterator[Exchanged]:
    greedy = _greedy(one, other, match)
    if other.parameters is None or one.parameters is None:
        unknown = one.policy if one.parameters is None else other.policy
        raise UserError(f"exchange: the size of {unknown} is not known; give its size or leave out the pair")
    size_ratio = other.parameters / one.parameters
    multipliers = [inference_multiplier(size_ratio, ratio, match.data_ratio) for ratio in spec.ratios]
    hows = list(pair_bins(own, other, pair_members(one, own, match), spec.bins))
    for cost in exchange_costs(spec.costs):
        axis = COST_MODELS[cost].column
        per_answer = _single_answer(one, own, match, axis)
        for how, told_by in hows:
            mean = how.options.costs[axis].mean(axis=1)
            matched = per_answer * np.array(multipliers)
            payable = affordable(how.options, axis, matched)
            some = np.flatnonzero(payable.any(axis=1)).tolist()
            if not some:
                continue
            seed = pair_seed(one, other, spec)
            chosen = choose_in_views(how, axis, payable[some], one.weights, splits=spec.splits, seed=seed)
            for row, place in enumerate(some):
                for name in (_WHOLE, *how.names):
                    yield Exchanged(
                        dataset=one.dataset,
                        small_policy=one.policy,
                        large_policy=other.policy,
                        family=one.family,
                        cost_model=cost,
                        kind=how.kind,
                        told_by=told_by,
                        ratio=spec.ratios[place],
                        size_ratio=size_ratio,
                        multiplier=multipliers[place],
                        matched=float(matched[place]),
                        spent=float(chosen.cost[row, 0]),
                        charge=how.charge[axis],
                        # More than was measured is enough too: what is missing can only speak for the small.
                        enough=bool(mean.max() >= matched[place] * (1 - 1e-9)),
                        bin=name,
                        problems=float(len(how.options.problems)) if name == _WHOLE else how.count(name),
                        small=chosen.accuracy[row]
                        if name == _WHOLE
                        else chosen.by_bin[how.names.index(name), row],
                        large=one.drawn @ greedy
                        if name == _WHOLE
                        else bin_means(how, [greedy] * len(how.views), one.drawn, name),
                    )


def pair_members(one: Studied, own: Pair, match: ExchangePair) -> list[Member]:
    """What the small model chooses from: the family, and its greedy answer."""
    members = list(one.members)
    single = own.credits.get(match.greedy)
    if single is not None and match.greedy not in {member.name for member in members}:
        members.append(Member(match.greedy, single, NONE, NONE, NONE))
    return members


def pair_seed(one: Studied, other: Pair, spec: AllocateSpec) -> int:
    """What splits the problems for the choice of a pair."""
    return derive_seed("exchange", spec.seed, one.dataset, one.policy, other.policy, one.family)


def pair_bins(own: Pair, other: Pair, members: Sequence[Member], bins: int) -> Iterator[tuple[Bins, ToldBy]]:
    """The bins of a pair of models, and who told them: by both if the larger one has samples."""
    options = gather_options(members)
    told = told_apart(own, members, options)
    larger = None if other.difficulty is None else other.difficulty[other.difficulty["half"] == WHOLE]
    for kind in ("oracle", "predicted"):
        if not told or any(one.rows[kind].isna().any() for one in told):
            continue
        both = larger is not None and bool(larger[kind].notna().all())
        views = tuple(_view(one, kind, larger if both else None, bins, other) for one in told)
        yield Bins(kind, views, charge([one.rows for one in told], kind)), "both" if both else "small"
    levels = _levels(own)
    if levels is not None:
        yield Bins("level", (View(options, join_singles(levels)),), free()), "level"


def _view(told: Told, kind: str, larger: pd.DataFrame | None, bins: int, other: Pair) -> View:
    values = told.rows[kind].to_numpy(np.float64)
    if larger is not None:
        rows = larger.sort_values("problem_id", kind="stable")
        if rows["problem_id"].tolist() != list(told.options.problems):
            raise UserError(
                f"the difficulty of {other.policy} on {other.dataset} is of other problems than that of the "
                "smaller model; delete both and run again"
            )
        values = (values + rows[kind].to_numpy(np.float64)) / 2
    return View(told.options, join_singles(quantile_bins(values, bins)))


def _levels(own: Pair) -> Ints | None:
    assert own.difficulty is not None  # it is studied
    rows = own.difficulty[own.difficulty["half"] == WHOLE].sort_values("problem_id", kind="stable")
    return rows["level"].to_numpy(np.int64) if rows["level"].notna().all() else None


def _single_answer(one: Studied, own: Pair, match: ExchangePair, axis: str) -> float:
    """What the small model's greedy answer costs; without greedy answers, what one of its samples does."""
    table = own.credits.get(match.greedy)
    if table is not None:
        rows = table.credits[table.credits["selector"] == NONE]
        if len(rows):
            return float(rows[axis].mean())
    single = one.options.of(one.baseline)[0]
    return float(one.options.costs[axis][single].mean()) / float(one.options.budgets[single])


def _greedy(one: Studied, other: Pair, match: ExchangePair) -> Floats:
    """The larger model's greedy credit on the problems of the smaller one's study."""
    table = other.credits.get(match.greedy)
    if table is None:
        raise UserError(f"exchange: {match.large} has no candidates of {match.greedy} on {other.dataset}")
    rows = table.credits[table.credits["selector"] == NONE].sort_values("problem_id", kind="stable")
    if rows["problem_id"].tolist() != list(one.options.problems):
        raise UserError(
            f"{table.source}: its problems are not those of {one.policy}; delete the file and run again"
        )
    return rows["credit"].to_numpy(np.float64)
