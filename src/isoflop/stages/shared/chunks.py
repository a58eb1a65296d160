"""Long stages in chunks: each is a file, written when done, so a killed run repeats one chunk at most.

The folder of chunks is named after what decides their content; a run with other settings or other
inputs never takes up another's chunks. All shards of a table keep their chunks in one folder, so that one
that is begun in a number of shards is finished in any other.
"""

import hashlib
import itertools
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from isoflop.checkpoint_files.note import NOTE, known_sum
from isoflop.errors import UserError
from isoflop.files import located, read_parquet, table_metadata, write_columns, write_json, write_parquet
from isoflop.growth.folders import unfinished
from isoflop.growth.measured import Times
from isoflop.growth.tables import LABEL
from isoflop.pipeline.shards import Shard, shard_of
from isoflop.stages.shared.ledgers import notes_of, write_ledger, write_times

T = TypeVar("T")
Work = Callable[[Sequence[T]], tuple[pa.Table, dict[str, float]]]


def fingerprint(spec: str, inputs: Sequence[str | Path], models: Iterable[str | None] = ()) -> str:
    """A name for the work that `spec`, the contents of the input files and of local models define.

    `models` are folders, or names of hub repositories, which `spec` pins. Hidden files and isoflop's note of
    a checkpoint say nothing of it.
    """
    digest = hashlib.sha256(spec.encode())
    folders = [
        sorted(
            path
            for path in located(model).glob("*")
            if path.is_file() and not path.name.startswith(".") and path.name != NOTE
        )
        for model in models
        if model
    ]
    for path in (*inputs, *itertools.chain.from_iterable(folders)):
        digest.update(bytes.fromhex(known_sum(Path(path))))
    return digest.hexdigest()[:16]


def own_folder(target: Path, name: str, kind: str) -> Path:
    """Where the unfinished work called `name` for `target` lies; that of other names is removed."""
    folder = _folder(target, name, kind)
    for other in unfinished(target, kind):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    return folder


def _folder(target: Path, name: str, kind: str) -> Path:
    return target.with_name(f".{target.name}.{name}.{kind}")


class Chunks:
    """The chunks of one output file, of `size` items each; those of a part where the file is one.

    `keep_others`: whether chunks of other names stay until the output is in place, since rows of them may be
    taken up. `about`: what the chunks of a run say in their metadata (of models, not of rows).
    """

    def __init__(self, out: str | Path, name: str, size: int, *, keep_others: bool = False) -> None:
        self._shard = shard_of(out, size)
        place = _folder if keep_others else own_folder
        self.folder = place(self._shard.whole, name, "chunks")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.about: dict[str, Any] = {}
        self._found: dict[int, pa.Table] = {}

    def open_items(self, items: Sequence[T]) -> list[T]:
        """The items of the chunks that are not there yet."""
        size = self._shard.size
        left = []
        for number in self._shard.chunks(len(items)):
            table = _finished(self._path(number))
            if table is None:
                left.append(number)
            else:
                self._found[number] = table
        return [item for number in left for item in items[number * size : (number + 1) * size]]

    def run(
        self, items: Sequence[T], work: Work[T], skip: Callable[[int], None]
    ) -> tuple[pa.Table, dict[str, float]]:
        """`work` on every chunk that is not there yet; all tables in order, and the sums of the tallies.

        `items` are those of the whole table. `work` returns a table and a tally of numbers, to which its
        seconds are added; `skip` is told how many items an earlier run has done, or another shard does.
        """
        tables = []
        totals: dict[str, float] = {}
        size, own = self._shard.size, self._shard.chunks(len(items))
        skip(len(items) - len(items[own.start * size : own.stop * size]))
        for number in own:
            chunk = items[number * size : (number + 1) * size]
            path = self._path(number)
            table = self._found.pop(number, None)
            if table is None:
                table = _finished(path)
            if table is not None:
                skip(len(chunk))
            else:
                begun = time.perf_counter()
                table, tally = work(chunk)
                # What rows took that were taken up is in the tally.
                tally = tally | {"seconds": tally.get("seconds", 0.0) + time.perf_counter() - begun}
                metadata = (table.schema.metadata or {}) | {b"tally": json.dumps(tally).encode()}
                write_parquet(path, table.replace_schema_metadata(metadata))
                table = read_parquet(path)
            self.about |= {name: value for name, value in table_metadata(table).items() if name != LABEL}
            for name, value in json.loads(table.schema.metadata[b"tally"]).items():
                totals[name] = totals.get(name, 0) + value
            tables.append(table.replace_schema_metadata(None))
        # An earlier version's chunks may lack a column.
        return pa.concat_tables(tables, promote_options="default"), totals

    def remove(self) -> None:
        """Remove the chunks, and those of other names, once the whole output is in place."""
        for folder in unfinished(self._shard.whole):
            shutil.rmtree(folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.parquet"


def write_measured(
    out: str,
    ledger_out: str,
    table: pa.Table,
    schema: pa.Schema,
    totals: Mapping[str, float],
    about: dict[str, Any],
) -> None:
    """Write an output, the ledger of the model's work and how long it took.

    `about`: the table's metadata; in it `model`, the first model's sizes, and `notes` where readers
    are to know something.
    """
    write_columns(out, one_piece(table), schema, about)
    write_ledger(ledger_out, totals, about["model"], notes_of(about))


def finish_idle(shard: Shard, out: str | Path, schema: pa.Schema, ledger_out: str | None) -> None:
    """Write the part of a shard that no chunk is left for, without any model.

    Raises UserError where it is all there is.
    """
    if shard.of == 1:
        raise UserError(f"{out}: there are no problems; choose a data set or split with some")
    print(
        f"part {shard.number} of {shard.of} has nothing to do: there are fewer chunks of {shard.size} "
        "problems (engine_settings.chunk_problems) than shards",
        file=sys.stderr,
    )
    write_columns(out, schema.empty_table(), schema, {})
    if ledger_out is not None:
        write_json(ledger_out, {})
        write_times(ledger_out, Times())


def one_piece(table: pa.Table) -> pa.Table:
    """The table without seams, so that the file's bytes do not tell which chunks it was made of."""
    return table.combine_chunks()


def _finished(path: Path) -> pa.Table | None:
    """The table of a chunk, if it is there; a damaged one goes, which a line says."""
    if not path.is_file():
        return None
    try:
        table = read_parquet(path)
        if b"tally" in (table.schema.metadata or {}):
            return table
        fault = f"{path}: is no chunk"
    except UserError as error:
        fault = str(error)
    print(f"note: {fault.partition('; delete it')[0]}; it is computed again", file=sys.stderr)
    with suppress(OSError):
        path.unlink()
    return None


class ProgressLine:
    """Progress on standard error: one line rewritten in a terminal, a line every ten seconds in a log."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._begun = self._shown = time.monotonic()
        self._done = self._tokens = 0

    def __call__(self, finished: int, tokens: int) -> None:
        """Count `finished` requests and `tokens`; show where things stand if it is time."""
        self._done += finished
        self._tokens += tokens
        now = time.monotonic()
        if now - self._shown >= (0.5 if sys.stderr.isatty() else 10.0):
            self._shown = now
            self._write("\r" if sys.stderr.isatty() else "", "" if sys.stderr.isatty() else "\n")

    def skip(self, finished: int) -> None:
        """Leave out `finished` requests that an earlier run has done."""
        self._total -= finished

    def close(self) -> None:
        """The last line: all tokens and the rate."""
        self._write("\r" if sys.stderr.isatty() else "", "\n")

    def _write(self, start: str, end: str) -> None:
        seconds = max(time.monotonic() - self._begun, 1e-9)
        done, bar = f"{self._done:,}", ""
        if self._total:
            done = f"{done}/{self._total:,}"
            bar = f"[{'#' * round(20 * self._done / self._total):20}] " if sys.stderr.isatty() else ""
        print(
            f"{start}{self._what}: {bar}{done}, {self._tokens:,} tokens, "
            f"{seconds:.0f} s, {self._tokens / seconds:,.0f} tokens/s",
            end=end,
            file=sys.stderr,
            flush=True,
        )
