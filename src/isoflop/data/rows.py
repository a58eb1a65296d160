"""Rows of files: JSON lines, JSON, CSV and Parquet, packed or not, each row with where it stands.

Values are kept as they are written: a number of a JSON file has its own digits as its text, and what a CSV
holds is text.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath

import pyarrow as pa
import pyarrow.parquet as pq

from isoflop.errors import UserError

Row = tuple[str, Mapping[str, object]]  # where it stands ("test.jsonl, line 3"), its fields

# What a packed file may hold: a small one can be made to fill any memory.
_MOST_UNPACKED = 2**31


class WrittenNumber(float):
    """A number with a point or an exponent, which as text is what was written."""

    def __new__(cls, text: str) -> "WrittenNumber":
        """The number that `text` writes."""
        number = super().__new__(cls, text)
        number._text = text
        return number

    _text: str

    def __str__(self) -> str:
        """As it was written."""
        return self._text


def read_rows(name: str, data: bytes, path: str | None = None) -> Iterator[Row]:
    """The rows of a file's content, with where each stands.

    `name` decides the format by its ending: .jsonl, .json, .csv or .parquet, the first three also packed
    (.gz). A JSON file holds a list of objects, or lines of them; `path` leads to the list inside an object
    (`results.samples`). Values of a CSV stay strings, so that "007" or "None" are read as written. Raises
    UserError naming the file and the line or row.
    """
    file = PurePath(name)
    packed = file.suffix.lower() == ".gz"
    ending = (PurePath(file.stem) if packed else file).suffix.lower()
    if ending not in _READERS or (packed and ending == ".parquet"):
        raise UserError(
            f"{name}: cannot read '{ending}{'.gz' * packed}' files; give one of {', '.join(_READERS)}, "
            "the first three also with .gz"
        )
    if packed:
        data = _unpacked(name, data)
    if path is not None and ending != ".json":
        raise UserError(f"{name}: `rows` is for .json files, which hold one object; leave it out")
    if ending == ".json":
        return _read_json(name, data, path)
    return _READERS[ending](name, data)


def rows_where(rows: Iterable[Row], where: Mapping[str, Sequence[str]] | None) -> Iterator[Row]:
    """The rows whose fields have one of the values given for them; raises UserError for one without a field.

    Numbers are compared as they are written.
    """
    for place, values in rows:
        wanted = (where or {}).items()
        for field, _ in wanted:
            if field not in values:
                raise UserError(f"{place}: no field '{field}' (mapped as where); it has {', '.join(values)}")
        if all(str(values[field]) in allowed for field, allowed in wanted):
            yield place, values


def _unpacked(name: str, data: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as file:
            content = file.read(_MOST_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{name}: cannot be unpacked ({error}); get the file again") from error
    if len(content) > _MOST_UNPACKED:
        raise UserError(f"{name}: holds more than {_MOST_UNPACKED:,} bytes unpacked; unpack and split it")
    return content


def _read_jsonl(name: str, data: bytes) -> Iterator[Row]:
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            values = _parsed_json(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:  # also of the decoding
            raise UserError(f"{place}: not valid JSON ({error}); write one JSON object per line") from error
        yield place, _named_fields(values, place)


def _read_json(name: str, data: bytes, path: str | None = None) -> Iterator[Row]:
    try:
        rows = _parsed_json(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        if path is None and error.msg == "Extra data" and data[: error.pos].strip().startswith(b"{"):
            yield from _read_jsonl(name, data)
            return
        raise UserError(f"{name}: not valid JSON ({error})") from error
    except (ValueError, RecursionError) as error:  # also of the decoding
        raise UserError(f"{name}: not valid JSON ({error})") from error
    for part in path.split(".") if path else ():
        if not isinstance(rows, dict) or part not in rows:
            held = f"it has {', '.join(rows)}" if isinstance(rows, dict) else f"it is {type(rows).__name__}"
            raise UserError(f"{name}: `rows` is {path!r}, but there is no {part!r} ({held})")
        rows = rows[part]
    if not isinstance(rows, list):
        lists = [key for key, value in rows.items() if _is_table(value)] if isinstance(rows, dict) else []
        hint = f"; where its rows are is said by `rows: {lists[0]}`" if lists else ""
        raise UserError(f"{name}: holds {type(rows).__name__}, not a list of objects{hint}")
    for number, values in enumerate(rows, start=1):
        place = f"{name}, entry {number}"
        yield place, _named_fields(values, place)


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _parsed_json(text: str) -> object:
    """The value, with halves of surrogate pairs, which no table holds, replaced by U+FFFD."""
    value: object = json.loads(text, parse_float=WrittenNumber, object_pairs_hook=_once)
    return _whole(value) if "\\ud" in text or "\\uD" in text else value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _whole(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(one) for key, one in value.items()}
    return value


def _named_fields(values: object, place: str) -> dict[str, object]:
    if not isinstance(values, dict):
        raise UserError(f"{place}: holds {type(values).__name__}, not a JSON object with named fields")
    return values


def _read_csv(name: str, data: bytes) -> Iterator[Row]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 ({error}); save it as UTF-8") from error
    # The limit is the whole process's: it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        double = [one for one in reader.fieldnames or () if list(reader.fieldnames or ()).count(one) > 1]
        if double:
            raise UserError(f"{name}: two columns are called {double[0]!r}; give each its own name")
        for values in reader:
            place = f"{name}, line {reader.line_num}"
            if None in values:
                raise UserError(f"{place}: more values than the header has names; quote values with commas")
            # A short line leaves its last fields out; they are missing, not empty.
            yield place, {key: value for key, value in values.items() if value is not None}
    except csv.Error as error:
        raise UserError(f"{name}, line {reader.line_num + 1}: not valid CSV ({error})") from error


def _read_parquet(name: str, data: bytes) -> Iterator[Row]:
    try:
        table = pq.read_table(pa.BufferReader(data))
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{name}: cannot be read as Parquet ({error})") from error
    if len(set(table.column_names)) < table.num_columns:
        double = next(one for one in table.column_names if table.column_names.count(one) > 1)
        raise UserError(f"{name}: two columns are called {double!r}; give each its own name")
    number = 0
    for batch in table.to_batches(max_chunksize=1024):
        try:
            rows = batch.to_pylist()
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name}, rows {number + 1} to {number + batch.num_rows}: hold text that is not UTF-8 "
                f"({error}); write it as UTF-8"
            ) from error
        for values in rows:
            number += 1
            yield f"{name}, row {number}", values


_READERS: dict[str, Callable[[str, bytes], Iterator[Row]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
