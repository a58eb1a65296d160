"""A search from its entry in the config, and what it counts as."""

from isoflop.config.generators import Beam, Dvts, Lookahead, Mcts, Rebase, TreeSearch
from isoflop.search.beam import beam_search
from isoflop.search.mcts import mcts
from isoflop.search.rebase import rebase
from isoflop.search.tree import Limits, Search, Tree


def new_tree(entry: TreeSearch) -> Tree:
    """An empty tree with the entry's limits."""
    return Tree(Limits(entry.max_depth, entry.max_tokens, entry.max_step_tokens))


def start(entry: TreeSearch, budget: int, tree: Tree) -> Search:
    """The search that `entry` describes, at one budget, on an empty tree."""
    match entry:
        case Rebase():
            return rebase(tree, budget, entry.balance_temperature, entry.allocation, entry.iterations)
        case Beam():
            return beam_search(tree, budget, entry.width(budget))
        case Dvts():
            return beam_search(tree, budget, entry.width(budget), groups=budget // entry.width(budget))
        case Lookahead():
            return beam_search(tree, budget, entry.width(budget), lookahead=entry.lookahead_steps)
        case Mcts():
            first = entry.root_children or max(1, budget // 8)
            return mcts(tree, budget, first, entry.children, entry.exploration)
        case _:
            raise TypeError(f"{type(entry).__name__} is no search")


def nominal_samples(entry: TreeSearch, budget: int) -> int:
    """How many samples a budget counts as: N, but N (k + 1) for lookahead search (Snell et al. 2024)."""
    return budget * (entry.lookahead_steps + 1) if isinstance(entry, Lookahead) else budget
