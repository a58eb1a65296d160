"""Atomic files and checked tables, with errors that name the file.

All Parquet files that stages hand to each other are written and read here, with their sums (`isoflop.sums`).
"""

import glob
import hashlib
import json
import os
import platform
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from isoflop.errors import UserError
from isoflop.messages import describe_faults
from isoflop.sums import (
    FOOTER_BYTES,
    JSON_KEY,
    Seal,
    footer_bytes,
    has_sum,
    json_seal,
    opened_parquet,
    parquet_seal,
    sealed_json,
    sealed_parquet,
    without_sum,
)
from isoflop.tables import LATER, PROBLEMS, PUBLISHED_CORRECT

_SHIPPED = "resources/"

# Beside the package's sources, as in a clone; or where pip puts the data of a package.
_HOMES = (Path(__file__).resolve().parents[2], Path(sysconfig.get_path("data")) / "share" / "isoflop")

Model = TypeVar("Model", bound=BaseModel)
Problem = tuple[str, str]
"""A problem's name and its text."""


_ABANDONED = 24 * 3600.0  # seconds without a change after which another machine's temporary file is nobody's


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name only if the block succeeds.

    What killed jobs have left for the same target is removed. Raises UserError where the disk is full, the
    folder cannot be written to, or anything else of the system's is in the way.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{_machine()}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        yield temporary
        # On the disk before it has its name: after a power cut it is whole or not there.
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{path}: cannot be written ({reason}); run again when it can be: what is finished is kept"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _machine() -> str:
    """A name for this machine and its process numbers: containers have their own."""
    try:
        processes = os.readlink("/proc/self/ns/pid")
    except OSError:
        processes = ""
    return hashlib.sha256(f"{platform.node()} {processes}".encode()).hexdigest()[:8]


def _remove_abandoned(target: Path) -> None:
    """Remove the temporary files of `target` whose processes are gone.

    Of other machines that share the folder, and of former versions, only those that have not changed for a
    day.
    """
    for path in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        *_, machine, process = path.name.removesuffix(".tmp").split(".")
        with suppress(OSError):
            here = machine == _machine() and process.isdigit()
            if not _runs(int(process)) if here else time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


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
    write_parquet(path, table)


def write_parquet(path: str | Path, table: pa.Table) -> None:
    """Write an Arrow table with its metadata and its sum, whole or not at all.

    Raises UserError where its metadata are more than a file of this kind can have.
    """
    if (size := footer_bytes(table)) > FOOTER_BYTES:
        raise UserError(
            f"{path}: what the table says of its {table.num_rows:,} rows takes {size:,} bytes, more than the "
            f"{FOOTER_BYTES:,} that a Parquet file can have; take fewer problems or samples"
        )
    content = sealed_parquet(table)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def open_parquet(path: str | Path, *, quiet: bool = False) -> pq.ParquetFile:
    """A Parquet file whose bytes are those that were written.

    One of a former version has no sum; it is opened, with a note on standard error unless `quiet`. Raises
    UserError naming the file where it cannot be read or is damaged.
    """
    try:
        # Read as a whole, so that what is checked is what is used.
        data = Path(path).read_bytes()
        seal = parquet_seal(data)
        if seal is Seal.DAMAGED:
            raise damaged(path)
        file = opened_parquet(pa.BufferReader(data))
        if seal is Seal.ABSENT and has_sum(file.schema_arrow):
            raise damaged(path)
    except _UNREADABLE as error:
        raise UserError(f"{path}: cannot be read as Parquet ({error}); delete it and run again") from error
    if seal is Seal.ABSENT and not quiet:
        _note_unsealed(str(path))
    return file


def peek_metadata(path: str | Path) -> dict[bytes, bytes]:
    """A Parquet file's metadata from its footer alone, unchecked; none where it cannot be read."""
    try:
        with opened_parquet(path) as file:
            return dict(file.schema_arrow.metadata or {})
    except _UNREADABLE:
        return {}


def read_parquet(path: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A Parquet file's table, or some of its columns; raises UserError as `open_parquet` does."""
    file = open_parquet(path)
    try:
        return _columns(file, columns)
    except _UNREADABLE as error:
        raise UserError(f"{path}: cannot be read as Parquet ({error}); delete it and run again") from error


def _columns(file: pq.ParquetFile, names: Sequence[str] | None) -> pa.Table:
    """Columns of an opened file; without a sum, at least texts, lists and metadata must be what they seem."""
    table = without_sum(file.read(names))
    if not has_sum(file.schema_arrow):
        table.validate(full=True)
        table_metadata(table)
    return table


# Also of what a damaged file of a former version makes of lengths and names.
_UNREADABLE = (OSError, ValueError, pa.ArrowException, MemoryError, RecursionError)
_UNSEALED: set[str] = set()


def damaged(path: str | Path) -> UserError:
    """The error for a file that is not as it was written."""
    return UserError(
        f"{path}: is damaged, or changed by another program: its content is not what was written with its "
        "SHA-256; delete it and run again"
    )


def _note_unsealed(path: str) -> None:
    if path not in _UNSEALED:
        _UNSEALED.add(path)
        print(f"note: {path}: of a former version, without a sum; damage to it may not show", file=sys.stderr)


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
    file = open_parquet(path)
    try:
        found_schema = file.schema_arrow
        of_files = found_schema.get_field_index(PUBLISHED_CORRECT.name)
        if of_files >= 0 and PUBLISHED_CORRECT.name not in schema.names:
            found_schema = found_schema.remove(of_files)
        later = LATER - set(found_schema.names)
        names = [one for one in columns or found_schema.names if one not in later]
        table = _columns(file, names)
    except _UNREADABLE as error:
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


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a ledger or measured times as JSON, with the sum of what they say."""
    write_text(path, json.dumps(sealed_json(content), indent=1, sort_keys=True) + "\n")


def read_ledger(path: str | Path, *, quiet: bool = False) -> dict[str, Any]:
    """What `write_json` wrote of a job; raises UserError if it cannot be read, is damaged or is no ledger.

    One of a former version has no sum, which a note on standard error says unless `quiet`.
    """
    try:
        ledger = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); run the stage that writes it") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); delete it and run again") from error
    if not isinstance(ledger, dict):
        raise UserError(f"{path}: is not a ledger; delete it and run again")
    seal = json_seal(ledger)
    if seal is Seal.DAMAGED:
        raise damaged(path)
    if seal is Seal.ABSENT and not quiet:
        _note_unsealed(str(path))
    return {key: value for key, value in ledger.items() if key != JSON_KEY}


def read_ledger_as(model: type[Model], path: str | Path) -> Model:
    """A model of what `read_ledger` gives; raises UserError as that, or naming the file's fields at fault."""
    return read_json(model, json.dumps(read_ledger(path)), str(path))


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


def located(path: str, root: Path = Path()) -> Path:
    """Where a file or folder of the config is.

    It is under `root`, the working directory. Where nothing is there and its name begins with `resources/`,
    it is what isoflop ships, if there is such a thing.
    """
    own = root / path
    if not path.startswith(_SHIPPED) or own.exists():
        return own
    return next((home / path for home in _HOMES if (home / path).exists()), own)


def of_run(path: str, output: str) -> str:
    """Where a path of the run is that wrote `output`: both begin with `results/EXPERIMENT/`, after a folder.

    That folder is the prefix of a module, or a storage's for local copies. Other paths stay as they are.
    """
    experiment = "/".join(path.split("/")[:2]) + "/"
    place = f"/{output}".rfind(f"/{experiment}")
    return path if place < 0 or not path.startswith("results/") else f"{output[:place]}{path}"
