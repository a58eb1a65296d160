"""Finished rows on disk: the tables and chunks that may hold them, and what they say of themselves.

Footers are read to find out which tables are of the right identity, of those a few short columns, and the
rest only of tables that rows are taken from. All that is used is checked against its sum.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from isoflop.errors import UserError
from isoflop.files import peek_metadata, read_table
from isoflop.growth.folders import times_beside
from isoflop.growth.measured import Times, read_times_file
from isoflop.growth.rows import Key, Limit, Place, locate
from isoflop.growth.tables import LABEL, Label, RowKind, read_label, taken_rows
from isoflop.growth.wanted import Rows

_Stamp = tuple[int, int, int]


class Former:
    """A table or chunk of an identity that is wanted.

    `stamp`: what tells the file from one that takes its place later. `tally`: of a chunk, what it took.
    """

    def __init__(
        self,
        path: Path,
        kind: RowKind,
        label: Label,
        metadata: dict[str, Any],
        stamp: _Stamp,
        tally: bytes = b"",
    ) -> None:
        self.path, self.label, self._kind, self._stamp, self._tally = path, label, kind, stamp, tally
        self.about = {name: value for name, value in metadata.items() if name != LABEL}

    def rows(self, limit: Limit) -> dict[Key, int]:
        """Where every row is that is the same under the present limit of tokens.

        Raises UserError where the table cannot be read or is damaged.
        """
        columns = read_table(self.path, self._kind.schema, self._kind.columns)
        keys = self._kind.keys(columns, self.label, limit)
        return {key: row for row, key in enumerate(keys) if key is not None}

    def table(self) -> pa.Table:
        """All of it; raises UserError where it cannot be read, or is not what it was when it was found."""
        table = read_table(self.path, self._kind.schema).replace_schema_metadata(None)
        if _stamp(self.path) != self._stamp:
            raise UserError(f"{self.path}: was written again meanwhile")
        return table

    def rates(self, work: float) -> dict[str, float]:
        """Seconds for a unit of the rows' work, of which all are `work`; nothing where nobody measured."""
        try:
            known = _measured(self._tally) if self._tally else read_times_file(times_beside(self.path))
        except (UserError, ValueError, RecursionError):
            return {}
        told = known.model_dump(include={"seconds", "scoring_seconds", "driver_seconds"}, exclude_none=True)
        return {name: value / work for name, value in told.items()} if work else {}


def _measured(tally: bytes) -> Times:
    """The seconds of a chunk; raises ValueError where they are none."""
    content = json.loads(tally)
    if not isinstance(content, dict):
        return Times()
    try:
        return Times.model_validate({name: content[name] for name in content if name.endswith("seconds")})
    except ValidationError as error:
        raise ValueError(str(error)) from error


def open_former(path: Path, kind: RowKind, identity: str) -> Former | None:
    """The table at a path, if it is of this identity and can be read."""
    try:
        stamp = _stamp(path)
        raw = peek_metadata(path)
        metadata = json.loads(raw.get(b"isoflop", b"{}"))
    except (OSError, ValueError, RecursionError):
        return None
    label = read_label(metadata) if isinstance(metadata, dict) else None
    if label is None or label.identity != identity:
        return None
    return Former(path, kind, label, metadata, stamp, raw.get(b"tally", b""))


def _stamp(path: Path) -> _Stamp:
    """Raises OSError."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


class Finished:
    """The finished rows that there are for one table.

    `wanted`: the keys of its rows. `paths`: where to look, one after the other until nothing is missing. What
    cannot be read is told on standard error and passed over.
    """

    def __init__(self, wanted: Iterable[Key], paths: Iterable[Path], rows: Rows[Any]) -> None:
        self._rows = rows
        self._tables: list[Former] = []
        self._taken: dict[int, pa.Table] = {}
        self._rates: dict[int, dict[str, float]] = {}
        self._unusable: set[Path] = set()
        wanted, paths = list(wanted), list(paths)
        # Every key begins with a digest that labels have, so that tables of other problems are not read.
        self._digests = {key[0] for key in wanted}
        # Again without a table that turned out damaged, or was replaced by another job.
        while not self._hold(locate(wanted, self._usable(paths), rows.kind.together)):
            continue

    def _usable(self, paths: Iterable[Path]) -> Iterator[dict[Key, int]]:
        self._tables.clear()
        for path in paths:
            if path in self._unusable:
                continue
            former = open_former(path, self._rows.kind, self._rows.identity)
            if former is None or self._digests.isdisjoint(former.label.digests):
                continue
            try:
                rows = former.rows(self._rows.judged_by)
            except UserError as error:
                self._pass_over(path, error)
                continue
            self._tables.append(former)
            yield rows

    def _pass_over(self, path: Path, error: UserError | OSError) -> None:
        self._unusable.add(path)
        reason = str(error).partition("; delete it")[0]
        print(f"not taken up: {reason}", file=sys.stderr)

    def _hold(self, places: dict[Key, Place]) -> bool:
        """Read the rows that are taken, and no more of their tables; whether all could be."""
        self.places: dict[Key, Place] = {}
        self._taken.clear()
        of_table: dict[int, list[Key]] = {}
        for key, place in places.items():
            of_table.setdefault(place.table, []).append(key)
        for number, keys in sorted(of_table.items()):
            former = self._tables[number]
            try:
                table = former.table()
            except (UserError, OSError) as error:
                self._pass_over(former.path, error)
                return False
            self._rates[number] = former.rates(pc.sum(table[self._rows.kind.work]).as_py() or 0)
            keys.sort(key=lambda key: places[key].row)
            self._taken[number] = taken_rows(table, [places[key].row for key in keys])
            self.places |= {key: Place(number, row) for row, key in enumerate(keys)}
        return True

    @property
    def sources(self) -> list[Former]:
        """The tables that rows are taken from."""
        return [self._tables[number] for number in sorted(self._taken)]

    def taken(self, keys: Iterable[Key]) -> tuple[pa.Table, dict[str, float]]:
        """The known rows with these keys, in their order, and the seconds that they took."""
        places = [self.places[key] for key in keys]
        pieces, seconds = [self._rows.kind.schema.empty_table()], dict[str, float]()
        where: dict[Place, int] = {}
        for number in sorted({place.table for place in places}):
            rows = [place for place in dict.fromkeys(places) if place.table == number]
            piece = taken_rows(self._taken[number], [place.row for place in rows])
            where |= {place: len(where) + offset for offset, place in enumerate(rows)}
            pieces.append(piece)
            work = pc.sum(piece[self._rows.kind.work]).as_py() or 0
            for name, rate in self._rates[number].items():
                seconds[name] = seconds.get(name, 0.0) + rate * work
        return taken_rows(pa.concat_tables(pieces), [where[place] for place in places]), seconds
