"""Atomic files and checked tables, with errors that name the file."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from isoflop.errors import UserError
from isoflop.messages import describe_faults
from isoflop.tables import LATER, PROBLEMS, PUBLISHED_CORRECT

Model = TypeVar("Model", bound=BaseModel)
Problem = tuple[str, str]
"""A problem's name and its text."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name only if the block succeeds."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        # On the disk before it has its name: after a power cut it is whole or not there.
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_table(
    path: str | Path, columns: dict[str, list[object]], schema: pa.Schema, metadata: dict[str, object]
) -> None:
    """Write columns as a Parquet table of exactly `schema`; `metadata` goes in as JSON under `isoflop`."""
    absent: list[object] = [None] * len(next(iter(columns.values())))
    columns = dict.fromkeys(LATER & set(schema.names), absent) | columns
    write_columns(path, pa.table(columns, schema=schema), schema, metadata)


def write_columns(path: str | Path, table: pa.Table, schema: pa.Schema, metadata: dict[str, object]) -> None:
    """Write an Arrow table as `write_table` does."""
    table = with_later(table, schema).cast(schema)
    table = table.replace_schema_metadata({b"isoflop": json.dumps(metadata, sort_keys=True).encode()})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def is_of(found: pa.Schema, schema: pa.Schema) -> bool:
    """Whether a file's columns are those of `schema`; those that came later may be missing."""
    wanted = [field for field in schema if field.name in found.names or field.name not in LATER]
    return bool(found.equals(pa.schema(wanted), check_metadata=False))


def with_later(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of `schema` that came after it was written, all null."""
    for field in schema:
        if field.name in LATER and field.name not in table.schema.names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(schema.names) if set(schema.names) == set(table.schema.names) else table


def read_table(
    path: str | Path, schema: pa.Schema, columns: Sequence[str] | None = None, *, further: bool = False
) -> pa.Table:
    """Read a Parquet table, or some of its columns, and check it against `schema`.

    `further`: whether it may have columns after those, such as costs that a study asks for. The column that
    only imported candidates have is read where it is asked for. Raises UserError naming the file and what
    differs.
    """
    try:
        file = pq.ParquetFile(path)
        found_schema = file.schema_arrow
        of_files = found_schema.get_field_index(PUBLISHED_CORRECT.name)
        if of_files >= 0 and PUBLISHED_CORRECT.name not in schema.names:
            found_schema = found_schema.remove(of_files)
        later = LATER - set(found_schema.names)
        table = file.read([one for one in columns or found_schema.names if one not in later])
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: cannot be read as Parquet ({error}); delete it and run again") from error
    if further:
        found_schema = pa.schema(list(found_schema)[: len(schema)])
    if not is_of(found_schema, schema):
        found = {field.name: str(field.type) for field in found_schema}
        wanted = {field.name: str(field.type) for field in schema}
        differing = sorted(
            name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)
        )
        raise UserError(f"{path}: columns differ from what this stage reads: {', '.join(differing)}")
    asked = schema if columns is None else [field for field in schema if field.name in columns]
    return with_later(table, pa.schema(asked))


def read_prompts(path: str | Path) -> list[Problem]:
    """The problems of a table, in its order; raises UserError as `read_table` does."""
    table = read_table(path, PROBLEMS)
    return list(zip(table["problem_id"].to_pylist(), table["prompt"].to_pylist(), strict=True))


def table_metadata(table: pa.Table) -> dict[str, object]:
    """The JSON that `write_table` put beside the columns."""
    raw = (table.schema.metadata or {}).get(b"isoflop", b"{}")
    decoded: dict[str, object] = json.loads(raw)
    return decoded


def read_json(model: type[Model], text: str, source: str) -> Model:
    """A model from its JSON; raises UserError naming `source` and the fields at fault."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False)
        if first["type"] == "json_invalid":
            raise UserError(f"{source}: is not JSON ({first['ctx']['error']})") from error
        raise UserError(f"{source}: " + "; ".join(describe_faults(error, model))) from error


def read_ledger(path: Path) -> dict[str, Any]:
    """What a job cost, as written; raises UserError if the file cannot be read or is no ledger."""
    try:
        ledger = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); delete it and run again") from error
    if not isinstance(ledger, dict):
        raise UserError(f"{path}: is not a ledger; delete it and run again")
    return ledger


def times_of(path: str) -> str:
    """Where the measured times are of the work whose table, usage, ledger or folder is `path`: beside it."""
    stem = path.removesuffix(".parquet").removesuffix(".json")
    return stem.removesuffix(".ledger").removesuffix(".usage") + ".times.json"


def check_aligned(table: pa.Table, path: str, candidates: pa.Table, candidates_path: str) -> None:
    """Refuse a table whose rows are not those of the candidates, in their order."""
    if table.num_rows != candidates.num_rows:
        raise UserError(
            f"{path}: {table.num_rows} rows, but {candidates_path} has {candidates.num_rows}; "
            "delete the file and run again"
        )
    for column in ("problem_id", "candidate"):
        same = pc.equal(table[column], candidates[column]).to_numpy()
        if not same.all():
            row = int(np.argmin(same))
            raise UserError(
                f"{path}: row {row}: {column} is {table[column][row]}, but {candidates[column][row]} in "
                f"{candidates_path}; delete the file and run again"
            )


def local_files(pattern: str) -> list[Path]:
    """The files that a path or a pattern with `*` names, in the order of their names."""
    path = Path(pattern)
    if "*" not in pattern:
        return [path] if path.is_file() else []
    return sorted(
        found for found in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if found.is_file()
    )
