"""REBASE: reward balanced search (Wu et al. 2024, section 3.2 and Equation 1)."""

import math
from collections.abc import Sequence

from isoflop.search.tree import ROOT, Search, Tree

# A quotient this close to a whole number is that number: sums of weights round.
_WHOLE = 1e-9


def balance(rewards: Sequence[float], temperature: float) -> list[float]:
    """Weights exp(R_j / T_b), relative to the largest, which cannot overflow. Shape [nodes]."""
    largest = max(rewards)
    return [math.exp((reward - largest) / temperature) for reward in rewards]


def allocate_sequential(budget: int, rewards: Sequence[float], temperature: float) -> list[int]:
    """Children per node, as in the authors' code: best node first, each the rounded-up share of what is left.

    n_j = ceil(B w_j / S), then B -= n_j and S -= w_j. Spends exactly `budget`. Nodes with the same reward are
    served in their order. Shape [nodes].
    """
    weights = balance(rewards, temperature)
    order = sorted(range(len(rewards)), key=lambda place: (-rewards[place], place))
    # Summed from the smallest, so that the last node's share is all that is left.
    left, rest = {}, 0.0
    for place in reversed(order):
        rest += weights[place]
        left[place] = rest
    children = [0] * len(rewards)
    for place in order:
        share = budget * weights[place] / left[place] if left[place] > 0 else float(budget)
        children[place] = min(budget, math.ceil(share - _WHOLE))
        budget -= children[place]
    return children


def allocate_round(budget: int, rewards: Sequence[float], temperature: float) -> list[int]:
    """Children per node, as in the paper: W_j = Round(B exp(R_j / T_b) / sum_k exp(R_k / T_b)), halves up.

    May spend more than `budget`, less, or nothing. Shape [nodes].
    """
    weights = balance(rewards, temperature)
    total = math.fsum(weights)
    return [math.floor(budget * weight / total + 0.5) for weight in weights]


ALLOCATIONS = {"sequential": allocate_sequential, "round": allocate_round}


def rebase(
    tree: Tree, width: int, temperature: float, allocation: str, iterations: int | None = None
) -> Search:
    """Sample `width` first steps; then, depth by depth, share what is left of the width among the open nodes.

    After `iterations` of that, what a node is given is written to its end at once.

    A node that can have no further step (ended, or at a limit) takes one from the width. Where the allocation
    gives nothing to anyone, the search ends and what is open stays unfinished.
    """
    allocate = ALLOCATIONS[allocation]
    candidates: list[int] = []
    questions, left, shared = tree.grow(ROOT, width), width, 0
    while questions:
        answers = yield questions
        layer = [int(node) for node in answers]
        closed = [node for node in layer if not tree.is_open(node)]
        candidates += closed
        left -= len(closed)
        layer = [node for node in layer if tree.is_open(node)]
        if not layer:
            break
        children = allocate(max(left, 0), [tree.nodes[node].value for node in layer], temperature)
        shared += 1
        questions = [
            one
            for node, count in zip(layer, children, strict=True)
            for one in tree.grow(node, count, whole=shared == iterations)
        ]
        if not questions:
            candidates += layer
    return candidates
