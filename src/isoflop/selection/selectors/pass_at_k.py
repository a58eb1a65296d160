"""pass@k, the oracle: any right answer counts, which bounds every selector."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Floats
from isoflop.selection.best_of_k import coverage_of_counts, pass_at_k
from isoflop.selection.registry import Answers, Chains, JointSelector


@dataclass(frozen=True, kw_only=True)
class _Oracle(JointSelector):
    oracle: bool = True

    def over_problems(
        self,
        problems: Sequence[Sequence[Answers]],
        budgets: Sequence[int],
        draws: int,
        stream: Callable[[int], np.random.Generator],
    ) -> tuple[Floats, Floats]:
        """See `Selector`: all problems at once."""
        right = [(pool.correct.size, np.count_nonzero(pool.correct)) for pools in problems for pool in pools]
        samples, correct = np.array(right, dtype=np.int64).T
        credit = coverage_of_counts(samples, correct, budgets).T.reshape(len(problems), -1, len(budgets))
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
