"""REBASE: reward balanced search (Wu et al. 2024, section 3.2 and Equation 1)."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from isoflop.config.base import Count
from isoflop.config.generators import TreeSearch
from isoflop.search.registry import SearchKind
from isoflop.search.tree import ROOT, Search, Tree

# A quotient this close to a whole number is that number: sums of weights round.
_WHOLE = 1e-9


class Rebase(TreeSearch):
    """Reward balanced search (Wu et al. 2024); a budget is the number of solutions."""

    kind: Literal["rebase"]
    """REBASE."""
    balance_temperature: Annotated[float, Field(gt=0)] = 0.1
    """T_b: how strongly the shares of a budget follow the scores; the smaller, the stronger."""
    allocation: Literal["sequential", "round"] = "sequential"
    """How shares become whole children: best node first and exactly the budget (the authors' code), or each
    rounded (the paper)."""
    iterations: Count | None = None
    """How often what is left of the budget is shared out; after that every solution is written to its end at
    once. Until all have ended if left out; Wu et al. share once for programs."""


def balance(rewards: Sequence[float], temperature: float) -> list[float]:
    """Weights exp(R_j / T_b), relative to the largest, which cannot overflow.

    Parameters
    ----------
    rewards
        R, the verifier's score of each node, [nodes]; not empty.
    temperature
        T_b, above 0.

    Returns
    -------
    Weights in (0, 1], [nodes].
    """
    largest = max(rewards)
    return [math.exp((reward - largest) / temperature) for reward in rewards]


def allocate_sequential(budget: int, rewards: Sequence[float], temperature: float) -> list[int]:
    """Children per node, as in the authors' code: best node first, each the rounded-up share of what is left.

    Parameters
    ----------
    budget
        B, children to give out, at least 0.
    rewards
        R, the verifier's score of each node, [nodes].
    temperature
        T_b, above 0.

    Returns
    -------
    Children of each node, [nodes]; they sum to `budget`.

    Notes
    -----
    n_j = ceil(B w_j / S) with w from `balance` and S what is left of their sum, then B -= n_j, S -= w_j.
    Nodes with the same reward are served in their order.

    References
    ----------
    Wu et al. 2024, Inference Scaling Laws. doi:10.48550/arXiv.2408.00724
    """
    weights = balance(rewards, temperature)
    order = sorted(range(len(rewards)), key=lambda node: (-rewards[node], node))
    # Summed from the smallest, so that the last node's share is all that is left.
    remaining, rest = {}, 0.0
    for node in reversed(order):
        rest += weights[node]
        remaining[node] = rest
    children = [0] * len(rewards)
    for node in order:
        share = budget * weights[node] / remaining[node] if remaining[node] > 0 else float(budget)
        children[node] = min(budget, math.ceil(share - _WHOLE))
        budget -= children[node]
    return children


def allocate_round(budget: int, rewards: Sequence[float], temperature: float) -> list[int]:
    """Children per node, as in the paper: W_j = Round(B exp(R_j / T_b) / sum_k exp(R_k / T_b)), halves up.

    Parameters
    ----------
    budget
        B, children to give out, at least 0.
    rewards
        R, the verifier's score of each node, [nodes].
    temperature
        T_b, above 0.

    Returns
    -------
    Children of each node, [nodes]; their sum may be more than `budget`, less, or nothing.

    References
    ----------
    Wu et al. 2024, Inference Scaling Laws. doi:10.48550/arXiv.2408.00724
    """
    weights = balance(rewards, temperature)
    total = math.fsum(weights)
    return [math.floor(budget * weight / total + 0.5) for weight in weights]


ALLOCATIONS = {"sequential": allocate_sequential, "round": allocate_round}


def rebase(
    tree: Tree, width: int, temperature: float, allocation: str, iterations: int | None = None
) -> Search:
    """Sample `width` first steps; then, depth by depth, share what is left of the width among the open nodes.

    Parameters
    ----------
    tree
        An empty tree with its limits.
    width
        N, the number of solutions that are paid for.
    temperature
        T_b of the allocation, above 0.
    allocation
        A key of `ALLOCATIONS`.
    iterations
        After so many allocations, what a node is given is written to its end at once; None for never.

    Yields
    ------
    Questions for the driver; it sends back the new nodes' numbers in their order.

    Returns
    -------
    The numbers of the candidate nodes.

    Notes
    -----
    A node that can have no further step (ended, or at a limit) takes one from the width. Where the allocation
    gives nothing to anyone, the search ends and what is open stays unfinished.

    References
    ----------
    Wu et al. 2024, Inference Scaling Laws. doi:10.48550/arXiv.2408.00724
    """
    allocate = ALLOCATIONS[allocation]
    candidates: list[int] = []
    questions, budget, allocations = tree.grow(ROOT, width), width, 0
    while questions:
        answers = yield questions
        layer = [int(node) for node in answers]
        closed = [node for node in layer if not tree.is_open(node)]
        candidates += closed
        budget -= len(closed)
        layer = [node for node in layer if tree.is_open(node)]
        if not layer:
            break
        children = allocate(max(budget, 0), [tree.nodes[node].value for node in layer], temperature)
        allocations += 1
        questions = [
            question
            for node, count in zip(layer, children, strict=True)
            for question in tree.grow(node, count, whole=allocations == iterations)
        ]
        if not questions:
            candidates += layer
    return candidates


def _start(entry: Rebase, budget: int, tree: Tree) -> Search:
    return rebase(tree, budget, entry.balance_temperature, entry.allocation, entry.iterations)


SEARCH = SearchKind(name="rebase", order=1, entry=Rebase, start=_start)
