"""Chains of revisions to credits: one answer of P chains of length S, at every P (Snell et al. 2024).

With a verifier, selection is hierarchical: within each chain best-of-n weighted, the chain represented by its
highest-scored solution with the answer that wins; then best-of-n weighted over the representatives. Majority
pools the answers of all chains. `best_of_n` takes the highest-scored answer of any chain, `pass` any right
one.

The credit at N = P S answers is the expectation over all subsets of P chains: closed forms where there are
any, all subsets where they are few, else a Monte Carlo, as in isoflop.selection.voting. Ties share the
credit: between answers within a chain, then between chains. The order of the chains has no influence.
"""

from collections.abc import Sequence
from itertools import product
from math import comb, prod

import numpy as np

from isoflop.arrays import Bools, Floats, Ints
from isoflop.selection.ballots import Ballot, make_ballot, subset_credits
from isoflop.selection.best_of_k import TIE
from isoflop.selection.registry import Chains
from isoflop.selection.voting import MOST_SUBSETS, all_subsets, random_orders, vote_credits
from isoflop.strategy import NO_ANSWER

# Class, correctness and score of what stands for a chain.
_Representative = tuple[int, bool, float]
# Ways of breaking ties within chains that are all looked at; beyond, they are drawn with the chains.
MOST_WAYS = 64
# Draws evaluated together: bounds memory.
_CHUNK = 512


def best_of_chains(chains: Chains) -> tuple[Floats, Floats]:
    """The highest score of each chain, and the correctness of what has it.

    Parameters
    ----------
    chains
        P chains of one problem, with scores.

    Returns
    -------
    Highest scores, and mean correctness of the answers that have them, each [P].

    Notes
    -----
    What has no score is below all others and not right.
    """
    assert chains.scores is not None
    missing = np.isnan(chains.scores)
    worst = 0.0 if missing.all() else float(np.nanmin(chains.scores)) - 1.0
    scores = np.where(missing, worst, chains.scores)
    best = scores.max(axis=1)
    top = best[:, None] - scores <= TIE * np.abs(best[:, None])
    right = (chains.correct & ~missing & top).sum(axis=1) / top.sum(axis=1)
    return best, right


def hierarchical_vote(
    chains: Chains, parallel: Sequence[int], draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """A vote within every chain, then one of the chains' representatives.

    Parameters
    ----------
    chains
        P chains of one problem, with scores.
    parallel
        Numbers of chains, rising within P.
    draws
        Random subsets where all cannot be listed.
    rng
        Where they come from.

    Returns
    -------
    Credits and their standard errors, each [parallel]; the error is 0 where the credit is exact.

    Notes
    -----
    Within each chain best-of-n weighted; the chain is represented by its highest-scored solution with the
    answer that wins. Then best-of-n weighted over the representatives.

    References
    ----------
    Snell et al. 2024, Scaling LLM Test-Time Compute Optimally, section 6. doi:10.48550/arXiv.2408.03314
    """
    options = [_representatives(chains, index) for index in range(len(chains.correct))]
    ways = prod(len(option) for option in options)
    if ways > MOST_WAYS:
        return _drawn_ways(options, parallel, draws, rng)
    votes = []
    for way in product(*options):
        classes, right, weights = (np.array(column) for column in zip(*way, strict=True))
        ballot = make_ballot(classes.astype(np.int64), right.astype(np.bool_), weights.astype(np.float64))
        votes.append(vote_credits([ballot], parallel, draws, rng))
    credit: Floats = np.mean([credits[0] for credits, _ in votes], axis=0)
    squares = np.array([errors[0] for _, errors in votes]) ** 2
    return credit, np.sqrt(squares.mean(axis=0) / ways)


def _drawn_ways(
    options: Sequence[Sequence[_Representative]],
    parallel: Sequence[int],
    draws: int,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """The vote of representatives drawn together with the chains."""
    # Sorted, as the order of the chains must not matter.
    options = sorted(list(option) for option in options)
    members = [member for option in options for member in option]
    names = sorted({(right, name) for name, right, _ in members if name != NO_ANSWER})
    label = {name: index for index, (_, name) in enumerate(names, start=1)}
    ballot = Ballot(
        label=np.array([label.get(name, 0) for name, _, _ in members]),
        weight=np.array([weight for *_, weight in members]),
        class_credit=np.array([0.0, *(float(right) for right, _ in names)]),
        losing=sum(not right for right, _ in names),
    )
    counts = np.array([len(option) for option in options])
    first = np.cumsum(counts) - counts
    drawn_credits = []
    for start in range(0, draws, _CHUNK):
        width = min(_CHUNK, draws - start)
        drawn = random_orders(counts.size, parallel[-1], width, rng)
        chosen = first[drawn] + (rng.random(drawn.shape) * counts[drawn]).astype(np.int64)
        drawn_credits.append(subset_credits(ballot, chosen, parallel))
    credits = np.hstack(drawn_credits)
    mean: Floats = credits.mean(axis=1)
    return mean, credits.std(axis=1, ddof=1) / np.sqrt(draws)


def _representatives(chains: Chains, index: int) -> list[_Representative]:
    """The class, correctness and score that may stand for a chain: one unless answers are tied in it.

    Each answer has the sum of its solutions' scores. A chain without a vote is one without an answer.
    """
    assert chains.scores is not None
    classes, right, scores = chains.answer_class[index], chains.correct[index], chains.scores[index]
    votes = (classes != NO_ANSWER) & ~np.isnan(scores)
    if not votes.any():
        return [(NO_ANSWER, False, 0.0)]
    classes, right, scores = classes[votes], right[votes], scores[votes]
    names, member = np.unique(classes, return_inverse=True)
    # Summed in rising order, as the answers' order must not decide a tie.
    order = np.argsort(scores)
    sums = np.bincount(member[order], scores[order])
    return [
        (int(name), bool(right[member == at][0]), float(scores[member == at].max()))
        for at, name in enumerate(names.tolist())
        if sums[at] >= sums.max() * (1.0 - TIE)
    ]


def pooled_majority(
    chains: Chains, parallel: Sequence[int], draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Majority over all answers of P chains.

    Parameters
    ----------
    chains
        Of one problem.
    parallel
        Numbers of chains, rising within P.
    draws
        Random subsets where all cannot be listed.
    rng
        Where they come from.

    Returns
    -------
    Credits and their standard errors, each [parallel]; the error is 0 where the credit is exact.

    References
    ----------
    Snell et al. 2024, Scaling LLM Test-Time Compute Optimally, section 6. doi:10.48550/arXiv.2408.03314
    """
    count, length = chains.answer_class.shape
    if length == 1:
        ballot = make_ballot(chains.answer_class[:, 0], chains.correct[:, 0])
        credit, error = vote_credits([ballot], parallel, draws, rng)
        return credit[0], error[0]
    names = np.unique(chains.answer_class[chains.answer_class != NO_ANSWER])
    right = np.array([bool(chains.correct[chains.answer_class == name].any()) for name in names])
    if not right.any():
        return np.zeros((2, len(parallel)))[0], np.zeros(len(parallel))
    votes = (chains.answer_class[:, :, None] == names).sum(axis=1)
    votes = votes[np.lexsort(votes.T)]
    credit, error = np.zeros((2, len(parallel)))
    sampled = []
    for column, size in enumerate(parallel):
        if comb(count, size) <= MOST_SUBSETS:
            credit[column] = _most_voted(votes[all_subsets(count, size)].sum(axis=0), right).mean()
        else:
            sampled.append(column)
    if sampled:
        sampled_credits = np.zeros((len(sampled), draws))
        for start in range(0, draws, _CHUNK):
            width = min(_CHUNK, draws - start)
            drawn = random_orders(count, parallel[sampled[-1]], width, rng)
            for row, column in enumerate(sampled):
                sums = votes[drawn[: parallel[column]]].sum(axis=0)
                sampled_credits[row, start : start + width] = _most_voted(sums, right)
        credit[sampled] = sampled_credits.mean(axis=1)
        error[sampled] = sampled_credits.std(axis=1, ddof=1) / np.sqrt(draws)
    return credit, error


def _most_voted(votes: Ints, right: Bools) -> Floats:
    """Credit of the class with most votes, those tied sharing it. `votes`: [subsets, classes]."""
    top = (votes == votes.max(axis=1, keepdims=True)) & (votes > 0)
    result: Floats = (top & right).sum(axis=1) / np.maximum(top.sum(axis=1), 1)
    return result
