"""What a selector computes, and how one is looked up by name.

A selector is one object in a module of its own in `isoflop.selection.selectors`, or one that an entry point
of the group `isoflop.selectors` refers to. Most are a `BestScore` or a `Vote` (isoflop.selection.kinds).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from isoflop.arrays import Bools, Floats, Ints
from isoflop.errors import UserError
from isoflop.registries import SELECTORS, SelectorTraits
from isoflop.strategy import NO_ANSWER


class Answers(NamedTuple):
    """One problem's candidates as a selector sees them, each [candidates].

    `answer_class`: number of the answer, `NO_ANSWER` where there is none. `scores`: what the selector reads,
    all finite; None where it reads nothing.
    """

    answer_class: Ints
    correct: Bools
    scores: Floats | None = None

    @classmethod
    def scored(cls, answer_class: Ints, correct: Bools, scores: Floats | None, *, votes: bool) -> Self:
        """What has no score (nan) takes no part, and is no answer. All arrays [candidates]."""
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
    """The answers of P chains of revisions of length S to one problem, each [P, S].

    `scores`: what the selector reads, nan where there is none; None where it reads nothing.
    """

    answer_class: Ints
    correct: Bools
    scores: Floats | None = None


class Limit(NamedTuple):
    """The credit at infinitely many samples, and its bounds where the pool leaves it open."""

    credit: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Selector(SelectorTraits, ABC):
    """How one answer is picked among candidates.

    A credit is the expected correctness of the answer picked, over all subsets of a size. What a selector
    draws comes from `rng` alone, and the order of candidates has no influence.
    """

    def weights(self, scores: Floats) -> Floats:
        """What scores count: [candidates], nan where there is none. As they are, unless overridden."""
        return scores

    @abstractmethod
    def over_samples(
        self, pools: Sequence[Answers], budgets: Sequence[int], draws: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Credits over all subsets of one problem's candidates, and their standard errors.

        `pools`: the same candidates, under each of several scores. `budgets` rise within their number.
        `draws`: subsets to draw where there is no closed form. Both results are [pools, budgets].
        """

    @abstractmethod
    def over_pool(self, pool: Answers) -> float:
        """Credit of the whole pool, such as the finished solutions of a search: at least one candidate."""

    @abstractmethod
    def over_chains(
        self, chains: Chains, parallel: Sequence[int], draws: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Credits over all subsets of chains, and their standard errors, each [parallel].

        `parallel`: numbers of chains, which rise within P.
        """

    def limit(self, pool: Answers) -> Limit:
        """Credit of infinitely many samples, as far as the pool tells; asked of selectors that vote.

        Raises UserError where a selector that votes does not say it.
        """
        raise UserError(f"selector {self.name!r} votes and has no limit; give it one, or set votes to False")


def selector(name: str) -> Selector:
    """A selector by name. Raises UserError for an unknown one, or one that cannot compute."""
    found = SELECTORS[name]
    if not isinstance(found, Selector):
        raise UserError(
            f"selector {name!r}: has only a description; make it an isoflop.selection.registry.Selector"
        )
    return found
