"""pass@k, the oracle: any right answer counts, which bounds every selector."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Floats
from isoflop.selection.best_of_k import pass_at_k
from isoflop.selection.registry import Answers, Chains, Selector


@dataclass(frozen=True, kw_only=True)
class _Oracle(Selector):
    oracle: bool = True

    def over_samples(
        self, pools: Sequence[Answers], budgets: Sequence[int], draws: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """The share of subsets with a right answer."""
        credit = np.array([pass_at_k(pool.correct, budgets) for pool in pools])
        return credit, np.zeros_like(credit)

    def over_pool(self, pool: Answers) -> float:
        """Whether any answer is right."""
        return float(pool.correct.any())

    def over_chains(
        self, chains: Chains, parallel: Sequence[int], draws: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """The share of subsets of chains with a right answer in any."""
        return pass_at_k(np.any(chains.correct, axis=1), parallel), np.zeros(len(parallel))


SELECTOR = _Oracle(name="pass", label="pass@k (oracle)", short="pass", order=4)
