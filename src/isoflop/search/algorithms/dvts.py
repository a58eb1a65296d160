"""Diverse verifier tree search (Beeching et al. 2024): N / M groups of M beams, each of which keeps one."""

from typing import Literal

from isoflop.search.beams import BeamEntry, beam_search, rehearsed_at
from isoflop.search.registry import SearchKind
from isoflop.search.tree import Search, Tree


class Dvts(BeamEntry):
    """Diverse verifier tree search: N / M subtrees searched apart (Beeching et al. 2024)."""

    kind: Literal["dvts"]
    """DVTS."""


def _start(entry: Dvts, budget: int, tree: Tree) -> Search:
    return beam_search(tree, budget, entry.width(budget), groups=budget // entry.width(budget))


SEARCH = SearchKind(name="dvts", order=3, entry=Dvts, start=_start, rehearsed_at=rehearsed_at)
