"""The costs of whole pools: a random subset of samples, of chains of revisions, and searches.

Every cost model prices the same works, so that pools know nothing of cost models, nor they of pools. Results
are by column of `isoflop.tables.CREDITS`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from isoflop.arrays import Floats, Ints
from isoflop.costs.registry import CostModel, cost_model
from isoflop.costs.work import Party, Usage, Work, attended_after
from isoflop.registries import measured_costs
from isoflop.strategy import LIMIT

_ZERO: Floats = np.zeros(())


def expected_costs(
    budgets: Sequence[int],
    sizes: Ints,
    prompt: Floats,
    policy: Usage,
    verifier: Usage | None,
    asked: Sequence[str] = (),
) -> dict[str, Floats]:
    """Expected cost of a random k-subset of each problem's pool, [budgets, problems] by column.

    Parameters
    ----------
    budgets
        Numbers of samples k; LIMIT is k -> infinity, which costs infinitely much.
    sizes
        Candidates per problem, [problems].
    prompt
        Prompt tokens, [candidates].
    policy
        What sampling took.
    verifier
        What reading the candidates took; None where the strategy uses no verifier.
    asked
        Cost models beyond those of every study.

    Returns
    -------
    Costs, [budgets, problems] by column of CREDITS.

    Notes
    -----
    The policy's prompt is processed once per problem whatever the budget; seconds are shared between
    candidates by their tokens.
    """
    further = _candidates(prompt, policy, verifier)
    further = replace(further, kept=prompt)
    first = _reading(policy.party, prompt)
    samples = np.array(budgets, dtype=np.float64)[:, None]
    costs = {}
    for model in _models(asked):
        once = _pool_means(_charged(model, first, prompt.shape), sizes)
        cost = samples * _pool_means(_charged(model, further, prompt.shape), sizes) + once
        # Set apart, for infinitely many samples of cost 0 would not be a number.
        costs[model.column] = np.where(samples == LIMIT, np.inf, cost)
    return costs


def revision_costs(
    budgets: Sequence[int],
    rows: Ints,
    prompt: Floats,
    policy: Usage,
    verifier: Usage | None,
    asked: Sequence[str] = (),
) -> dict[str, Floats]:
    """Expected cost of a random subset of chains, [budgets, problems] by column.

    Parameters
    ----------
    budgets
        Numbers of answers: chains times their length S.
    rows
        Of the candidates in the chains, [problems, P, S].
    prompt
        Prompt tokens, [candidates].
    policy, verifier, asked
        As for `expected_costs`.

    Returns
    -------
    Costs, [budgets, problems] by column of CREDITS.

    Notes
    -----
    First answers share one reading of the problem's prompt; every revision reads its own, attempts included.
    Seconds are shared between candidates by their tokens.
    """
    shared = np.zeros(prompt.size, dtype=np.bool_)
    firsts = rows[:, :, 0]
    shared[firsts] = True
    fresh = np.where(shared, 0.0, prompt)
    each = replace(
        _candidates(prompt, policy, verifier),
        prompt=fresh,
        prompt_attended=attended_after(_ZERO, fresh),
        kept=np.where(shared, prompt, 0.0),
    )
    own = prompt[firsts[:, 0]]
    first = _reading(policy.party, own)
    chains = np.array(budgets, dtype=np.float64)[:, None] / rows.shape[2]
    costs = {}
    for model in _models(asked):
        values = _charged(model, each, prompt.shape)
        # In rising order, so that the order of the chains changes no last bit.
        mean = np.sort(values[rows].sum(axis=2), axis=1).mean(axis=1)
        costs[model.column] = chains * mean + _charged(model, first, own.shape)
    return costs


def search_costs(
    usage: Mapping[str, Floats], policy: Party, verifier: Party, asked: Sequence[str] = ()
) -> dict[str, Floats]:
    """Cost of a search by its usage, [budgets, problems] by column, means over runs.

    Parameters
    ----------
    usage
        Columns of USAGE (isoflop.tables), each [problems, budgets, runs].
    policy, verifier
        Who searched and who guided.
    asked
        As for `expected_costs`.

    Returns
    -------
    Costs, [budgets, problems] by column of CREDITS.

    Notes
    -----
    The verifier's reading belongs to the search, whatever picks the answer. Paths are read once, by either
    model: what a step follows is kept.
    """
    work = Work(
        policy,
        verifier,
        prompt=usage["prompt"],
        prompt_attended=attended_after(_ZERO, usage["prompt"]),
        generated=usage["generated"],
        attended=usage["attended"],
        read=usage["scored"],
        read_attended=usage["scored_attended"],
        seconds=usage["seconds"],
    )
    shape = usage["generated"].shape
    return {model.column: _charged(model, work, shape).mean(axis=2).T for model in _models(asked)}


def _models(asked: Sequence[str]) -> list[CostModel]:
    return [cost_model(name) for name in measured_costs(asked)]


def _reading(policy: Party, prompt: Floats) -> Work:
    """What the first candidate takes beyond every further one: it reads the prompt that those find read."""
    return Work(policy, prompt=prompt, prompt_attended=attended_after(_ZERO, prompt), kept=-prompt)


def _candidates(prompt: Floats, policy: Usage, verifier: Usage | None) -> Work:
    """What every candidate takes, its prompt left out, [candidates]."""
    work = Work(
        policy.party,
        generated=policy.tokens,
        attended=attended_after(prompt, policy.tokens),
        seconds=policy.seconds * _shares(policy.tokens),
    )
    if verifier is None:
        return work
    return replace(
        work,
        verifier=verifier.party,
        read=verifier.tokens,
        read_attended=attended_after(_ZERO, verifier.tokens),
        seconds=work.seconds + verifier.seconds * _shares(verifier.tokens),
    )


def _charged(model: CostModel, work: Work, shape: tuple[int, ...]) -> Floats:
    """The cost of work by one model, of `shape`."""
    return np.array(np.broadcast_to(model.charge(work), shape))


def _shares(tokens: Floats) -> Floats:
    """Each candidate's share of all tokens; equal shares where there are none."""
    total = float(tokens.sum())
    return tokens / total if total > 0 else np.full(tokens.size, 1.0 / tokens.size)


def _pool_means(values: Floats, sizes: Ints) -> Floats:
    """Mean over each problem's pool, summed in rising order: the same whatever the order of samples."""
    problem = np.repeat(np.arange(sizes.size), sizes)
    ranked = values[np.lexsort((values, problem))]
    means: Floats = np.add.reduceat(ranked, np.cumsum(sizes) - sizes) / sizes
    return means
