"""Beam search (Snell et al. 2024, section 5.2): one group of N beams."""

from typing import Literal

from isoflop.search.beams import BeamEntry, beam_search, rehearsed_at
from isoflop.search.registry import SearchKind
from isoflop.search.tree import Search, Tree


class Beam(BeamEntry):
    """Beam search (Snell et al. 2024); a budget is the number N of beams."""

    kind: Literal["beam"]
    """Beam search."""


def _start(entry: Beam, budget: int, tree: Tree) -> Search:
    return beam_search(tree, budget, entry.width(budget))


SEARCH = SearchKind(name="beam", order=2, entry=Beam, start=_start, rehearsed_at=rehearsed_at)
