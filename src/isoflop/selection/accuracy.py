"""Accuracy of a pool of answers at every budget by one call, `accuracy_at_k`; by problem, `credits_at_k`."""

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from isoflop.arrays import Bools, Floats, Ints
from isoflop.selection.registry import Answers
from isoflop.selection.registry import selector as named
from isoflop.selection.voting import draws_needed
from isoflop.strategy import NO_ANSWER

PlainSelector = Literal["majority", "weighted", "best_of_n", "pass"]
"""How one answer is picked; `pass` is the oracle."""


def accuracy_at_k(
    answers: Sequence[Sequence[Hashable]],
    correct: ArrayLike,
    scores: ArrayLike | None = None,
    *,
    budgets: Sequence[int],
    selector: PlainSelector = "majority",
    seed: int = 0,
) -> Floats:
    """The accuracy of picking one answer of k, expected over all subsets of k answers of every pool.

    Parameters
    ----------
    answers, correct, scores, budgets, selector, seed
        As `credits_at_k` takes them.

    Returns
    -------
    Accuracies in [0, 1], [budgets]: the means over problems of `credits_at_k`.

    Raises
    ------
    ValueError
        As `credits_at_k` does.
    """
    credits = credits_at_k(answers, correct, scores, budgets=budgets, selector=selector, seed=seed)
    accuracy: Floats = credits.mean(axis=0)
    return accuracy


def credits_at_k(
    answers: Sequence[Sequence[Hashable]],
    correct: ArrayLike,
    scores: ArrayLike | None = None,
    *,
    budgets: Sequence[int],
    selector: PlainSelector = "majority",
    seed: int = 0,
) -> Floats:
    """The expected credit of picking one answer of k on every problem, over all subsets of its pool.

    Parameters
    ----------
    answers
        Of every problem its pool, [problems][candidates], all pools of one size; equal answers vote together,
        None is no answer.
    correct
        Whether each answer is right, [problems, candidates].
    scores
        A verifier's, [problems, candidates], for `weighted` and `best_of_n`.
    budgets
        Numbers of answers k, rising, each at most the size of a pool.
    selector
        How one of k answers is picked: `majority`, `weighted`, `best_of_n`, or `pass`, the oracle.
    seed
        Of the random subsets, where there are any.

    Returns
    -------
    Credits in [0, 1], [problems, budgets].

    Raises
    ------
    ValueError
        For arrays that do not fit together, budgets that do not fit the pools, scores that are missing, an
        unknown selector, or answers that are the same but not both right.

    Notes
    -----
    Exact, but for weighted votes of large pools: those are a mean over random subsets, many enough that the
    standard error of the mean over problems is below 0.0008.

    References
    ----------
    Wu et al. 2024, Inference Scaling Laws, section 3. doi:10.48550/arXiv.2408.00724
    """
    right = np.asarray(correct, dtype=np.bool_)
    if (
        right.ndim != 2
        or 0 in right.shape
        or [len(pool) for pool in answers] != [right.shape[1]] * len(right)
    ):
        raise ValueError(f"answers and correct must be [problems, candidates], not {right.shape}")
    if selector not in ("majority", "weighted", "best_of_n", "pass"):
        raise ValueError(f"selector {selector!r} is unknown; use majority, weighted, best_of_n or pass")
    scored = None if scores is None else np.asarray(scores, dtype=np.float64)
    if selector in ("weighted", "best_of_n") and (scored is None or scored.shape != right.shape):
        raise ValueError(f"selector {selector!r} needs scores of shape {right.shape}")
    if not budgets or min(budgets) < 1 or max(budgets) > right.shape[1] or sorted(set(budgets)) != [*budgets]:
        raise ValueError(f"budgets {tuple(budgets)} must rise within pools of {right.shape[1]} answers")
    picker, generator = named(selector), np.random.default_rng(seed)
    pools = [
        [
            _answers(
                _classes(pool),
                right[row],
                scored[row] if scored is not None and picker.needs_verifier else None,
            )
        ]
        for row, pool in enumerate(answers)
    ]
    credits, _ = picker.over_problems(pools, budgets, draws_needed(len(right)), lambda _: generator)
    by_problem: Floats = credits[:, 0]
    return by_problem


def _answers(classes: Ints, right: Bools, score: Floats | None) -> Answers:
    """One problem's candidates; raises ValueError where equal ones are not both right."""
    for number in set(classes.tolist()):
        verdicts = right[classes == number]
        if verdicts.any() and (number == NO_ANSWER or not verdicts.all()):
            raise ValueError("equal answers to a problem must be all right or all wrong, and None wrong")
    return Answers(classes, right, score)


def _classes(pool: Sequence[Hashable]) -> Ints:
    """The number of every answer's class, [candidates]; -1 for no answer."""
    numbers: dict[Hashable, int] = {}
    return np.array(
        [NO_ANSWER if one is None else numbers.setdefault(one, len(numbers)) for one in pool], dtype=np.int64
    )
