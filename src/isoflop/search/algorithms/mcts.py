"""Monte Carlo tree search with a verifier's scores as values (Wu et al. 2024, appendix on MCTS).

UCT(s) = Q(s) + C sqrt(ln N(parent) / N(s)). A node's value is the verifier's score of its step; there are no
rollouts. Every visit updates the path: N <- N + 1, Q <- ((N - 1) Q + V) / N.
"""

import math
from typing import Annotated, Literal

from pydantic import Field

from isoflop.config.base import Count
from isoflop.config.generators import TreeSearch
from isoflop.search.registry import SearchKind
from isoflop.search.tree import ROOT, Search, Tree


class Mcts(TreeSearch):
    """Monte Carlo tree search (Wu et al. 2024); a budget is the number of expansions."""

    kind: Literal["mcts"]
    """MCTS."""
    exploration: Annotated[float, Field(ge=0)] = 1.0
    """C of UCT."""
    root_children: Count | None = None
    """Children of the root; an eighth of the budget if left out (Wu et al.: 4, 8, 16 for 32, 64, 128)."""
    children: Count = 2
    """Children of any other node."""


def mcts(tree: Tree, expansions: int, root_children: int, children: int, exploration: float) -> Search:
    """Expand `expansions` selected nodes: the root into `root_children` steps, any other into `children`.

    Parameters
    ----------
    tree
        An empty tree with its limits.
    expansions
        How many nodes are selected, the root first.
    root_children, children
        Steps per expansion of the root, and of any other node.
    exploration
        C of UCT.

    Yields
    ------
    Questions for the driver; it sends back the new nodes' numbers in their order.

    Returns
    -------
    The numbers of the leaves: all solutions that ended, and the open ones, which are unfinished.

    Notes
    -----
    A selected node that can have no further step is visited again, which counts as an expansion though it
    costs nothing; where all leaves are such nodes the search ends.

    References
    ----------
    Wu et al. 2024, Inference Scaling Laws. doi:10.48550/arXiv.2408.00724
    """
    visits, open_leaves = 0, 0
    for expansion in range(expansions):
        node = ROOT if expansion == 0 else _selected(tree, visits, exploration)
        if node != ROOT and not tree.is_open(node):
            _update(tree, node, tree.nodes[node].score)
            visits += 1
            continue
        answers = yield tree.grow(node, root_children if node == ROOT else children)
        for child in map(int, answers):
            _update(tree, child, tree.nodes[child].score)
            visits += 1
            open_leaves += tree.is_open(child)
        open_leaves -= node != ROOT
        if open_leaves == 0:
            break
    return [node.number for node in tree.nodes if not node.children]


def _selected(tree: Tree, visits: int, exploration: float) -> int:
    """The leaf that UCT leads to; ties go to the node born first."""
    node, parent_visits, below = ROOT, visits, tree.root_children
    while below:
        log = math.log(parent_visits)
        node = max(below, key=lambda child: (_uct(tree, child, log, exploration), -child))
        parent_visits, below = tree.nodes[node].visits, tree.nodes[node].children
    return node


def _uct(tree: Tree, node: int, log_parent_visits: float, exploration: float) -> float:
    visited = tree.nodes[node]
    return visited.value + exploration * math.sqrt(log_parent_visits / visited.visits)


def _update(tree: Tree, node: int, value: float) -> None:
    """One more visit with `value` on the path to `node`."""
    for visited in tree.path(node):
        visited.visits += 1
        visited.value = ((visited.visits - 1) * visited.value + value) / visited.visits


def _start(entry: Mcts, budget: int, tree: Tree) -> Search:
    first = entry.root_children or max(1, budget // 8)
    return mcts(tree, budget, first, entry.children, entry.exploration)


# Less than eight expansions leave a tree with one first step and next to nothing below it.
SEARCH = SearchKind(name="mcts", order=5, entry=Mcts, start=_start, rehearsed_at=lambda entry: (8,))
