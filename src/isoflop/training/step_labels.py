"""Step labels without people: which prefixes to continue, and the label each step gets.

Math-Shepherd's soft estimation (Wang et al. 2024, Eq. 4), as Snell et al. 2024 (App. D) use it: a
step's label is the share of rollouts from there that reach the right answer. The last step of a
finished solution needs none: it is right or wrong.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

Prefix = tuple[str, str]
"""(problem_id, text of the solution so far)."""


@dataclass(frozen=True)
class Written:
    """A solution to be labelled, whether its answer is right, and the tokens of each step."""

    problem_id: str
    policy: str
    steps: tuple[str, ...]
    correct: bool
    tokens: tuple[int, ...]

    @property
    def beginnings(self) -> list[Prefix]:
        """Its prefixes that leave something to write, of 1, 2, ... steps."""
        return [(self.problem_id, text) for text in accumulate(self.steps[:-1])]


def distinct_solutions(solutions: Iterable[Written]) -> list[Written]:
    """`solutions` without repetitions of a text by the same policy on the same problem, in order."""
    seen: dict[tuple[str, str, tuple[str, ...]], Written] = {}
    for solution in solutions:
        seen.setdefault((solution.problem_id, solution.policy, solution.steps), solution)
    return list(seen.values())


def open_prefixes(solutions: Sequence[Written]) -> dict[Prefix, int]:
    """Every distinct beginning, of one step or more, that leaves something to write, and its tokens.

    Where policies count differently, the most tokens.
    """
    prefixes: dict[Prefix, int] = {}
    for solution in solutions:
        for prefix, tokens in zip(solution.beginnings, accumulate(solution.tokens), strict=False):
            prefixes[prefix] = max(prefixes.get(prefix, 0), tokens)
    return prefixes


def continuations(solutions: Iterable[Written], completer: str) -> dict[Prefix, list[bool]]:
    """Outcomes of `completer`'s own solutions by the prefixes they go through.

    A solution that it samples is a rollout from each of its beginnings, as good as one drawn for the purpose.
    """
    outcomes: dict[Prefix, list[bool]] = {}
    for solution in solutions:
        if solution.policy == completer:
            for prefix in solution.beginnings:
                outcomes.setdefault(prefix, []).append(solution.correct)
    return outcomes


def soft_labels(solution: Written, shares: Mapping[Prefix, float]) -> list[float]:
    """A label per step of `solution`; `shares` are the right shares of the rollouts of `open_prefixes`."""
    return [*(shares[prefix] for prefix in solution.beginnings), float(solution.correct)]
