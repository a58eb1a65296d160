"""The parts that shards made as one table, the same bytes as if one job had made it.

Parts come in their order, all that there are; the ledger and the measured times are the sums of theirs.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from isoflop.errors import UserError, run_main
from isoflop.files import (
    is_of,
    open_parquet,
    read_ledger,
    read_table,
    table_metadata,
    times_of,
    write_columns,
    write_json,
)
from isoflop.growth.folders import unfinished
from isoflop.growth.keeping import settle
from isoflop.growth.measured import read_times
from isoflop.growth.tables import LABEL, joined, read_label
from isoflop.pipeline.shards import merged_ledger, shard_of
from isoflop.stages.shared.chunks import one_piece
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.ledgers import NOTES, noted, notes_of, summed, write_times
from isoflop.tables import CANDIDATES, SCORES, TREES

_COMMAND = StageCommand(
    "merge",
    __doc__,
    File("parts", "each part and its ledger, in turn", many="+", shown="PART LEDGER"),
    File("out", "table to write"),
    File("ledger", "its ledger, to write"),
    with_spec=False,
)


def main(arguments: Sequence[str]) -> None:
    """Merge the parts; raises UserError if they are not all the parts of OUT."""
    files = _COMMAND.files(arguments)
    parts, ledgers, out = files.parts[::2], files.parts[1::2], Path(files.out)
    if len(parts) != len(ledgers):
        raise _COMMAND.fault("every part comes with its ledger")
    _check_names(parts, out)
    schema = _schema(parts[0])
    tables = [read_table(path, schema) for path in parts]
    with_rows = [table for table in tables if table.num_rows]
    if not with_rows:
        raise UserError(f"{out}: all parts are empty; choose a data set or split with problems")
    metadata = _metadata([(path, one) for path, one in zip(parts, tables, strict=True) if one.num_rows])
    merged = one_piece(pa.concat_tables(table.replace_schema_metadata(None) for table in tables))
    write_columns(out, merged, schema, metadata)
    ledger = merged_ledger([read_ledger(Path(path)) for path in ledgers])
    write_json(files.ledger, ledger)
    write_times(files.ledger, summed([read_times(path) for path in ledgers]))
    settle(out)
    _tidy(parts, ledgers, out)


def _metadata(parts: Sequence[tuple[str, pa.Table]]) -> dict[str, object]:
    """What the parts say, and of their rows all together; raises UserError where they are not of one kind."""
    found = [table_metadata(table) for _, table in parts]
    labels = [read_label(metadata) for metadata in found]
    about = [{name: one[name] for name in one.keys() - {LABEL, NOTES}} for one in found]
    for (path, _), own, label in zip(parts, about, labels, strict=True):
        of_others = label is not None and labels[0] is not None and joined([labels[0], label]) is None
        if own != about[0] or of_others:
            raise UserError(
                f"{path}: made by other models than {parts[0][0]}; delete the parts and run again"
            )
    known = [label for label in labels if label is not None]
    # Parts of an earlier version do not say it.
    whole = joined(known) if len(known) == len(labels) else None
    # Rows that were taken up from an earlier version have none.
    return about[0] | noted(notes_of(*found)) | ({} if whole is None else {LABEL: whole.content()})


def _check_names(parts: Sequence[str], out: Path) -> None:
    shards = [shard_of(path, 1) for path in parts]
    for number, (path, shard) in enumerate(zip(parts, shards, strict=True), start=1):
        if shard.whole != out or shard != (out, number, len(parts), shards[0].size):
            raise UserError(f"{path}: is not part {number} of the {len(parts)} parts of {out}")


def _schema(part: str) -> pa.Schema:
    """Which of the tables that shards make this is a part of."""
    found = open_parquet(part).schema_arrow
    for schema in (CANDIDATES, SCORES, TREES):
        if is_of(found, schema):
            return schema
    raise UserError(f"{part}: holds neither candidates nor scores nor trees; delete it and run again")


def _tidy(parts: Sequence[str], ledgers: Sequence[str], out: Path) -> None:
    """Remove the chunks, and what an earlier number of shards has left; the parts are the workflow's."""
    for folder in unfinished(out):
        shutil.rmtree(folder, ignore_errors=True)
    own = {Path(path).name for path in (*parts, *ledgers, *map(times_of, ledgers))}
    for path in Path(parts[0]).parent.iterdir():
        if path.name not in own and path.is_file():
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    run_main(main)
