"""Chains of revisions to credits: one answer of P chains of length S, at every P (Snell et al. 2024).

With a verifier, selection is hierarchical: within each chain best-of-n weighted, the chain represented by its
highest-scored solution with the answer that wins; then best-of-n weighted over the representatives. Majority
pools the answers of all chains. `best_of_n` takes the highest-scored answer of any chain, `pass` any right
one.

The credit at N = P S answers is the expectation over all subsets of P chains: closed forms where there are
any, all subsets where they are few, else a Monte Carlo, as in isoflop.selection.voting. Ties share the
credit: between answers within a chain, then between chains. The order of the chains has no influence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import comb, prod

import numpy as np

from isoflop.arrays import Bools, Floats, Ints
from isoflop.costs import flops_kaplan, flops_total, flops_wu2024
from isoflop.errors import UserError
from isoflop.seeds import derive_seed
from isoflop.selection.best_of_k import TIE, best_of_k, pass_at_k
from isoflop.selection.samples import (
    NONE,
    Pools,
    SelectSpec,
    StepScores,
    Strategy,
    StrategyCredits,
    Usage,
    candidate_scores,
    shares,
)
from isoflop.selection.voting import (
    MOST_SUBSETS,
    NO_ANSWER,
    Ballot,
    all_subsets,
    draws_needed,
    make_ballot,
    random_orders,
    subset_credits,
    vote_credits,
)

# Class, correctness and score of what stands for a chain.
_Representative = tuple[int, bool, float]
# Ways of breaking ties within chains that are all looked at; beyond, they are drawn with the chains.
MOST_WAYS = 64
# Draws evaluated together.
_CHUNK = 512


@dataclass(frozen=True)
class Chains:
    """The answers of P chains of length S to one problem, each array [P, S].

    `scores`: of a verifier, nan where there is none; None without a verifier.
    """

    answer_class: Ints
    correct: Bools
    scores: Floats | None = None


@dataclass(frozen=True)
class ChainPool:
    """The chains of one length of all problems: `rows`, their candidates' rows, [problems, P, S]."""

    pools: Pools
    rows: Ints

    @property
    def length(self) -> int:
        """S."""
        return int(self.rows.shape[2])

    def of(self, problem: int, scores: Floats | None) -> Chains:
        """One problem's chains; `scores`: [candidates]."""
        rows = self.rows[problem]
        return Chains(
            self.pools.answer_class[rows],
            self.pools.correct[rows],
            None if scores is None else scores[rows],
        )


def arrange_chains(
    problem_ids: Sequence[str],
    sizes: Ints,
    chain: Sequence[int | None],
    place: Sequence[int | None],
    length: int,
) -> Ints:
    """The rows of the first `length` answers of the chains that have as many, [problems, P, length].

    `sizes`: candidates per problem. `chain`, `place` (from 1): of each candidate. Raises UserError for
    candidates that are no chains, incomplete ones, and problems with different numbers of chains.
    """
    rows: list[list[list[int]]] = []
    row = 0
    for problem, size in zip(problem_ids, sizes.tolist(), strict=True):
        chains: dict[int, list[int]] = {}
        for at in range(row, row + size):
            number, position = chain[at], place[at]
            if number is None or position != len(chains.setdefault(number, [])) + 1:
                raise UserError(
                    f"problem {problem}: candidate row {at} is not the next answer of a chain; "
                    "delete the candidates and run again"
                )
            chains[number].append(at)
        rows.append([members[:length] for members in chains.values() if len(members) >= length])
        row += size
    counts = {len(one) for one in rows}
    if len(counts) != 1 or 0 in counts:
        raise UserError(
            f"the problems have {min(counts)} to {max(counts)} chains of {length} answers; all need as many, "
            "and at least one: delete the candidates and run again"
        )
    return np.array(rows, dtype=np.int64)


def revision_credits(
    pool: ChainPool, scores: Mapping[str, StepScores], spec: SelectSpec
) -> list[StrategyCredits]:
    """Credits of every strategy, [budgets, problems], in the order of
    isoflop.selection.samples.select_credits.

    Budgets are numbers of answers, multiples of the chains' length. At length 1 every credit is that of plain
    sampling. Raises UserError for a budget that the chains cannot make up, or scores that cannot vote.
    """
    count = pool.rows.shape[1]
    wrong = [n for n in spec.budgets if n % pool.length or n > count * pool.length]
    if wrong:
        raise UserError(
            f"budgets: {wrong[0]} answers are not up to {count} chains of {pool.length}; lower the budget or "
            "write more chains"
        )
    parallel = [n // pool.length for n in spec.budgets]
    results = []
    for selector in spec.selectors:
        if selector in ("pass", "majority"):
            results.append(_credits(pool, Strategy(NONE, selector, NONE), None, parallel, spec))
    for verifier in spec.verifiers:
        weights = candidate_scores(pool.pools, scores[verifier], verifier, spec)
        for selector in spec.selectors:
            if selector in ("weighted", "best_of_n"):
                results += [
                    _credits(pool, Strategy(verifier, selector, name), weight, parallel, spec)
                    for name, weight in zip(spec.aggregations(verifier), weights, strict=True)
                ]
    return results


def _credits(
    pool: ChainPool, strategy: Strategy, weights: Floats | None, parallel: Sequence[int], spec: SelectSpec
) -> StrategyCredits:
    names = pool.pools.problem_ids
    draws = draws_needed(len(names))
    credit, error = np.zeros((2, len(parallel), len(names)))
    for column, name in enumerate(names):
        generator = np.random.default_rng(derive_seed("select", spec.seed, name))
        credit[:, column], error[:, column] = chain_credits(
            pool.of(column, weights), strategy.selector, parallel, draws, generator
        )
    return StrategyCredits(strategy, spec.budgets, credit, error)


def chain_credits(
    chains: Chains, selector: str, parallel: Sequence[int], draws: int, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """Credit of one answer of P chains for every P of `parallel`, and its standard error, each [parallel].

    `parallel` must rise within the number of chains.
    """
    exact = np.zeros(len(parallel))
    if selector == "pass":
        solved: Bools = np.any(chains.correct, axis=1, keepdims=False)
        return pass_at_k(solved, parallel), exact
    if selector == "best_of_n":
        best, credit = _best(chains)
        return best_of_k(best, credit, parallel), exact
    if selector == "majority":
        return _pooled(chains, parallel, draws, generator)
    return _hierarchical(chains, parallel, draws, generator)


def _best(chains: Chains) -> tuple[Floats, Floats]:
    """The highest score of each chain and the mean correctness of what has it, each [P].

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


def _hierarchical(
    chains: Chains, parallel: Sequence[int], draws: int, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    options = [_representatives(chains, place) for place in range(len(chains.correct))]
    ways = prod(len(option) for option in options)
    if ways > MOST_WAYS:
        return _drawn_ways(options, parallel, draws, generator)
    found = []
    for way in product(*options):
        classes, right, weights = (np.array(column) for column in zip(*way, strict=True))
        ballot = make_ballot(classes.astype(np.int64), right.astype(np.bool_), weights.astype(np.float64))
        found.append(vote_credits([ballot], parallel, draws, generator))
    credit: Floats = np.mean([one[0][0] for one in found], axis=0)
    squares = np.array([one[1][0] for one in found]) ** 2
    return credit, np.sqrt(squares.mean(axis=0) / ways)


def _drawn_ways(
    options: Sequence[Sequence[_Representative]],
    parallel: Sequence[int],
    draws: int,
    generator: np.random.Generator,
) -> tuple[Floats, Floats]:
    """The vote of representatives drawn together with the chains."""
    # Sorted, as the order of the chains must not matter.
    options = sorted(list(option) for option in options)
    everyone = [one for option in options for one in option]
    names = sorted({(right, name) for name, right, _ in everyone if name != NO_ANSWER})
    label = {name: place for place, (_, name) in enumerate(names, start=1)}
    ballot = Ballot(
        label=np.array([label.get(name, 0) for name, _, _ in everyone]),
        weight=np.array([weight for *_, weight in everyone]),
        class_credit=np.array([0.0, *(float(right) for right, _ in names)]),
        losing=sum(not right for right, _ in names),
    )
    counts = np.array([len(option) for option in options])
    first = np.cumsum(counts) - counts
    found = []
    for start in range(0, draws, _CHUNK):
        width = min(_CHUNK, draws - start)
        drawn = random_orders(counts.size, parallel[-1], width, generator)
        chosen = first[drawn] + (generator.random(drawn.shape) * counts[drawn]).astype(np.int64)
        found.append(subset_credits(ballot, chosen, parallel))
    credits = np.hstack(found)
    mean: Floats = credits.mean(axis=1)
    return mean, credits.std(axis=1, ddof=1) / np.sqrt(draws)


def _representatives(chains: Chains, place: int) -> list[_Representative]:
    """The class, correctness and score that may stand for a chain: one unless answers are tied in it.

    Each answer has the sum of its solutions' scores. A chain without a vote is one without an answer.
    """
    assert chains.scores is not None
    classes, right, scores = chains.answer_class[place], chains.correct[place], chains.scores[place]
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


def _pooled(
    chains: Chains, parallel: Sequence[int], draws: int, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """Majority over all answers of P chains."""
    count, length = chains.answer_class.shape
    if length == 1:
        ballot = make_ballot(chains.answer_class[:, 0], chains.correct[:, 0])
        credit, error = vote_credits([ballot], parallel, draws, generator)
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
        found = np.zeros((len(sampled), draws))
        for start in range(0, draws, _CHUNK):
            width = min(_CHUNK, draws - start)
            drawn = random_orders(count, parallel[sampled[-1]], width, generator)
            for row, column in enumerate(sampled):
                sums = votes[drawn[: parallel[column]]].sum(axis=0)
                found[row, start : start + width] = _most_voted(sums, right)
        credit[sampled] = found.mean(axis=1)
        error[sampled] = found.std(axis=1, ddof=1) / np.sqrt(draws)
    return credit, error


def _most_voted(votes: Ints, right: Bools) -> Floats:
    """Credit of the class with most votes, those tied sharing it. `votes`: [subsets, classes]."""
    top = (votes == votes.max(axis=1, keepdims=True)) & (votes > 0)
    result: Floats = (top & right).sum(axis=1) / np.maximum(top.sum(axis=1), 1)
    return result


def revision_costs(
    pool: ChainPool, prompt: Floats, policy: Usage, verifier: Usage | None, budgets: Sequence[int]
) -> dict[str, Floats]:
    """Expected cost of a random subset of chains: columns of CREDITS, [budgets, problems].

    `prompt`: prompt tokens, [candidates]. First answers share one reading of the problem's prompt; every
    revision reads its own, attempts included. Seconds are shared between candidates by their tokens.
    """
    tokens = policy.tokens
    # How often each answer pays for its prompt: a first one shares it.
    copies = np.ones_like(tokens)
    firsts = pool.rows[:, :, 0]
    copies[firsts] = 0.0
    shape, read = (None, 0.0) if verifier is None else (verifier.model, verifier.tokens)
    seconds = policy.seconds * shares(tokens)
    if verifier is not None:
        seconds = seconds + verifier.seconds * shares(verifier.tokens)
    each = {
        "tokens": tokens,
        "flops_wu2024": flops_wu2024(policy.model, tokens),
        "flops_kaplan": flops_kaplan(policy.model, prompt, tokens),
        "flops_total": flops_total(policy.model, prompt, tokens, copies, shape, read),
        "seconds": seconds,
    }
    once = flops_total(policy.model, prompt, 0.0)[firsts[:, 0]]
    chains = np.array(budgets, dtype=np.float64)[:, None] / pool.length
    costs = {}
    for name, values in each.items():
        # In rising order, so that the order of the chains changes no last bit.
        mean = np.sort(values[pool.rows].sum(axis=2), axis=1).mean(axis=1)
        costs[name] = chains * mean + (once if name == "flops_total" else 0.0)
    return costs
