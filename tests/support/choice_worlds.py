"""Pools of policies whose truth is known, as a study of choice reads them: credits, halves, difficulty."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import beta, hypergeom, norm

from isoflop.allocation.difficulty import quantile_bins
from isoflop.allocation.options import CreditsTable
from isoflop.allocation.study import Pair
from isoflop.specs import AllocateSpec

SIZES = {"small": 1_000_000, "large": 14_000_000}
POOL = 64


def voted(counts: np.ndarray, pool: int, budget: int) -> np.ndarray:
    """The chance that most of `budget` samples are right, of a pool with `counts`; a tie counts half."""
    chance = hypergeom(pool, counts, budget)
    credit: np.ndarray = chance.sf(budget // 2)
    return credit + chance.pmf(budget // 2) / 2 if budget % 2 == 0 else credit


def credits_of(
    halves: Sequence[np.ndarray],
    budgets: Sequence[int],
    size: float,
    *,
    tells: bool = False,
    pool: int = POOL,
) -> pd.DataFrame:
    """Credits of a pool by counts of right samples in its halves, each [problems]; and theirs if it tells."""
    ids = names(halves[0].size)
    parts = [(0, np.sum(halves, axis=0), pool)]
    if tells:
        parts += [(half, counts, pool // 2) for half, counts in enumerate(halves, start=1)]
    frames = [
        pd.DataFrame(
            {
                "problem_id": ids, "verifier": "prm", "selector": "weighted", "step_aggregation": "last",
                "half": half, "budget": budget, "credit": voted(counts, samples, budget),
                "flops_wu2024": 2e2 * size * budget, "flops_kaplan": 2e2 * size * budget,
                "flops_total": 4e2 * size * budget + 1e2 * size,
            }
        )
        for half, counts, samples in parts
        for budget in budgets
        if budget <= samples
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def greedy_of(right: np.ndarray, size: float) -> pd.DataFrame:
    """Credits of greedy answers, [problems]."""
    none = dict.fromkeys(("verifier", "selector", "step_aggregation"), "none")
    costs = {"flops_wu2024": 2e2 * size, "flops_kaplan": 2e2 * size, "flops_total": 3e2 * size}
    about = {"problem_id": names(right.size), "half": 0, "budget": 1, "credit": right.astype(float)}
    return pd.DataFrame(about | none | costs)


def difficulty_of(halves: Sequence[np.ndarray], bins: int = 5, pool: int = POOL) -> pd.DataFrame:
    """Oracle difficulty by a pool, and by each of its halves."""
    frames = []
    for half, (counts, samples) in enumerate(
        [(np.sum(halves, axis=0), pool), *((counts, pool // 2) for counts in halves)]
    ):
        rates = counts / samples
        about = {
            "problem_id": names(counts.size), "level": None, "half": half, "samples": samples,
            "oracle": rates, "oracle_bin": quantile_bins(rates, bins), "predicted": np.nan,
            "predicted_bin": None, "flops_total_verified": np.nan,
        }  # fmt: skip
        costs = dict.fromkeys(("flops_wu2024", "flops_kaplan", "flops_total"), 2e2 * samples)
        frames.append(pd.DataFrame(about | costs))
    return pd.concat(frames, ignore_index=True)


def sampled(rng: np.random.Generator, chances: np.ndarray, pool: int = POOL) -> list[np.ndarray]:
    """Counts of right samples in both halves of a pool."""
    return [rng.binomial(pool // 2, chances) for _ in range(2)]


def alike(rng: np.random.Generator, problems: int, correlation: float) -> tuple[np.ndarray, np.ndarray]:
    """Chances of a right answer of two equally good models, which find similar problems hard."""
    shared = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], problems).T
    first, second = beta.ppf(norm.cdf(shared), 0.6, 0.6)
    return first, second


def pair(
    policy: str,
    credits: Mapping[str, pd.DataFrame],
    difficulty: pd.DataFrame | None,
    telling: str | None = "sampling",
) -> Pair:
    """A policy with its tables."""
    tables = {name: CreditsTable(name, frame, {}, name) for name, frame in credits.items()}
    return Pair("d", policy, SIZES[policy], difficulty, telling, tables)


def spec(families: Mapping[str, tuple[str, ...]], **more: object) -> AllocateSpec:
    """A specification of a study without its files."""
    about: dict[str, object] = {
        "experiment": "e", "pools": (), "difficulties": (), "bins": 5, "families": families,
        "selector": "weighted", "verifier": "prm", "step_aggregation": "last", "cost_model": "wu2024",
        "splits": 4, "draws": 200, "level": 0.95, "seed": 1, "code": "0",
    }  # fmt: skip
    return AllocateSpec.model_validate(about | more)


def names(count: int) -> list[str]:
    """Identifiers of problems."""
    return [f"p{number:04d}" for number in range(count)]
