"""Tree searches (REBASE, beam, DVTS, lookahead, MCTS), chains of revisions, and their driver."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.search.driver import Driver, Task, Usage
    from isoflop.search.registry import SearchKind, new_tree, nominal_samples, search_kind, start
    from isoflop.search.revisions import Chain, write_chains
    from isoflop.search.tree import Limits, Node, Step, Tree

__all__ = [
    "Chain",
    "Driver",
    "Limits",
    "Node",
    "SearchKind",
    "Step",
    "Task",
    "Tree",
    "Usage",
    "new_tree",
    "nominal_samples",
    "search_kind",
    "start",
    "write_chains",
]

face(__name__)
