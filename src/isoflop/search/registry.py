"""What a kind of search is, and how one is looked up by its name in the config.

A search is one object in a module of its own in `isoflop.search.algorithms`, or one that an entry point of
the group `isoflop.searches` refers to. The config is built from these modules, so they import nothing that
has a config or a specification in it: `isoflop.config.base`, `isoflop.config.generators` and
`isoflop.search.tree` are enough.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from isoflop.config.generators import TreeSearch
from isoflop.errors import UserError
from isoflop.registries import SEARCHES, EntryKind
from isoflop.search.tree import Limits, Search, Tree

_Entry = TypeVar("_Entry", bound=TreeSearch)


def _the_budget(entry: TreeSearch, budget: int) -> int:
    return budget


def _few(entry: TreeSearch) -> tuple[int, ...]:
    return (2, 4)


@dataclass(frozen=True, kw_only=True)
class SearchKind(EntryKind, Generic[_Entry]):
    """A kind of search.

    Attributes
    ----------
    entry
        Its keys in the config, a TreeSearch.
    start
        The search that an entry describes, at a budget, on an empty tree; forecasts play it too.
    nominal_samples
        How many samples a budget counts as: the budget unless said otherwise.
    rehearsed_at
        Budgets of a rehearsal, which the entry must allow: 2 and 4 unless said otherwise.
    """

    entry: type[_Entry]
    start: Callable[[_Entry, int, Tree], Search]
    nominal_samples: Callable[[_Entry, int], int] = _the_budget
    rehearsed_at: Callable[[_Entry], tuple[int, ...]] = _few


def search_kind(name: str) -> SearchKind[Any]:
    """A kind of search.

    Parameters
    ----------
    name
        As the config has it.

    Raises
    ------
    UserError
        For an unknown one, or one that cannot search.
    """
    found = SEARCHES[name]
    if not isinstance(found, SearchKind):
        raise UserError(f"search {name!r}: has only keys; make it an isoflop.search.registry.SearchKind")
    return found


def new_tree(entry: TreeSearch) -> Tree:
    """An empty tree.

    Parameters
    ----------
    entry
        The search whose limits it has.
    """
    return Tree(Limits(entry.max_depth, entry.max_tokens, entry.max_step_tokens))


def start(entry: TreeSearch, budget: int, tree: Tree) -> Search:
    """The search that an entry describes.

    Parameters
    ----------
    entry
        Its keys in the config.
    budget
        How much it may do, by its own rule.
    tree
        An empty one, which it grows.
    """
    return search_kind(entry.kind).start(entry, budget, tree)


def nominal_samples(entry: TreeSearch, budget: int) -> int:
    """How many samples a budget counts as: N, but N (k + 1) for lookahead search.

    Parameters
    ----------
    entry
        The search.
    budget
        One of its budgets N.

    References
    ----------
    Snell et al. 2024, Scaling LLM Test-Time Compute Optimally. doi:10.48550/arXiv.2408.03314
    """
    return search_kind(entry.kind).nominal_samples(entry, budget)
