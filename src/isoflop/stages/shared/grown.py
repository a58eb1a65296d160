"""Stages whose tables grow: rows that are finished somewhere are taken up, only the others are asked for.

A table comes out with the bytes that it has when all is computed: its rows depend on no other rows, and what
a ledger counts is counted from them.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import pyarrow as pa

from isoflop.files import of_run, with_later
from isoflop.growth.folders import places
from isoflop.growth.former import Finished
from isoflop.growth.keeping import settle
from isoflop.growth.measured import is_measured
from isoflop.growth.rows import Key, order
from isoflop.growth.tables import LABEL, labelled, taken_rows
from isoflop.growth.wanted import Rows
from isoflop.pipeline.shards import shard_of
from isoflop.stages.shared.chunked import ChunkedTask, Tally
from isoflop.stages.shared.chunks import Chunks, ProgressLine, fingerprint, finish_idle

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """Items of which rows are missing: for each the keys of these, and the rows that are known, in order."""

    items: Sequence[T]
    missing: Sequence[Sequence[Key]]
    known: Sequence[pa.Table]


@dataclass(frozen=True)
class Making(Generic[T]):
    """A stage with its models loaded.

    `make` makes the missing rows of a part, in order, and times what it does beside the whole; it tells the
    line how it gets on. `about`: what the models are, for the metadata.
    """

    make: Callable[[Part[T], ProgressLine], tuple[pa.Table, Tally]]
    about: dict[str, object]


def run_grown(
    task: ChunkedTask[T],
    rows: Rows[T],
    start: Callable[[], Making[T]],
    finish: Callable[[pa.Table, Tally, dict[str, Any]], None],
    *,
    reuse: bool = True,
) -> None:
    """Do the task as `isoflop.stages.shared.chunked.run_chunked` does, with the rows that are finished.

    Parameters
    ----------
    task
        What is to be done. The chunks that an earlier run of it has left are taken up as always.
    rows
        How the rows of its table are told apart.
    start
        Loads the models. Where nothing is missing it is not called.
    finish
        Writes the outputs from the table, the seconds it took and its metadata.
    reuse
        Whether rows of other tables and chunks are taken up.

    Raises
    ------
    UserError
        Where there are no items at all.
    """
    shard = shard_of(task.out, task.size)
    own = shard.chunks(len(task.items))
    if not own:
        finish_idle(shard, task.out, task.schema, task.ledger)
        return
    rows = placed(rows, task.out)
    folders = [of_run(model, task.out) for model in task.models if model]
    name = fingerprint(f"{task.spec}{shard.size}", task.inputs, folders)
    chunks = Chunks(task.out, name, task.size, keep_others=True)
    items = task.items[own.start * shard.size : own.stop * shard.size]
    wanted = [key for item in chunks.open_items(task.items) for key in rows.wanted(item)]
    finished = Finished(wanted, places(shard.whole, rows.stage, chunks.folder) if reuse else (), rows)
    missing = len(set(wanted) - finished.places.keys())
    _tell(finished, task.what)
    worker = _Worker(rows, finished, start, ProgressLine(task.what, missing))
    table, totals = chunks.run(task.items, worker.work, lambda _: None)
    about = chunks.about or worker.making.about
    worker.line.close()
    # Counts are made from the rows; chunks of earlier versions have some too.
    seconds = {name: value for name, value in totals.items() if is_measured(name)}
    finish(with_later(table, task.schema), seconds, about | {LABEL: rows.label(items).content()})
    if shard.of == 1:
        settle(shard.whole, chunks.folder)
        chunks.remove()


def placed(rows: Rows[T], out: str) -> Rows[T]:
    """The rows with trained models where they lie, beside the output (`of_run`), for identity to be read."""
    entries = {name: getattr(rows.spec, name, None) for name in ("policy", "verifier")}
    moved = {
        name: entry.model_copy(update={"model": of_run(entry.model, out)})
        for name, entry in entries.items()
        if entry is not None and entry.model is not None
    }
    return replace(rows, spec=rows.spec.model_copy(update=moved))


class _Worker(Generic[T]):
    """Makes chunks of known rows and new ones; loads the models with the first that is missing."""

    def __init__(
        self, rows: Rows[T], finished: Finished, start: Callable[[], Making[T]], line: ProgressLine
    ) -> None:
        self._rows, self._finished, self._start = rows, finished, start
        self._making: Making[T] | None = None
        self.line = line

    @property
    def making(self) -> Making[T]:
        """The stage with its models."""
        if self._making is None:
            self._making = self._start()
        return self._making

    def work(self, chunk: Sequence[T]) -> tuple[pa.Table, Tally]:
        """The table of a chunk, with its metadata, and what it took, or had taken."""
        rows, known_at = self._rows, self._finished.places
        wanted = [rows.wanted(item) for item in chunk]
        known = [[key for key in keys if key in known_at] for keys in wanted]
        old, tally = self._finished.taken([key for keys in known for key in keys])
        missing = [[key for key in dict.fromkeys(keys) if key not in known_at] for keys in wanted]
        pieces, about = [old], None
        if any(missing):
            starts = [sum(map(len, known[:place])) for place in range(len(chunk))]
            own = [old.slice(begin, len(keys)) for begin, keys in zip(starts, known, strict=True)]
            made, timed = self.making.make(Part(chunk, missing, own), self.line)
            pieces.append(made.replace_schema_metadata(None))
            tally = {name: tally.get(name, 0) + timed.get(name, 0) for name in tally | timed}
            about = self.making.about
        flat = [[key for keys in some for key in keys] for some in (wanted, known, missing)]
        table = rows.numbered(taken_rows(pa.concat_tables(pieces), order(*flat)), chunk)
        if about is None:
            about = self._finished.sources[0].about
        return labelled(table, about | {LABEL: rows.label(chunk).content()}), tally


def _tell(finished: Finished, what: str) -> None:
    if sources := finished.sources:
        more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
        print(f"{what}: {len(finished.places):,} taken up from {sources[0].path}{more}", file=sys.stderr)
