"""The pool of a generator of revisions: P chains of length S per problem (Snell et al. 2024)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Floats, Ints
from isoflop.costs.pools import revision_costs
from isoflop.errors import UserError
from isoflop.seeds import derive_seed
from isoflop.selection.pool import Group, PickingCredits, SelectSpec, groups
from isoflop.selection.registry import Chains
from isoflop.selection.samples import SamplePool
from isoflop.selection.voting import draws_needed
from isoflop.strategy import Picking


@dataclass(frozen=True)
class ChainPool:
    """The chains of one length of all problems.

    Attributes
    ----------
    samples
        All candidates, with what they took.
    rows
        Those of the chains' candidates, [problems, P, S].
    """

    samples: SamplePool
    rows: Ints

    @property
    def length(self) -> int:
        """S."""
        return int(self.rows.shape[2])

    def credits(self, spec: SelectSpec) -> list[PickingCredits]:
        """Credits of every picking, [budgets, problems], in the order of isoflop.selection.pool.groups.

        Parameters
        ----------
        spec
            Its budgets are numbers of answers, multiples of the chains' length.

        Raises
        ------
        UserError
            For a budget that the chains cannot make up, or scores that cannot vote.

        Notes
        -----
        At length 1 every credit is that of plain sampling.
        """
        count = self.rows.shape[1]
        wrong = [n for n in spec.budgets if n % self.length or n > count * self.length]
        if wrong:
            raise UserError(
                f"budgets: {wrong[0]} answers are not up to {count} chains of {self.length}; lower the "
                "budget or write more chains"
            )
        return [
            self._picking_credits(group, picking, weights, spec)
            for group in groups(self.samples.candidates, self.samples.scores, spec)
            for picking, weights in zip(group.pickings, group.weights, strict=True)
        ]

    def costs(self, budgets: Sequence[int], verifier: str, asked: Sequence[str] = ()) -> dict[str, Floats]:
        """Expected cost of a random subset of chains.

        Parameters
        ----------
        budgets
            Numbers of answers, multiples of the chains' length.
        verifier
            Its name; "none" where none is used.
        asked
            Cost models beyond those of every study.

        Returns
        -------
        By column, [budgets, problems].
        """
        samples = self.samples
        read = samples.verifiers.get(verifier)
        return revision_costs(budgets, self.rows, samples.prompt, samples.policy, read, asked)

    def _picking_credits(
        self, group: Group, picking: Picking, weights: Floats | None, spec: SelectSpec
    ) -> PickingCredits:
        candidates, names = self.samples.candidates, self.samples.candidates.problem_ids
        parallel = [budget // self.length for budget in spec.budgets]
        draws = draws_needed(len(names))
        credit, error = np.zeros((2, len(parallel), len(names)))
        for column, name in enumerate(names):
            rows = self.rows[column]
            chains = Chains(
                candidates.answer_class[rows],
                candidates.correct[rows],
                None if weights is None else weights[rows],
            )
            rng = np.random.default_rng(derive_seed("select", spec.seed, name))
            credit[:, column], error[:, column] = group.selector.over_chains(chains, parallel, draws, rng)
        return PickingCredits(picking, spec.budgets, credit, error)


def arrange_chains(
    problem_ids: Sequence[str],
    sizes: Ints,
    chain: Sequence[int | None],
    position: Sequence[int | None],
    length: int,
) -> Ints:
    """The rows of the first answers of the chains that are long enough.

    Parameters
    ----------
    problem_ids
        [problems].
    sizes
        Candidates per problem, [problems].
    chain, position
        Of each candidate its chain, and its position there (from 1), [candidates].
    length
        How many answers of each chain.

    Returns
    -------
    Rows of candidates, [problems, P, length].

    Raises
    ------
    UserError
        For candidates that are no chains, incomplete ones, and problems with different numbers of chains.
    """
    rows: list[list[list[int]]] = []
    start = 0
    for problem, size in zip(problem_ids, sizes.tolist(), strict=True):
        chains: dict[int, list[int]] = {}
        for row in range(start, start + size):
            number = chain[row]
            if number is None or position[row] != len(chains.setdefault(number, [])) + 1:
                raise UserError(
                    f"problem {problem}: candidate row {row} is not the next answer of a chain; "
                    "delete the candidates and run again"
                )
            chains[number].append(row)
        rows.append([members[:length] for members in chains.values() if len(members) >= length])
        start += size
    counts = {len(chains) for chains in rows}
    if len(counts) != 1 or 0 in counts:
        raise UserError(
            f"the problems have {min(counts)} to {max(counts)} chains of {length} answers; all need as many, "
            "and at least one: delete the candidates and run again"
        )
    return np.array(rows, dtype=np.int64)
