"""Planted worlds as the tables that a study of choices reads: credits and difficulty, of pools and halves.

Every policy of the world is a pair of `isoflop.allocation.study`. Where sampling tells difficulty, its pool
is halved as in a study. The tables of the truth have chances for credits, but difficulty is told as a study
tells it, by as many samples: what bins are is part of what is claimed.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isoflop.allocation.difficulty import quantile_bins
from isoflop.allocation.exchange_study import Exchanged, exchanges
from isoflop.allocation.halves import HALVES, WHOLE
from isoflop.allocation.options import GENERATIONS, CreditsTable
from isoflop.allocation.study import Pair, Studied, study_choice
from isoflop.allocation.tables import compute_optimal, last_choices
from isoflop.arrays import Floats
from isoflop.claims.snell2024 import snell_claims
from isoflop.planted.bench import Told
from isoflop.planted.worlds import Planted, PlantedPolicy, World
from isoflop.specs import AllocateSpec, ExchangePair, StudiedPool
from isoflop.verdicts.judge import ClaimJudged

DATASET, TELLING, GREEDY = "planted", "sampling", "greedy"
BINS = 5
TOLD_KINDS = ("oracle", "predicted")
# Seeds of the studies that tell what to expect, beyond those that are judged.
_OTHERS = 10**6
# Standard deviation of what a verifier's mean score is off the pass rate by.
_MISREAD = 0.1


class ChoiceStudy(NamedTuple):
    """A study of choices: every family of every policy, and every exchange."""

    studied: Sequence[Studied]
    exchanged: Sequence[Exchanged]


def measured_pairs(world: World, problems: int, seed: int) -> list[Pair]:
    """A study of so many problems."""
    random = np.random.default_rng([seed, problems])
    drawn = world.problems(problems, random)
    pairs = []
    for policy in world.policies:
        right = random.random((problems, world.pool)) < drawn.chance(policy)[:, None]
        by_half = {WHOLE: right} | {half: right[:, half - 1 :: 2] for half in HALVES}
        tables = []
        for planted in world.strategies:
            if planted.runs is not None:
                own = random.standard_normal(problems)
                true = world.chances(policy, planted, drawn, own)
                tables.append((planted, {WHOLE: random.binomial(planted.runs, true) / planted.runs}))
            else:
                halves = {half: world.pool_credits(planted, rows, random) for half, rows in by_half.items()}
                tables.append((planted, halves))
        rates = {half: rows.mean(axis=1) for half, rows in by_half.items()}
        pairs.append(_pair(world, policy, drawn.levels, rates, tables, random))
    return pairs


def true_pairs(world: World) -> list[Pair]:
    """The truth, of all problems."""
    random = np.random.default_rng(1)
    drawn, own = world.population
    pairs = []
    for policy in world.policies:
        tables = []
        for planted in world.strategies:
            true = world.chances(policy, planted, drawn, own)
            halves = (WHOLE,) if planted.runs is not None else (WHOLE, *HALVES)
            kept = {half: true[: _affordable(planted, world, half)] for half in halves}
            tables.append((planted, kept))
        chance = drawn.chance(policy)
        rates = {
            half: random.binomial(world.pool if half == WHOLE else world.pool // 2, chance) / size
            for half, size in ((WHOLE, world.pool), *((half, world.pool // 2) for half in HALVES))
        }
        pairs.append(_pair(world, policy, drawn.levels, rates, tables, random))
    return pairs


def _affordable(planted: Planted, world: World, half: int) -> int:
    """How many of a strategy's budgets a pool or its half has."""
    size = world.pool if half == WHOLE or planted.runs is not None else world.pool // 2
    return sum(budget <= size for budget in planted.budgets)


def _pair(
    world: World,
    policy: PlantedPolicy,
    levels: NDArray[np.int64],
    rates: Mapping[int, Floats],
    tables: Sequence[tuple[Planted, Mapping[int, Floats]]],
    random: np.random.Generator,
) -> Pair:
    ids = np.arange(levels.size)
    by_generator: dict[str, list[pd.DataFrame]] = {}
    for planted, halves in tables:
        frames = by_generator.setdefault(planted.strategy.generator, [])
        frames += _credit_rows(world, policy, planted, halves, ids)
    credits = {
        generator: CreditsTable(generator, pd.concat(frames, ignore_index=True), {}, generator)
        for generator, frames in by_generator.items()
    }
    difficulty = pd.concat(_difficulty_rows(world, policy, levels, rates, ids, random), ignore_index=True)
    return Pair(DATASET, policy.name, int(policy.parameters), difficulty, TELLING, credits)


def _credit_rows(
    world: World,
    policy: PlantedPolicy,
    planted: Planted,
    halves: Mapping[int, Floats],
    ids: NDArray[np.int64],
) -> Iterator[pd.DataFrame]:
    strategy = planted.strategy
    costs = world.costs(policy, planted)
    for half, credits in halves.items():
        for place, row in enumerate(credits):
            yield pd.DataFrame(
                {
                    "problem_id": ids,
                    "verifier": strategy.verifier,
                    "selector": strategy.selector,
                    "step_aggregation": strategy.step_aggregation,
                    "half": half,
                    "budget": planted.budgets[place],
                    "credit": row,
                    **{f"flops_{name}": values[place] for name, values in costs.items()},
                }
            )


def _difficulty_rows(
    world: World,
    policy: PlantedPolicy,
    levels: NDArray[np.int64],
    rates: Mapping[int, Floats],
    ids: NDArray[np.int64],
    random: np.random.Generator,
) -> Iterator[pd.DataFrame]:
    for half, rate in rates.items():
        samples = world.pool if half == WHOLE else world.pool // 2
        predicted = rate + _MISREAD * random.standard_normal(rate.size)
        per_sample = 2.0 * policy.parameters * 100.0 * samples
        yield pd.DataFrame(
            {
                "problem_id": ids,
                "level": levels,
                "half": half,
                "samples": samples,
                "oracle": rate,
                "oracle_bin": quantile_bins(rate, BINS),
                "predicted": predicted,
                "predicted_bin": quantile_bins(predicted, BINS),
                "flops_wu2024": per_sample,
                "flops_kaplan": per_sample,
                "flops_total": per_sample,
                "flops_total_verified": 2.0 * per_sample,
            }
        )


def choice_spec(world: World, families: Mapping[str, tuple[str, ...]], draws: int) -> AllocateSpec:
    """A study of choices between `families`, exchanging every policy with the next."""
    kinds = {name: name.partition("/")[0] for names in families.values() for name in names}
    pools = tuple(
        StudiedPool(dataset=DATASET, policy=policy.name, generator=name, kind=kind)
        for policy in world.policies
        for name, kind in kinds.items()
    )
    names = [policy.name for policy in world.policies]
    return AllocateSpec(
        experiment="planted", pools=pools, bins=BINS, families=families, selector="best_of_n",
        difficulties=tuple((DATASET, name, TELLING) for name in names),
        verifier="prm", step_aggregation="last", cost_model="total", splits=2,
        exchange=tuple(
            ExchangePair(small=small, large=large, greedy=GREEDY)
            for small, large in pairwise(names)
        ),
        ratios=(0.25, 4.0), draws=draws, level=0.95, seed=1, code="",
    )  # fmt: skip


def choice_study(pairs: Sequence[Pair], spec: AllocateSpec) -> ChoiceStudy:
    """What the allocate stage makes of the tables, choices at equal samples and total compute."""
    studied = study_choice(pairs, spec, (GENERATIONS, "flops_total"))
    return ChoiceStudy(studied, exchanges(studied, pairs, spec))


def choice_claims(found: ChoiceStudy, spec: AllocateSpec) -> list[ClaimJudged]:
    """Snell et al.'s claims on the tables."""
    kinds = {pool.generator.partition("/")[0]: pool.kind for pool in spec.pools}
    return snell_claims(found.studied, found.exchanged, kinds, spec.level)


def told_choices(studied: Sequence[Studied], spec: AllocateSpec) -> dict[str, dict[str, Told]]:
    """What the report tells of choosing, in a sentence for each difficulty: the gain by policy and family."""
    table = compute_optimal(studied, spec.experiment, spec.level)
    numbers = ("budget", "options", "gain", "gain_low", "gain_high")
    table = table.astype(dict.fromkeys(numbers, float))
    found: dict[str, dict[str, Told]] = {}
    for _, row in last_choices(table).iterrows():
        if row["difficulty"] in TOLD_KINDS:
            gains = found.setdefault(f"choice by {row['difficulty']} difficulty", {})
            gains[f"{row['policy']}, {row['family']}"] = Told(row["gain"], row["gain_low"], row["gain_high"])
    return found


def expected_gains(
    world: World, problems: int, spec: AllocateSpec, studies: int
) -> dict[str, dict[str, float]]:
    """What choosing on so many problems gains, as `told_choices` names it: the mean over other studies.

    Not what the best choice would gain: a choice made on few problems is also made by luck.
    """
    quick = spec.model_copy(update={"draws": 2})
    sums: dict[str, dict[str, float]] = {}
    for seed in range(studies):
        studied = study_choice(measured_pairs(world, problems, _OTHERS + seed), quick, (GENERATIONS,))
        for name, gains in told_choices(studied, quick).items():
            own = sums.setdefault(name, {})
            for part, told in gains.items():
                own[part] = own.get(part, 0.0) + told.value / studies
    return sums
