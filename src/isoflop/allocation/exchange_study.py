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
    """One comparison.

    Attributes
    ----------
    dataset, small_policy, large_policy, family, cost_model
        Names of what is compared, and how it is priced.
    kind
        Of difficulty.
    told_by
        Whose samples the bins are of, or the data set's levels.
    ratio
        R = D_inference / D_pretrain.
    size_ratio
        Parameters of the larger model over the smaller's.
    multiplier
        How many times its own greedy answer's compute the small model may spend.
    matched
        The FLOPs per problem that this is.
    spent
        What its choice took, FLOPs per problem.
    charge
        What telling difficulty cost in addition, FLOPs per problem.
    enough
        Whether the small model was measured up to there.
    bin
        0 for all problems.
    problems
        In the bin, mean over the views.
    small, large
        Accuracies, [1 + draws].
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

    Parameters
    ----------
    costs
        Of the study, beyond those of every study.

    `costs`: of the study, beyond those of every study.
    """
    return (*CLAIM_COSTS, *(name for name in costs if COST_MODELS[name].unit == COST_MODELS["total"].unit))


def exchanges(studied: Sequence[Studied], pairs: Sequence[Pair], spec: AllocateSpec) -> list[Exchanged]:
    """Every pair of models at every ratio under both costs, for all problems and for each bin.

    Parameters
    ----------
    studied
        The small models.
    pairs
        All models.
    spec
        Which are compared, and at what ratios.

    Raises
    ------
    UserError
        For a pair whose larger model is not the larger one, or has other problems.

    References
    ----------
    Snell et al. 2024, Scaling LLM Test-Time Compute Optimally, section 7 and Figure 9.
    doi:10.48550/arXiv.2408.03314
    """
    by_name = {(pair.dataset, pair.policy): pair for pair in pairs}
    exchanged: list[Exchanged] = []
    for match in spec.exchange:
        for study in studied:
            large = by_name.get((study.dataset, match.large))
            if study.policy == match.small and large is not None:
                exchanged += _compared(study, by_name[study.dataset, study.policy], large, match, spec)
    return exchanged


def _compared(
    study: Studied, small: Pair, large: Pair, match: ExchangePair, spec: AllocateSpec
) -> Iterator[Exchanged]:
    greedy = _greedy(study, large, match)
    if large.parameters is None or study.parameters is None:
        unknown = study.policy if study.parameters is None else large.policy
        raise UserError(f"exchange: the size of {unknown} is not known; give its size or leave out the pair")
    size_ratio = large.parameters / study.parameters
    multipliers = [inference_multiplier(size_ratio, ratio, match.data_ratio) for ratio in spec.ratios]
    difficulties = list(pair_bins(small, large, pair_members(study, small, match), spec.bins))
    for cost in exchange_costs(spec.costs):
        axis = COST_MODELS[cost].column
        per_answer = _single_answer(study, small, match, axis)
        for bins, told_by in difficulties:
            mean = bins.options.costs[axis].mean(axis=1)
            matched = per_answer * np.array(multipliers)
            payable = affordable(bins.options, axis, matched)
            affordable_ratios = np.flatnonzero(payable.any(axis=1)).tolist()
            if not affordable_ratios:
                continue
            seed = pair_seed(study, large, spec)
            chosen = choose_in_views(
                bins, axis, payable[affordable_ratios], study.weights, splits=spec.splits, seed=seed
            )
            for row, index in enumerate(affordable_ratios):
                for name in (_WHOLE, *bins.names):
                    yield Exchanged(
                        dataset=study.dataset,
                        small_policy=study.policy,
                        large_policy=large.policy,
                        family=study.family,
                        cost_model=cost,
                        kind=bins.kind,
                        told_by=told_by,
                        ratio=spec.ratios[index],
                        size_ratio=size_ratio,
                        multiplier=multipliers[index],
                        matched=float(matched[index]),
                        spent=float(chosen.cost[row, 0]),
                        charge=bins.charge[axis],
                        # More than was measured is enough too: what is missing can only speak for the small.
                        enough=bool(mean.max() >= matched[index] * (1 - 1e-9)),
                        bin=name,
                        problems=float(len(bins.options.problems)) if name == _WHOLE else bins.count(name),
                        small=chosen.accuracy[row]
                        if name == _WHOLE
                        else chosen.by_bin[bins.names.index(name), row],
                        large=study.drawn @ greedy
                        if name == _WHOLE
                        else bin_means(bins, [greedy] * len(bins.views), study.drawn, name),
                    )


def pair_members(study: Studied, small: Pair, match: ExchangePair) -> list[Member]:
    """What the small model chooses from: the family, and its greedy answer.

    Parameters
    ----------
    study, small
        Of the small model.
    match
        Names the generator of greedy answers.
    """
    members = list(study.members)
    single = small.credits.get(match.greedy)
    if single is not None and match.greedy not in {member.name for member in members}:
        members.append(Member(match.greedy, single, NONE, NONE, NONE))
    return members


def pair_seed(study: Studied, large: Pair, spec: AllocateSpec) -> int:
    """What splits the problems for the choice of a pair.

    Parameters
    ----------
    study
        Of the small model.
    large
        The larger model.
    spec
        Of the experiment.
    """
    return derive_seed("exchange", spec.seed, study.dataset, study.policy, large.policy, study.family)


def pair_bins(
    small: Pair, large: Pair, members: Sequence[Member], count: int
) -> Iterator[tuple[Bins, ToldBy]]:
    """The bins of a pair of models, and who told them: both if the larger one has samples.

    Parameters
    ----------
    small, large
        The models.
    members
        What the small one chooses from.
    count
        Number of bins.

    Raises
    ------
    UserError
        Where the difficulties are of other problems.
    """
    options = gather_options(members)
    told = told_apart(small, members, options)
    table = None if large.difficulty is None else large.difficulty[large.difficulty["half"] == WHOLE]
    for kind in ("oracle", "predicted"):
        if not told or any(view.rows[kind].isna().any() for view in told):
            continue
        both = table is not None and bool(table[kind].notna().all())
        views = tuple(_view(view, kind, table if both else None, count, large) for view in told)
        yield Bins(kind, views, charge([view.rows for view in told], kind)), "both" if both else "small"
    levels = _levels(small)
    if levels is not None:
        yield Bins("level", (View(options, join_singles(levels)),), free()), "level"


def _view(told: Told, kind: str, table: pd.DataFrame | None, count: int, large: Pair) -> View:
    values = told.rows[kind].to_numpy(np.float64)
    if table is not None:
        rows = table.sort_values("problem_id", kind="stable")
        if rows["problem_id"].tolist() != list(told.options.problems):
            raise UserError(
                f"the difficulty of {large.policy} on {large.dataset} is of other problems than that of the "
                "smaller model; delete both and run again"
            )
        values = (values + rows[kind].to_numpy(np.float64)) / 2
    return View(told.options, join_singles(quantile_bins(values, count)))


def _levels(small: Pair) -> Ints | None:
    assert small.difficulty is not None  # it is studied
    rows = small.difficulty[small.difficulty["half"] == WHOLE].sort_values("problem_id", kind="stable")
    return rows["level"].to_numpy(np.int64) if rows["level"].notna().all() else None


def _single_answer(study: Studied, small: Pair, match: ExchangePair, axis: str) -> float:
    """What the small model's greedy answer costs; without greedy answers, what one of its samples does."""
    table = small.credits.get(match.greedy)
    if table is not None:
        rows = table.credits[table.credits["selector"] == NONE]
        if len(rows):
            return float(rows[axis].mean())
    single = study.options.of(study.baseline)[0]
    return float(study.options.costs[axis][single].mean()) / float(study.options.budgets[single])


def _greedy(study: Studied, large: Pair, match: ExchangePair) -> Floats:
    """The larger model's greedy credit on the problems of the smaller one's study."""
    table = large.credits.get(match.greedy)
    if table is None:
        raise UserError(f"exchange: {match.large} has no candidates of {match.greedy} on {large.dataset}")
    rows = table.credits[table.credits["selector"] == NONE].sort_values("problem_id", kind="stable")
    if rows["problem_id"].tolist() != list(study.options.problems):
        raise UserError(
            f"{table.source}: its problems are not those of {study.policy}; delete the file and run again"
        )
    return rows["credit"].to_numpy(np.float64)
