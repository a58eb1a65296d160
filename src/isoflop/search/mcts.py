"""Monte Carlo tree search with a verifier's scores as values (Wu et al. 2024, appendix on MCTS).

UCT(s) = Q(s) + C sqrt(ln N(parent) / N(s)). A node's value is the verifier's score of its step; there are no
rollouts. Every visit updates the path: N <- N + 1, Q <- ((N - 1) Q + V) / N.
"""

import math

from isoflop.search.tree import ROOT, Search, Tree


def mcts(tree: Tree, expansions: int, root_children: int, children: int, exploration: float) -> Search:
    """Expand `expansions` selected nodes: the root into `root_children` steps, any other into `children`.

    A selected node that can have no further step is visited again, which counts as an expansion though it
    costs nothing; where all leaves are such nodes the search ends. The candidates are all solutions that
    ended, and the open leaves, which are unfinished.
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
        node = max(below, key=lambda one: (_uct(tree, one, log, exploration), -one))
        parent_visits, below = tree.nodes[node].visits, tree.nodes[node].children
    return node


def _uct(tree: Tree, node: int, log_parent_visits: float, exploration: float) -> float:
    one = tree.nodes[node]
    return one.value + exploration * math.sqrt(log_parent_visits / one.visits)


def _update(tree: Tree, node: int, value: float) -> None:
    """One more visit with `value` on the path to `node`."""
    for one in tree.path(node):
        one.visits += 1
        one.value = ((one.visits - 1) * one.value + value) / one.visits
