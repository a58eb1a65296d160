"""What a selector computes, and how one is looked up by name.

A selector is one object in a module of its own in `isoflop.selection.selectors`, or one that an entry point
of the group `isoflop.selectors` refers to. Most are a `BestScore` or a `Vote` (isoflop.selection.kinds).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from isoflop.arrays import Bools, Floats, Ints
from isoflop.errors import UserError
from isoflop.registries import SELECTORS, SelectorTraits
from isoflop.strategy import NO_ANSWER


class Answers(NamedTuple):
    """One problem's candidates as a selector sees them.

    Attributes
    ----------
    answer_class
        Number of the answer, `NO_ANSWER` where there is none, [candidates].
    correct
        Whether it is right, [candidates].
    scores
        What the selector reads, all finite, [candidates]; None where it reads nothing.
    """

    answer_class: Ints
    correct: Bools
    scores: Floats | None = None

    @classmethod
    def scored(cls, answer_class: Ints, correct: Bools, scores: Floats | None, *, votes: bool) -> Self:
        """Candidates of which some have no score: those take no part, and are no answer.

        Parameters
        ----------
        answer_class, correct
            As the fields, [candidates].
        scores
            What the selector reads, [candidates]; nan where there is none, None where it reads nothing.
        votes
            Whether scores are weights of votes: then what is missing weighs nothing, else it is below all
            others.
        """
        if scores is None:
            return cls(answer_class, correct, None)
        missing = np.isnan(scores)
        if not missing.any():
            return cls(answer_class, correct, scores)
        # No weight to a vote; below all others for the best of n.
        worst = 0.0 if votes or missing.all() else float(scores[~missing].min()) - 1.0
        return cls(
            np.where(missing, NO_ANSWER, answer_class),
            correct & ~missing,
            np.where(missing, worst, scores),
        )


@dataclass(frozen=True)
class Chains:
    """The answers of P chains of revisions of length S to one problem.

    Attributes
    ----------
    answer_class
        Number of the answer, `NO_ANSWER` where there is none, [P, S].
    correct
        Whether it is right, [P, S].
    scores
        What the selector reads, nan where there is none, [P, S]; None where it reads nothing.
    """

    answer_class: Ints
    correct: Bools
    scores: Floats | None = None


class Limit(NamedTuple):
    """What infinitely many samples would give, as far as a pool tells.

    Attributes
    ----------
    credit
        Of infinitely many samples, in [0, 1].
    low, high
        Its bounds where the pool leaves it open.
    """

    credit: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Selector(SelectorTraits, ABC):
    """How one answer is picked among candidates.

    A credit is the expected correctness of the answer picked, over all subsets of a size. What a selector
    draws comes from `rng` alone, and the order of candidates has no influence.
    """

    def __init_subclass__(cls, **options: object) -> None:
        """What a subclass says of one problem holds for many, whatever its parent computes at once."""
        super().__init_subclass__(**options)
        own = vars(cls)
        if "over_samples" in own and "over_problems" not in own:
            cls.over_problems = Selector.over_problems  # type: ignore[method-assign]
        if "limit" in own and "limits" not in own:
            cls.limits = Selector.limits  # type: ignore[method-assign]

    def weights(self, scores: Floats) -> Floats:
        """What scores count; as they are, unless overridden.

        Parameters
        ----------
        scores
            What the selector reads, [candidates]; nan where there is none.

        Returns
        -------
        Weights, [candidates]; nan where there is none.
        """
        return scores

    @abstractmethod
    def over_samples(
        self, pools: Sequence[Answers], budgets: Sequence[int], draws: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Credits over all subsets of one problem's candidates.

        Parameters
        ----------
        pools
            The same candidates, under each of several scores.
        budgets
            Sizes of subsets, rising within their number.
        draws
            Subsets to draw where there is no closed form.
        rng
            Where all that is drawn comes from.

        Returns
        -------
        Credits and their standard errors, each [pools, budgets].
        """

    def over_problems(
        self,
        problems: Sequence[Sequence[Answers]],
        budgets: Sequence[int],
        draws: int,
        stream: Callable[[int], np.random.Generator],
    ) -> tuple[Floats, Floats]:
        """Credits over all subsets of every problem's candidates: `over_samples` of each, unless overridden.

        Parameters
        ----------
        problems
            Of each problem the same candidates, under each of several scores.
        budgets
            Sizes of subsets, rising within the least number of candidates.
        draws
            Subsets of a problem to draw where there is no closed form.
        stream
            Where all that is drawn for a problem comes from, by its number.

        Returns
        -------
        Credits and their standard errors, each [problems, pools, budgets].
        """
        both = [
            self.over_samples(pools, budgets, draws, stream(number)) for number, pools in enumerate(problems)
        ]
        credit, error = (np.array(column) for column in zip(*both, strict=True))
        return credit, error

    @abstractmethod
    def over_pool(self, pool: Answers) -> float:
        """Credit of a whole pool, such as the finished solutions of a search.

        Parameters
        ----------
        pool
            At least one candidate.

        Returns
        -------
        A credit in [0, 1].
        """

    @abstractmethod
    def over_chains(
        self, chains: Chains, parallel: Sequence[int], draws: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Credits over all subsets of one problem's chains.

        Parameters
        ----------
        chains
            P chains of length S.
        parallel
            Numbers of chains, rising within P.
        draws
            Subsets to draw where there is no closed form.
        rng
            Where all that is drawn comes from.

        Returns
        -------
        Credits and their standard errors, each [parallel].
        """

    def limit(self, pool: Answers) -> Limit:
        """Credit of infinitely many samples, as far as the pool tells; asked of selectors that vote.

        Parameters
        ----------
        pool
            All candidates of one problem.

        Raises
        ------
        UserError
            Where a selector that votes does not say it.
        """
        raise UserError(f"selector {self.name!r} votes and has no limit; give it one, or set votes to False")

    def limits(self, pools: Sequence[Answers]) -> list[Limit]:
        """`limit` of every pool, unless overridden.

        Parameters
        ----------
        pools
            Of any problems.
        """
        return [self.limit(pool) for pool in pools]


class JointSelector(Selector):
    """A selector that computes many problems together; one problem is the case of one."""

    def over_samples(
        self, pools: Sequence[Answers], budgets: Sequence[int], draws: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """See `Selector`."""
        credit, error = self.over_problems([pools], budgets, draws, lambda _: rng)
        return credit[0], error[0]

    @abstractmethod
    def over_problems(
        self,
        problems: Sequence[Sequence[Answers]],
        budgets: Sequence[int],
        draws: int,
        stream: Callable[[int], np.random.Generator],
    ) -> tuple[Floats, Floats]:
        """See `Selector`."""


def selector(name: str) -> Selector:
    """A selector by name.

    Parameters
    ----------
    name
        Of the registry `isoflop.registries.SELECTORS`.

    Raises
    ------
    UserError
        For an unknown one, or one that cannot compute.
    """
    found = SELECTORS[name]
    if not isinstance(found, Selector):
        raise UserError(
            f"selector {name!r}: has only a description; make it an isoflop.selection.registry.Selector"
        )
    return found
