"""What stages that work in chunks have in common: going on where an earlier run ended, shards, progress."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import pyarrow as pa

from isoflop.files import of_run
from isoflop.pipeline.shards import shard_of
from isoflop.stages.shared.chunks import Chunks, ProgressLine, fingerprint, finish_idle

T = TypeVar("T")
Tally = dict[str, float]


@dataclass(frozen=True)
class ChunkedTask(Generic[T]):
    """What is to be done in chunks of `size` items.

    `spec` (JSON), the contents of the files `inputs` and of the folders among `models` decide what comes out.
    `items` are those of the whole table, also where `out` is a shard's part of it. `schema` and `ledger`: of
    the part and the ledger that a shard without work writes; no ledger where there are no shards. `what` and
    `requests`, of all items together, are what the progress line tells.
    """

    out: str
    size: int
    spec: str
    inputs: Sequence[str]
    models: Sequence[str | None]
    items: Sequence[T]
    schema: pa.Schema
    what: str
    requests: int = 0
    ledger: str | None = None


@dataclass(frozen=True)
class Started(Generic[T]):
    """A stage with its models loaded.

    `work` makes one chunk's table, with a tally of numbers, and tells the line how it gets on. `finish`
    writes the outputs from the table of all chunks and the sums of the tallies, with the `seconds` they took.
    """

    work: Callable[[Sequence[T], ProgressLine], tuple[pa.Table, Tally]]
    finish: Callable[[pa.Table, Tally], None]


def run_chunked(task: ChunkedTask[T], start: Callable[[], Started[T]]) -> None:
    """Do the task, going on from the chunks that an earlier run has left; they go when the outputs are there.

    A part's chunks stay until the parts are merged. `start` loads the models; where a shard has nothing to do
    it is not called. Raises UserError where there are no items at all.
    """
    shard = shard_of(task.out, task.size)
    if not shard.chunks(len(task.items)):
        finish_idle(shard, task.out, task.schema, task.ledger)
        return
    started = start()
    line = ProgressLine(task.what, task.requests)
    folders = [of_run(model, task.out) for model in task.models if model]
    name = fingerprint(f"{task.spec}{shard.size}", task.inputs, folders)
    chunks = Chunks(task.out, name, task.size)
    table, totals = chunks.run(
        task.items,
        lambda chunk: started.work(chunk, line),
        lambda count: line.skip(count * task.requests // len(task.items)),
    )
    line.close()
    started.finish(table, totals)
    if shard.of == 1:
        chunks.remove()
