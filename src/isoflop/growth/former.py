"""Finished rows on disk: the tables and chunks that may hold them, and what they say of themselves.

Only metadata is read to find out whether a table is of the right identity, then those that are are read.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from isoflop.errors import UserError
from isoflop.files import read_table, times_of
from isoflop.growth.rows import Key, Place, locate
from isoflop.growth.tables import LABEL, Label, RowKind, read_label, taken_rows
from isoflop.growth.wanted import Rows

_RESULTS = "results"
_KEPT = ".finished"


class Former:
    """A table or chunk of an identity that is wanted."""

    def __init__(self, path: Path, kind: RowKind, label: Label, metadata: dict[str, Any], tally: str) -> None:
        self.path, self.label, self._kind, self._tally = path, label, kind, tally
        self.about = {name: value for name, value in metadata.items() if name != LABEL}

    def rows(self, limit: int | None) -> dict[Key, int]:
        """Where every row is that is the same under the present limit of tokens.

        Raises UserError where the table cannot be read or is damaged.
        """
        return self.found(self.table, limit)

    def glanced(self, limit: int | None) -> dict[Key, int]:
        """The same, of a file whose texts nobody looks at; none where it cannot be read."""
        try:
            return self.found(pq.read_table(self.path, columns=list(self._kind.columns)), limit)
        except (OSError, pa.ArrowException):
            return {}

    def found(self, columns: pa.Table, limit: int | None) -> dict[Key, int]:
        """The rows that `columns` are of."""
        keys = self._kind.keys(columns, self.label, limit)
        return {key: row for row, key in enumerate(keys) if key is not None}

    @cached_property
    def table(self) -> pa.Table:
        """All of it."""
        return read_table(self.path, self._kind.schema).replace_schema_metadata(None)

    @cached_property
    def rates(self) -> dict[str, float]:
        """Seconds for a unit of the rows' work, by name; nothing where nobody measured."""
        tally = self._tally
        if not tally:
            with suppress(OSError, UnicodeDecodeError):
                tally = _times(self.path).read_text(encoding="utf-8")
        try:
            known = json.loads(tally or "{}")
        except ValueError:
            known = {}
        work = pc.sum(self.table[self._kind.work]).as_py() or 0
        return {
            name: value / work
            for name, value in known.items()
            if name.endswith("seconds") and isinstance(value, int | float) and work
        }


def open_former(path: Path, kind: RowKind, identity: str) -> Former | None:
    """The table at a path, if it is of this identity and can be read."""
    try:
        raw = pq.read_schema(path).metadata or {}
        metadata = json.loads(raw.get(b"isoflop", b"{}"))
        label = read_label(metadata) if isinstance(metadata, dict) else None
    except (OSError, pa.ArrowException, ValueError):
        return None
    if label is None or label.identity != identity:
        return None
    return Former(path, kind, label, metadata, raw.get(b"tally", b"").decode())


class Finished:
    """The finished rows that there are for one table.

    `wanted`: the keys of its rows. `paths`: where to look, one after the other until nothing is missing. What
    cannot be read is told on standard error and passed over.
    """

    def __init__(self, wanted: Iterable[Key], paths: Iterable[Path], rows: Rows[Any]) -> None:
        self._rows = rows
        self._tables: list[Former] = []
        wanted = list(wanted)
        # Every key begins with a digest that labels have, so that tables of other problems are not read.
        self._digests = {key[0] for key in wanted}
        self.places = locate(wanted, self._usable(paths))

    def _usable(self, paths: Iterable[Path]) -> Iterator[dict[Key, int]]:
        for path in paths:
            former = open_former(path, self._rows.kind, self._rows.identity)
            if former is None or self._digests.isdisjoint(former.label.digests):
                continue
            try:
                rows = former.rows(self._rows.limit)
            except UserError as error:
                print(f"not taken up: {error}", file=sys.stderr)
                continue
            self._tables.append(former)
            yield rows

    @property
    def sources(self) -> list[Former]:
        """The tables that rows are taken from."""
        return [self._tables[number] for number in sorted({place.table for place in self.places.values()})]

    def taken(self, keys: Iterable[Key]) -> tuple[pa.Table, dict[str, float]]:
        """The known rows with these keys, in their order, and the seconds that they took."""
        places = [self.places[key] for key in keys]
        pieces, seconds = [self._rows.kind.schema.empty_table()], dict[str, float]()
        where: dict[Place, int] = {}
        for number in sorted({place.table for place in places}):
            former = self._tables[number]
            rows = [place for place in dict.fromkeys(places) if place.table == number]
            piece = taken_rows(former.table, [place.row for place in rows])
            where |= {place: len(where) + offset for offset, place in enumerate(rows)}
            pieces.append(piece)
            work = pc.sum(piece[self._rows.kind.work]).as_py() or 0
            for name, rate in former.rates.items():
                seconds[name] = seconds.get(name, 0.0) + rate * work
        return taken_rows(pa.concat_tables(pieces), [where[place] for place in places]), seconds


def unfinished(target: Path, kind: str = "chunks") -> list[Path]:
    """The folders of unfinished work for `target`, whatever its name."""
    return list(target.parent.glob(f".{target.name}.*.{kind}"))


def keep(table: Path) -> None:
    """Keep a finished table and its times, as links that take no space, for when it is to be made again.

    Snakemake removes outputs before a job makes them, and keeps none for a job that may fail: its `update`
    outputs, once restored, count as the new ones. Where the file system has no hard links nothing is kept.
    """
    for path in (table, Path(times_of(str(table)))):
        target = kept(path)
        temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        with suppress(OSError):
            os.link(path, temporary)
            os.replace(temporary, target)
        # Where both are the same file already, renaming one to the other does nothing.
        temporary.unlink(missing_ok=True)


def kept(path: Path) -> Path:
    """Where a file is kept, beside it: not every file system links across folders."""
    return path.with_name(f".{path.name}{_KEPT}")


def _times(table: Path) -> Path:
    """The measured times of a table, a kept one too."""
    if not table.name.endswith(_KEPT):
        return Path(times_of(str(table)))
    return kept(Path(times_of(str(table.with_name(table.name[1:].removesuffix(_KEPT))))))


def places(whole: Path, stage: str, own: Path | None = None) -> Iterator[Path]:
    """Where rows of a table may lie: in itself as it was, in unfinished work, in its parts, in other tables.

    Parameters
    ----------
    whole
        The table.
    stage
        The folder of its stage's tables, by which other experiments' are found.
    own
        The folder of unfinished work that is looked through after the others'.

    Yields
    ------
    Paths, there or not.
    """
    yield whole
    yield kept(whole)
    folders = [folder for folder in unfinished(whole) if folder != own]
    for folder in (*folders, *([] if own is None else [own])):
        yield from sorted(folder.glob("*.parquet"))
    yield from sorted(whole.with_suffix(".shards").glob("*.parquet"))
    yield from elsewhere(whole, stage)


def elsewhere(table: Path, stage: str) -> Iterator[Path]:
    """Tables and chunks of a stage in all experiments beside that of `table`, its own included.

    `stage`: the folder of its tables. Nothing where `table` does not lie in an experiment's results.
    """
    for folder in table.absolute().parents:
        if folder.name == stage and folder.parent.parent.name == _RESULTS:
            yield from sorted(folder.parent.parent.glob(f"*/{stage}/**/*.parquet"))
            return
