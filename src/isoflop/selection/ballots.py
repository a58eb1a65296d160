"""One vote: a problem's pool as a ballot, and the credit of the vote of the whole pool or of subsets of it.

Rules, the same everywhere: every voter adds its weight (1 for majority, its verifier score for weighted
voting) to its class of equivalent answers; a candidate without an answer does not vote; classes tied at the
top share the credit; a subset without a vote has credit 0. A class's credit is the mean correctness of its
members.

Pools are brought into a canonical order first, so no result depends on the order of samples or the numbering
of classes, to the last bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from isoflop.arrays import Bools, Floats, Ints
from isoflop.selection.best_of_k import TIE
from isoflop.strategy import NO_ANSWER

# The smallest of floats tells a class whose voters all weigh 0 from one without a voter.
LEAST = float(np.nextafter(0.0, 1.0))


@dataclass(frozen=True)
class Ballot:
    """A pool in canonical order.

    Attributes
    ----------
    label
        0 for no vote, else the class 1 ... m, [candidates].
    weight
        Of the votes, at least 0, [candidates].
    class_credit
        Rising from class 1 to m; entry 0 is 0, [m + 1].
    losing
        How many of the classes have no credit; they come first.
    """

    label: Ints
    weight: Floats
    class_credit: Floats
    losing: int

    @property
    def size(self) -> int:
        """Candidates in the pool."""
        return self.label.size

    @property
    def classes(self) -> int:
        """Distinct answers in the pool."""
        return self.class_credit.size - 1


def make_ballot(answer_class: Ints, correct: Bools, weight: Floats | None = None) -> Ballot:
    """The pool of one problem in canonical order, for weighted voting or (without `weight`) for majority.

    Parameters
    ----------
    answer_class, correct, weight
        As `make_ballots` takes them, [candidates].

    Raises
    ------
    ValueError
        As `make_ballots` does.
    """
    return make_ballots(answer_class[None], correct[None], None if weight is None else weight[None])[0]


def make_ballots(answer_class: Ints, correct: Bools, weight: Floats | None = None) -> list[Ballot]:
    """The pools of problems with as many candidates, each in canonical order.

    Parameters
    ----------
    answer_class
        Numbers of a problem's equivalent answers from 0; -1 is no answer, [problems, candidates].
    correct
        Whether each candidate is right, [problems, candidates].
    weight
        Of the votes, finite and at least 0, [problems, candidates]; None where each has one vote.

    Raises
    ------
    ValueError
        For a negative or non-finite weight, a class below -1, or a correct non-answer.

    Notes
    -----
    Candidates are sorted by the credit, size and weights of their class, then by their own weight: what is
    left to chance are candidates and classes that are interchangeable.
    """
    weights = np.ones(answer_class.shape) if weight is None else weight + 0.0
    if not np.all(np.isfinite(weights) & (weights >= 0)):
        raise ValueError("weights of votes must be finite and at least 0")
    if np.any(answer_class < NO_ANSWER) or np.any(correct & (answer_class == NO_ANSWER)):
        raise ValueError("answer classes start at 0; -1 is no answer, which is never correct")
    problems, size = answer_class.shape
    if not size:
        return [Ballot(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(1), 0)] * problems
    order = np.lexsort((weights, answer_class))
    labels = np.take_along_axis(answer_class, order, axis=1).ravel()
    ranked = np.take_along_axis(weights, order, axis=1).ravel()
    right = np.take_along_axis(correct, order, axis=1).ravel()
    first = np.ones((problems, size), dtype=np.bool_)
    first[:, 1:] = np.diff(labels.reshape(problems, size)) != 0
    starts = np.flatnonzero(first)
    sizes = np.diff(starts, append=labels.size)
    classes = _Classes(
        problem=starts // size,
        votes=labels[starts] != NO_ANSWER,
        credit=np.add.reduceat(right.astype(np.float64), starts) / sizes,
        start=starts,
        size=sizes,
    )
    classes = classes.taken(_canonical(classes, ranked, by_weight=weight is not None))
    ends = np.cumsum(classes.size)
    from_first = np.arange(labels.size) - np.repeat(ends - classes.size, classes.size)
    moved = ranked[np.repeat(classes.start, classes.size) + from_first]
    moved[np.repeat(~classes.votes, classes.size)] = 0.0
    # Every problem has a class 0 in what follows, empty where all answered.
    counts = np.bincount(classes.problem[classes.votes], minlength=problems)
    number = np.arange(classes.size.size) - np.repeat(
        np.searchsorted(classes.problem, np.arange(problems)),
        np.bincount(classes.problem, minlength=problems),
    )
    answered = np.ones(problems, dtype=np.int64)
    answered[classes.problem[~classes.votes]] = 0
    label = np.repeat(number + answered[classes.problem], classes.size).reshape(problems, size)
    credits = np.split(classes.credit[classes.votes], np.cumsum(counts)[:-1])
    losing = np.bincount(classes.problem[classes.votes & (classes.credit == 0)], minlength=problems)
    return [
        Ballot(label[row], moved[row * size : (row + 1) * size], np.append(0.0, credit), none)
        for row, (credit, none) in enumerate(zip(credits, losing.tolist(), strict=True))
    ]


class _Classes(NamedTuple):
    """Classes of equal answers, problem by problem, each a run of candidates; [classes]."""

    problem: Ints
    votes: Bools
    credit: Floats
    start: Ints
    size: Ints

    def taken(self, rows: Ints) -> "_Classes":
        return _Classes(
            self.problem[rows], self.votes[rows], self.credit[rows], self.start[rows], self.size[rows]
        )


def _canonical(classes: _Classes, weights: Floats, *, by_weight: bool) -> Ints:
    """The order of classes by problem, credit, size and the bytes of their weights; no vote comes first."""
    # Read as a big-endian number, the first weight's bytes are compared in their order in memory.
    word = weights[classes.start].astype("<f8").view(">u8") if by_weight else classes.start
    keys = (word, classes.size, classes.credit, classes.votes, classes.problem)
    order = np.lexsort((classes.start, *keys))
    if not by_weight:
        return order
    # Where first weights are the same, the others decide.
    alike = np.ones(order.size, dtype=np.bool_)
    alike[0] = False
    for key in keys:
        alike[1:] &= np.diff(key[order].astype(key.dtype.newbyteorder("="))) == 0
    alike &= classes.size[order] > 1
    ends = np.flatnonzero(alike & ~np.append(alike[1:], False))
    for end in ends.tolist():
        begin = end
        while alike[begin]:
            begin -= 1

        def rest(row: int) -> tuple[bytes, int]:
            start, size = int(classes.start[row]), int(classes.size[row])
            return weights[start : start + size].tobytes(), start

        order[begin : end + 1] = sorted(order[begin : end + 1].tolist(), key=rest)
    return order


def whole_pool_vote(ballot: Ballot) -> float:
    """Credit of the vote of the whole pool: budget n, and the estimate of the limit k -> infinity.

    Parameters
    ----------
    ballot
        Of one problem.

    Returns
    -------
    A credit in [0, 1].

    References
    ----------
    Wu et al. 2024, Inference Scaling Laws, Theorems 1 and 2. doi:10.48550/arXiv.2408.00724
    """
    return float(whole_pool_votes([ballot])[0])


def whole_pool_votes(ballots: Sequence[Ballot]) -> Floats:
    """`whole_pool_vote` of many pools.

    Parameters
    ----------
    ballots
        Of any problems.

    Returns
    -------
    Credits in [0, 1], [ballots].
    """
    lengths = np.array([ballot.class_credit.size for ballot in ballots])
    offsets = np.cumsum(lengths) - lengths
    sizes = [ballot.size for ballot in ballots]
    cells = np.concatenate([ballot.label for ballot in ballots]) + np.repeat(offsets, sizes)
    votes = np.bincount(cells, np.concatenate([ballot.weight for ballot in ballots]), int(lengths.sum()))
    votes = np.maximum(votes, (np.bincount(cells, minlength=votes.size) > 0) * LEAST)
    votes[offsets] = 0.0
    top = np.maximum.reduceat(votes, offsets)
    tied = ((votes >= np.repeat(top, lengths) * (1.0 - TIE)) & (votes > 0)).astype(np.float64)
    shared = np.add.reduceat(tied * np.concatenate([ballot.class_credit for ballot in ballots]), offsets)
    credits: Floats = shared / np.maximum(np.add.reduceat(tied, offsets), 1.0)
    return credits


def subset_credits(ballot: Ballot, drawn: Ints, budgets: Sequence[int]) -> Floats:
    """Credit of the vote among the first k drawn candidates, for each rising budget k and each draw.

    Parameters
    ----------
    ballot
        Of one problem.
    drawn
        Candidates of the ballot, [at least the last budget, draws].
    budgets
        Numbers of candidates k, rising.

    Returns
    -------
    Credits in [0, 1], [budgets, draws].
    """
    credits: Floats = paired_credits([ballot], drawn, budgets)[0]
    return credits


def paired_credits(ballots: Sequence[Ballot], drawn: Ints, budgets: Sequence[int]) -> Floats:
    """`subset_credits` of ballots that differ in their weights alone, among the same draws.

    Parameters
    ----------
    ballots
        Of one problem, with the same labels and credits of classes.
    drawn, budgets
        As `subset_credits` takes them.

    Returns
    -------
    Credits in [0, 1], [ballots, budgets, draws].
    """
    draws, first = drawn.shape[1], ballots[0]
    drawn = drawn[: budgets[-1]]
    cells = (first.label * draws).take(drawn) + np.arange(draws)
    weights = [ballot.weight.take(drawn) for ballot in ballots]
    shape = (len(ballots), first.classes + 1, draws)
    sums = np.zeros((len(ballots), shape[1] * draws))
    # A class whose voters all weigh 0 is still voted for.
    weightless = any(np.any(ballot.weight[ballot.label > 0] == 0) for ballot in ballots)
    result, before = np.zeros((len(ballots), len(budgets), draws)), 0
    for row, budget in enumerate(budgets):
        part = slice(before, budget)
        for number, weight in enumerate(weights):
            sums[number] += np.bincount(cells[part].ravel(), weight[part].ravel(), sums.shape[1])
        votes = sums
        if weightless:
            present = np.bincount(cells[:budget].ravel(), minlength=sums.shape[1]) > 0
            votes = np.maximum(sums, present * LEAST)
        result[:, row] = shared_credit(votes.reshape(shape)[:, 1:], first)
        before = budget
    return result


def shared_credit(votes: Floats, ballot: Ballot) -> Floats:
    """Mean credit of the classes tied at the top.

    Parameters
    ----------
    votes
        Sums by class, 0 for one without a vote, [..., classes, draws].
    ballot
        Whose classes they are.

    Returns
    -------
    Credits in [0, 1], [..., draws].
    """
    credit, losing = ballot.class_credit[1:], ballot.losing
    best = votes[..., losing:, :].max(axis=-2, initial=0.0)
    rival = votes[..., :losing, :].max(axis=-2, initial=0.0)
    close = (best >= rival * (1.0 - TIE)) & (best > 0)
    result = np.zeros(best.shape)
    if credit.size - losing == 1:
        clear = best > rival * (1.0 + TIE)
        result[clear] = credit[-1]
        close &= ~clear
    if close.any():
        contested = np.moveaxis(votes, -2, 0)[:, close]
        tied = contested >= contested.max(axis=0) * (1.0 - TIE)
        result[close] = (credit[:, None] * tied).sum(axis=0) / tied.sum(axis=0)
    return result
