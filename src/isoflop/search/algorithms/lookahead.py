"""Lookahead search (Snell et al. 2024, section 5.2): beams valued by the score after further steps."""

from typing import Literal

from isoflop.config.base import Count
from isoflop.search.beams import BeamEntry, beam_search, rehearsed_at
from isoflop.search.registry import SearchKind
from isoflop.search.tree import Search, Tree


class Lookahead(BeamEntry):
    """Beam search by the score after further steps at temperature 0 (Snell et al. 2024)."""

    kind: Literal["lookahead"]
    """Lookahead search."""
    lookahead_steps: Count = 1
    """k: how many steps are looked ahead; counts as N (k + 1) samples."""


def _start(entry: Lookahead, budget: int, tree: Tree) -> Search:
    return beam_search(tree, budget, entry.width(budget), lookahead=entry.lookahead_steps)


def _samples(entry: Lookahead, budget: int) -> int:
    """N (k + 1), as Snell et al. 2024 count."""
    return budget * (entry.lookahead_steps + 1)


SEARCH = SearchKind(
    name="lookahead",
    order=4,
    entry=Lookahead,
    start=_start,
    nominal_samples=_samples,
    rehearsed_at=rehearsed_at,
)
