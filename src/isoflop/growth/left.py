"""How much of a table is still to be computed, from what lies on disk. No texts are read."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from isoflop.growth.former import Former, open_former, places
from isoflop.growth.rows import locate
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


def left_of(rows: Rows[T], items: Sequence[T], table: Path) -> Left:
    """What is missing of the table of some items.

    Parameters
    ----------
    rows
        How its rows are told apart.
    items
        What it is of.
    table
        Where it is, or is to be.
    """
    wanted = [key for item in items for key in rows.wanted(item)]
    if says_nothing(table):
        return Left(len(wanted), 0)
    known = locate(wanted, (former.glanced(rows.limit) for former in _formers(rows, table)))
    return Left(len(wanted), len(set(wanted) - known.keys()))


def scores_left(rows: Rows[Judged], candidates: Left, table: Path) -> Left:
    """What is missing of the scores of some candidates, of which the texts are not looked at.

    Candidates that are there are taken to be scored as far as there are scores of this identity: more exactly
    it is known when the scores are made.

    Parameters
    ----------
    rows
        How its rows are told apart.
    candidates
        What is missing of these.
    table
        Where the scores are, or are to be.
    """
    if says_nothing(table):
        return Left(candidates.rows, 0)
    labels = [former.label.digests for former in _formers(rows, table)]
    scored = max((len(set().union(*labels)), *map(len, labels)))
    known = min(scored, candidates.rows - candidates.missing)
    return Left(candidates.rows, candidates.rows - known)


def says_nothing(table: Path) -> bool:
    """Whether there is a table of an earlier version, without label: it counts as the one that is wanted."""
    try:
        metadata = pq.read_schema(table).metadata or {}
        return LABEL not in json.loads(metadata.get(b"isoflop", b"{}"))
    except (OSError, pa.ArrowException, ValueError):
        return False


def _formers(rows: Rows[T], table: Path) -> Iterator[Former]:
    """The tables and chunks of this identity; weights are read only where there are any at all."""
    for path in places(table, rows.stage):
        if path.is_file() and (former := open_former(path, rows.kind, rows.identity)) is not None:
            yield former
