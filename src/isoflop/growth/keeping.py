"""What stays beside a table when it is in place: rows that were finished before and that it has not."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from isoflop.checkpoint_files.note import known_sum
from isoflop.errors import UserError
from isoflop.files import is_of, open_parquet, table_metadata
from isoflop.growth.folders import former_folder, keep, kept, listed, times_beside, unfinished
from isoflop.growth.rows import Key, Limit
from isoflop.growth.tables import CHAINS, SAMPLES, SCORED, SEARCHED, Label, RowKind, read_label


@dataclass(frozen=True)
class _Held:
    """A finished table or chunk, with the columns that its rows are told by."""

    path: Path
    kind: RowKind
    label: Label
    columns: pa.Table

    def keys(self, limit: int | None) -> set[Key]:
        """Of the rows that are surely the same under a limit of tokens."""
        found = self.kind.keys(self.columns, self.label, Limit(limit, below=True))
        return {key for key in found if key is not None}

    def covers(self, other: "_Held") -> set[Key]:
        """Which rows of the other table it has, too."""
        if (self.kind, self.label.identity) != (other.kind, other.label.identity):
            return set()
        return self.keys(other.label.max_tokens)


def settle(table: Path, own: Path | None = None) -> None:
    """Keep a finished table, and beside it those before it that have rows which it has not.

    Also chunks of other names, which can go then.

    Parameters
    ----------
    table
        The whole table.
    own
        The folder of the chunks that it was made of, which have nothing else.
    """
    folder, before = former_folder(table), kept(table)
    chunks = [path for one in unfinished(table) if one != own for path in listed(one)]
    found = [*([] if _same_file(before, table) else [before]), *listed(folder), *chunks]
    names = {_moved(one.path, folder) for one in _lacking(table, found)}
    _remove_others(folder, names)
    keep(table)


def _lacking(table: Path, others: Sequence[Path]) -> list[_Held]:
    """Of other tables those that have rows which neither `table` has nor, of the others, a larger one."""
    held = [one for path in others if (one := _held(path)) is not None]
    new = _held(table) if held else None
    if new is None:
        return []
    staying: list[_Held] = []
    for one in sorted(held, key=lambda one: one.columns.num_rows, reverse=True):
        covered = set[Key]().union(*(other.covers(one) for other in (new, *staying)))
        if one.keys(one.label.max_tokens) - covered:
            staying.append(one)
    return staying


def _held(path: Path) -> _Held | None:
    """The table at a path; None where it cannot be read, or does not say what its rows are."""
    try:
        file = open_parquet(path, quiet=True)
        kind = _kind(file)
        columns = None if kind is None else file.read(list(kind.columns))
        label = read_label(table_metadata(file.schema_arrow.empty_table()))
    except (UserError, OSError, ValueError, KeyError, RecursionError, pa.ArrowException):
        return None
    return None if kind is None or columns is None or label is None else _Held(path, kind, label, columns)


def _kind(file: pq.ParquetFile) -> RowKind | None:
    """Of what kind a table is; candidates of chains have a run."""
    schema = file.schema_arrow
    for kind in (SCORED, SEARCHED):
        if is_of(schema, kind.schema):
            return kind
    if not is_of(schema, SAMPLES.schema):
        return None
    runs = file.read(["run"])["run"]
    return SAMPLES if runs.null_count == len(runs) else CHAINS


def _moved(path: Path, folder: Path) -> str:
    """Bring a table and its times to the folder, under a name after its content; returns the name."""
    name = known_sum(path)[:16]
    target = folder / f"{name}.parquet"
    if path != target:
        folder.mkdir(exist_ok=True)
        with suppress(OSError):
            os.replace(times_beside(path), times_beside(target))
        os.replace(path, target)
    return target.name


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove from the folder what is in none of these tables; tell what stays, and how to be rid of it."""
    for path in listed(folder):
        if path.name not in names:
            times_beside(path).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
    if names:
        size = sum((folder / name).stat().st_size for name in names)
        print(
            f"kept: {len(names)} former tables or chunks with rows that this one has not; "
            f"they take {size / 1e6:,.1f} MB: delete {folder} to have it back",
            file=sys.stderr,
        )


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
