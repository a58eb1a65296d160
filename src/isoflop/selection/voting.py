"""Majority and weighted voting at budget k: the expectation over all k-subsets of a pool of n candidates.

Rules, the same everywhere: every voter adds its weight (1 for majority, its verifier score for weighted
voting) to its class of equivalent answers; a candidate without an answer does not vote; classes tied at the
top share the credit; a subset without a vote has credit 0. A class's credit is the mean correctness of its
members.

Majority is exact (`majority_exact`; pools beyond a thousand candidates are sampled). Weighted voting is exact
where there is a closed form or few subsets, else a Monte Carlo over random k-subsets with its standard
error (`vote_credits`). Pools are brought into a canonical order
first, so no result depends on the order of samples or the numbering of classes, to the last bit.

The limit k -> infinity (Wu et al. 2024, Theorems 1 and 2) is the answer of largest probability (majority) or
of largest probability times reward (weighted). Its plug-in estimate from the pool is the vote of the whole
pool; where the pool leaves the vote open, `limit_bounds` says so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.ndimage import convolve1d

from isoflop.arrays import Bools, Floats, Ints
from isoflop.selection.best_of_k import TIE, best_of_k, missing_probability
from isoflop.strategy import NO_ANSWER

# Beyond these the Monte Carlo is faster: subsets listed one by one, and multiply-adds of the exact majority.
MOST_SUBSETS = 4096
_MOST_OPERATIONS = 4e8
# Binomial coefficients of larger pools overflow a float.
_LARGEST_EXACT_POOL = 1000
# Draws evaluated together: their sums by class stay in the processor's cache.
_CHUNK = 512
# Whether a vote is open is judged by this many pools, and below this share either way.
_POOLS = 400
_OPEN = 0.025


@dataclass(frozen=True)
class Ballot:
    """A pool in canonical order.

    `label`: shape [candidates], 0 for no vote, else the class 1 ... m. `weight`: shape [candidates], at least
    0. `class_credit`: shape [m + 1], rising from class 1 to m; entry 0 is 0. `losing`: how many of the
    classes have no credit; they come first.
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

    All arrays have shape [candidates]. Candidates are sorted by the credit, size and weights of their class,
    then by their own weight: what is left to chance are candidates and classes that are interchangeable.
    Raises ValueError for a negative or non-finite weight, a class below -1, or a correct non-answer.
    """
    weights = np.ones(answer_class.size) if weight is None else weight + 0.0
    if not np.all(np.isfinite(weights) & (weights >= 0)):
        raise ValueError("weights of votes must be finite and at least 0")
    votes = answer_class != NO_ANSWER
    if np.any(answer_class < NO_ANSWER) or np.any(correct & ~votes):
        raise ValueError("answer classes start at 0; -1 is no answer, which is never correct")
    order = np.lexsort((weights, answer_class))
    order = order[np.count_nonzero(~votes) :]
    labels, ranked, right = answer_class[order], weights[order], correct[order]
    starts = np.flatnonzero(np.diff(labels, prepend=NO_ANSWER))
    sizes = np.diff(starts, append=labels.size)
    credits = np.add.reduceat(right.astype(np.float64), starts) / sizes if starts.size else np.zeros(0)
    keyed = sorted(
        (credit, size, ranked[start : start + size].tobytes(), start)
        for credit, size, start in zip(credits.tolist(), sizes.tolist(), starts.tolist(), strict=True)
    )
    without = answer_class.size - labels.size
    class_sizes = [without, *(size for _, size, _, _ in keyed)]
    class_credit = np.array([0.0, *(credit for credit, _, _, _ in keyed)])
    return Ballot(
        label=np.repeat(np.arange(len(class_sizes)), class_sizes),
        weight=np.concatenate([np.zeros(without), *(ranked[at : at + size] for _, size, _, at in keyed)]),
        class_credit=class_credit,
        losing=int(np.count_nonzero(class_credit[1:] == 0)),
    )


def whole_pool_vote(ballot: Ballot) -> float:
    """Credit of the vote of the whole pool: budget n, and the estimate of the limit k -> infinity."""
    everyone = np.arange(ballot.size)[:, None]
    return float(subset_credits(ballot, everyone, (ballot.size,))[0, 0])


def limit_bounds(ballot: Ballot) -> tuple[float, float]:
    """The limit k -> infinity if every vote that the pool leaves open goes wrong, and if it goes right.

    A vote is open if pools drawn anew from this one, with replacement, are sometimes right and sometimes
    not: right in more than 2.5% and in less than 97.5% of them. Returns two credits, each 0 or 1.
    """
    right = float(subset_credits(ballot, _resamples(ballot.size), (ballot.size,)).mean())
    return float(right >= 1.0 - _OPEN), float(right > _OPEN)


@lru_cache(maxsize=8)
def _resamples(size: int) -> Ints:
    """Candidates of 400 pools of `size` drawn anew from such a pool, [size, pools]; always the same ones."""
    return np.random.default_rng(size).integers(0, size, size=(size, _POOLS))


def vote_credits(
    ballots: Sequence[Ballot], budgets: Sequence[int], draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Voting at each budget, for ballots of one pool that differ in their weights (all equal: majority).

    Returns credit and standard error, each of shape [ballots, budgets]; the error is 0 where the credit is
    exact. Elsewhere `draws` (at least 2) random subsets come from `rng`, shared by the ballots, so
    that comparisons between them are paired. Raises ValueError for budgets that do not rise or
    lie outside 1 ... n.
    """
    rising = all(low < high for low, high in pairwise(budgets))
    if not rising or budgets[0] < 1 or budgets[-1] > ballots[0].size:
        raise ValueError(f"budgets {tuple(budgets)} must rise within a pool of {ballots[0].size} candidates")
    credit, error = np.zeros((2, len(ballots), len(budgets)))
    known = [_exact(ballot, budgets) for ballot in ballots]
    for row, exact in enumerate(known):
        credit[row] = [exact.get(budget, 0.0) for budget in budgets]
    rows = [row for row, exact in enumerate(known) if not exact.keys() >= set(budgets)]
    if rows:
        # A ballot is exact at all budgets, or at those that the size of the pool alone decides.
        columns = [column for column, budget in enumerate(budgets) if budget not in known[rows[0]]]
        sampled = [budgets[column] for column in columns]
        cells = np.ix_(rows, columns)
        credit[cells], error[cells] = _monte_carlo([ballots[row] for row in rows], sampled, draws, rng)
    return credit, error


def draws_needed(problem_count: int, standard_error: float = 0.0008) -> int:
    """Monte Carlo subsets per problem that hold the error of the mean over problems below `standard_error`.

    Worst case: the credit of a subset is a fair coin on every problem.
    """
    return max(256, math.ceil(0.25 / (standard_error**2 * problem_count)))


def majority_exact(ballot: Ballot, budgets: Sequence[int]) -> Floats:
    """Majority voting, exact for all budgets at once; returns shape [budgets].

    Of all k-subsets, those where class i has v votes, t others have v too and none has more are counted by
    the coefficient of x^(k-v) y^t in

        C(c_i, v) (1 + x)^(no answer) prod_{j != i} (sum_{u<v} C(c_j, u) x^u + y C(c_j, v) x^v)

    and credit class i with 1 / (t + 1) = integral of y^t over [0, 1], which Gauss-Legendre nodes give to
    rounding. All terms are positive, so nothing cancels.
    """
    counts = np.bincount(ballot.label, minlength=ballot.classes + 1)
    # The whole pool is one subset; leaving it out halves the degree when budgets are powers of two.
    top = max((budget for budget in budgets if budget < ballot.size), default=1)
    binomials = _binomials(ballot.size, top)
    total = np.zeros(top + 1)
    for winner in range(ballot.losing + 1, ballot.classes + 1):
        others = np.sort(np.delete(counts[1:], winner - 1))[::-1]
        ways = np.zeros(top + 1)
        for votes in range(1, min(int(counts[winner]), top) + 1):
            rest = int(ballot.size - counts[winner])
            outvoted = _outvoted(others, rest, votes, top - votes, binomials)
            ways[votes:] += binomials[counts[winner], votes] * outvoted
        total += ballot.class_credit[winner] * ways
    credits = np.clip(total / binomials[ballot.size], 0.0, 1.0)
    return np.array([credits[k] if k < ballot.size else whole_pool_vote(ballot) for k in budgets])


def _outvoted(others: Ints, rest: int, votes: int, degree: int, binomials: Floats) -> Floats:
    """Weighted number of ways to draw 0 ... `degree` of the `rest` candidates, no other class above `votes`.

    `others`: sizes of the other classes, falling. A way in which t of them have exactly `votes` counts
    1 / (t + 1). Returns shape [degree + 1].
    """
    rivals = others[: np.count_nonzero(others >= votes)]
    base: Floats = binomials[rest - int(rivals.sum()), : degree + 1]
    if rivals.size == 0:
        return base
    nodes, node_weights = _unit_quadrature(min(rivals.size, degree // votes))
    ways = np.tile(base, (nodes.size, 1))
    for rival in rivals.tolist():
        # By rows: y times the term of exactly `votes`, shifted into place.
        tied = nodes[:, None] * (binomials[rival, votes] * ways[:, : max(degree + 1 - votes, 0)])
        if votes > 1:
            # The product with the polynomial, cut at `degree`; the origin aligns its constant term.
            ways = convolve1d(ways, binomials[rival, :votes], axis=1, mode="constant", origin=-(votes // 2))
        ways[:, votes:] += tied
    result: Floats = node_weights @ ways
    return result


@lru_cache(maxsize=8)
def _binomials(size: int, top: int) -> Floats:
    """C(a, k) for a = 0 ... size and k = 0 ... top, shape [size + 1, top + 1]."""
    table = np.zeros((size + 1, top + 1))
    table[:, 0] = 1.0
    for row in range(1, size + 1):
        table[row, 1:] = table[row - 1, 1:] + table[row - 1, :-1]
    return table


@lru_cache(maxsize=1024)
def _unit_quadrature(degree: int) -> tuple[Floats, Floats]:
    """Nodes and weights on [0, 1], as few as give the integrals of 1, y ... y^degree to rounding."""
    powers = np.arange(degree + 1)
    count = 0
    while True:
        count += 1
        nodes, weights = np.polynomial.legendre.leggauss(count)
        nodes, weights = (nodes + 1.0) / 2.0, weights / 2.0
        error = np.abs(weights @ nodes[:, None] ** powers - 1.0 / (powers + 1.0)).max()
        if error < 1e-14 or 2 * count - 1 >= degree:
            return nodes, weights


def _operations(ballot: Ballot, top: int) -> float:
    """Bound on the multiply-adds of `majority_exact`; infinite where its numbers would overflow."""
    if ballot.size > _LARGEST_EXACT_POOL:
        return math.inf
    counts = np.bincount(ballot.label, minlength=ballot.classes + 1)[1:]
    return float(np.minimum.outer(counts[ballot.losing :], counts).sum()) * float(top + 1) ** 2


def _exact(ballot: Ballot, budgets: Sequence[int]) -> dict[int, float]:
    """The budgets at which the vote is known exactly, with its credit there."""
    pool = ballot.size
    if ballot.losing == ballot.classes:
        return dict.fromkeys(budgets, 0.0)
    voters = int(np.count_nonzero(ballot.label))
    if ballot.classes == 1:
        nobody = missing_probability(pool, tuple(budgets))[:, pool - voters]
        return dict(zip(budgets, (float(ballot.class_credit[1]) * (1.0 - nobody)).tolist(), strict=True))
    weights = ballot.weight[pool - voters :]
    if weights.min() == weights.max() > 0 and _operations(ballot, max(budgets)) <= _MOST_OPERATIONS:
        return dict(zip(budgets, majority_exact(ballot, budgets).tolist(), strict=True))
    known: dict[int, float] = {}
    # One or two candidates: the heavier vote decides, as in best-of-k; who has no vote comes last.
    small = [budget for budget in budgets if budget <= 2]
    if small:
        heaviest = np.where(ballot.label > 0, ballot.weight, -1.0)
        known.update(
            zip(small, best_of_k(heaviest, ballot.class_credit[ballot.label], small).tolist(), strict=True)
        )
    for budget in budgets:
        if budget == pool:
            known[budget] = whole_pool_vote(ballot)
        elif budget not in known and math.comb(pool, budget) <= MOST_SUBSETS:
            known[budget] = float(subset_credits(ballot, all_subsets(pool, budget), (budget,)).mean())
    return known


@lru_cache(maxsize=16)
def all_subsets(pool: int, budget: int) -> Ints:
    """Every subset of `budget` of `pool` candidates, shape [budget, subsets]."""
    masks = np.zeros((1, pool), dtype=bool)
    for chosen in range(budget):
        # Extend each subset by every candidate after its last one.
        last = np.where(masks.any(axis=1), pool - 1 - np.argmax(masks[:, ::-1], axis=1), -1)
        row, column = np.nonzero(np.arange(pool) > last[:, None])
        masks = masks[row]
        masks[np.arange(row.size), column] = True
        masks = masks[pool - column - 1 >= budget - chosen - 1]
    return np.nonzero(masks)[1].reshape(-1, budget).T.copy()


def _monte_carlo(
    ballots: Sequence[Ballot], budgets: Sequence[int], draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Mean credit over random subsets and its standard error, shape [ballots, budgets].

    One random order of the pool serves all budgets and ballots: its first k candidates are a uniform
    k-subset for every k. `budgets` must rise.
    """
    total, squares = np.zeros((2, len(ballots), len(budgets)))
    for start in range(0, draws, _CHUNK):
        drawn = random_orders(ballots[0].size, budgets[-1], min(_CHUNK, draws - start), rng)
        for row, ballot in enumerate(ballots):
            credits = subset_credits(ballot, drawn, budgets)
            total[row] += credits.sum(axis=1)
            squares[row] += (credits**2).sum(axis=1)
    mean = total / draws
    variance = np.maximum(squares / draws - mean**2, 0.0) * draws / (draws - 1)
    return mean, np.sqrt(variance / draws)


def random_orders(pool: int, length: int, draws: int, rng: np.random.Generator) -> Ints:
    """The first `length` candidates of `draws` random orders of the pool, shape [length, draws]."""
    # Fisher-Yates, one position of all draws at a time.
    remaining = pool - np.arange(length)[:, None]
    swaps = np.arange(length)[:, None] + (rng.random((length, draws)) * remaining).astype(np.int64)
    orders, columns = np.repeat(np.arange(pool)[:, None], draws, axis=1), np.arange(draws)
    for position in range(length):
        taken = orders[swaps[position], columns]
        orders[swaps[position], columns] = orders[position]
        orders[position] = taken
    return orders[:length]


def subset_credits(ballot: Ballot, drawn: Ints, budgets: Sequence[int]) -> Floats:
    """Credit of the vote among the first k drawn candidates, for each rising budget k and each draw.

    `drawn`: candidates of the ballot, shape [at least the last budget, draws]. Returns shape
    [budgets, draws].
    """
    draws = drawn.shape[1]
    cells = (ballot.label * draws)[drawn] + np.arange(draws)
    weights = ballot.weight[drawn]
    sums, shape = np.zeros((ballot.classes + 1) * draws), (ballot.classes + 1, draws)
    # A class whose voters all weigh 0 is still voted for: the smallest of floats tells it from no vote.
    weightless = bool(np.any(ballot.weight[ballot.label > 0] == 0))
    result, before = np.zeros((len(budgets), draws)), 0
    for row, budget in enumerate(budgets):
        sums += np.bincount(cells[before:budget].ravel(), weights[before:budget].ravel(), sums.size)
        votes = sums
        if weightless:
            present = np.bincount(cells[:budget].ravel(), minlength=sums.size) > 0
            votes = np.maximum(sums, present * np.nextafter(0.0, 1.0))
        result[row] = _shared_credit(votes.reshape(shape)[1:], ballot)
        before = budget
    return result


def _shared_credit(votes: Floats, ballot: Ballot) -> Floats:
    """Mean credit of the classes tied at the top, shape [draws].

    `votes`: sums by class, shape [classes, draws]; 0 for a class not drawn.
    """
    credit, losing = ballot.class_credit[1:], ballot.losing
    result = np.zeros(votes.shape[1])
    best = votes[losing:].max(axis=0, initial=0.0)
    rival = votes[:losing].max(axis=0, initial=0.0)
    close = (best >= rival * (1.0 - TIE)) & (best > 0)
    if credit.size - losing == 1:
        clear = best > rival * (1.0 + TIE)
        result[clear] = credit[-1]
        close &= ~clear
    contested = votes[:, close]
    tied = contested >= contested.max(axis=0, initial=0.0) * (1.0 - TIE)
    result[close] = (credit[:, None] * tied).sum(axis=0) / tied.sum(axis=0)
    return result
