"""How much of a table is still to be computed, from what lies on disk. No texts are looked at."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from isoflop.errors import UserError
from isoflop.files import peek_metadata
from isoflop.growth.folders import here, places
from isoflop.growth.former import Former, open_former
from isoflop.growth.rows import Key, locate
from isoflop.growth.tables import LABEL
from isoflop.growth.wanted import Judged, Rows

T = TypeVar("T")


@dataclass(frozen=True)
class Left:
    """Rows of a table: how many it has, and how many of them nobody has computed."""

    rows: int
    missing: int

    @property
    def share(self) -> float:
        """The missing ones' share."""
        return self.missing / self.rows if self.rows else 0.0


def left_of(rows: Rows[T], items: Sequence[T], table: Path, *, reuse: bool = True) -> Left:
    """What is missing of the table of some items.

    Parameters
    ----------
    rows
        How its rows are told apart.
    items
        What it is of.
    table
        Where it is, or is to be.
    reuse
        Whether finished rows are taken up; if not, a table that is not as it is wanted is made as a whole.
    """
    wanted = [key for item in items for key in rows.wanted(item)]
    if says_nothing(table):
        return Left(len(wanted), 0)
    paths = places(table, rows.stage) if reuse else [table]
    found = (_known(former, rows) for former in _formers(rows, paths))
    known = locate(wanted, found, rows.kind.together)
    if not reuse and known.keys() != set(wanted):
        known = {}
    return Left(len(wanted), len(set(wanted) - known.keys()))


def scores_left(
    rows: Rows[Judged], candidates: Left, table: Path, *, sampled: bool, reuse: bool = True
) -> Left:
    """What is missing of the scores of some candidates, of which the texts are not looked at.

    Candidates that are there are taken to be scored as far as there are scores of this identity under the
    table's name: more exactly it is known when the scores are made, which may find texts that others have
    scored. Scores of other tables count only for candidates that lie in other tables, too.

    Parameters
    ----------
    rows
        How its rows are told apart.
    candidates
        What is missing of these.
    table
        Where the scores are, or are to be.
    sampled
        Whether the candidates' own table is there.
    reuse
        As for `left_of`.
    """
    if says_nothing(table):
        return Left(candidates.rows, 0)
    paths: Iterable[Path] = here(table) if sampled else places(table, rows.stage)
    labels = [former.label.digests for former in _formers(rows, paths if reuse else [table])]
    scored = max((len(set().union(*labels)), *map(len, labels)))
    if not reuse and scored < candidates.rows:
        scored = 0
    known = min(scored, candidates.rows - candidates.missing)
    return Left(candidates.rows, candidates.rows - known)


def says_nothing(table: Path) -> bool:
    """Whether there is a table of an earlier version, without label: it counts as the one that is wanted."""
    try:
        metadata = json.loads(peek_metadata(table)[b"isoflop"])
    except (KeyError, ValueError, RecursionError):
        return False
    return isinstance(metadata, dict) and LABEL not in metadata


def _known(former: Former, rows: Rows[T]) -> Mapping[Key, int]:
    """The rows of a table; none where a run could not take any up."""
    try:
        return former.rows(rows.judged_by)
    except UserError:
        return {}


def _formers(rows: Rows[T], paths: Iterable[Path]) -> Iterator[Former]:
    """The tables and chunks of this identity; weights are read only where there are any at all."""
    for path in paths:
        if path.is_file() and (former := open_former(path, rows.kind, rows.identity)) is not None:
            yield former
