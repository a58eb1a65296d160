"""Sums that a file carries in itself, so that readers notice every flipped bit and every cut.

A Parquet file has the SHA-256 of all its bytes in its own footer, the digits of the sum taken as zeros. Sums
of pages, which other readers can check, are written too, but cover neither the footer nor its statistics.
The metadata say twice that there is a sum: a file that lost one of the two is told from one of a former
version.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_MARK = (b"isoflop.sums", b"sha256")
_KEY = b"isoflop.sha256"
_ZEROS = b"0" * 64
# The key in the footer, followed by the header and the length (64) of a value in Thrift's compact protocol.
_PLACE = _KEY + b"\x18\x40"
JSON_KEY = "sha256"
_SUM = re.compile("[0-9a-f]{64}")


class Seal(Enum):
    """What a file's sum says about it."""

    WHOLE = "whole"
    DAMAGED = "damaged"
    ABSENT = "absent"  # written by a former version


def sealed_parquet(table: pa.Table) -> memoryview:
    """The table as a Parquet file with its sum; equal tables give equal bytes."""
    metadata = (table.schema.metadata or {}) | dict([_MARK])
    schema = table.schema.with_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, compression="zstd", write_page_checksum=True) as writer:
        writer.write_table(table.replace_schema_metadata(metadata))
        # Of the footer alone: the schema that Arrow keeps beside it would hold the sum a second time.
        writer.add_key_value_metadata({_KEY: _ZEROS})
    data = bytearray(sink.getvalue())
    start = data.rindex(_PLACE) + len(_PLACE)
    data[start : start + len(_ZEROS)] = hashlib.sha256(data).hexdigest().encode()
    return memoryview(data)


def parquet_seal(data: bytes) -> Seal:
    """Whether the bytes of a Parquet file are those that were written.

    A file whose footer cannot be found in it counts as one without a sum; Parquet itself refuses it.
    """
    start = data.rfind(_PLACE) + len(_PLACE)
    if start < len(_PLACE):
        return Seal.ABSENT
    end = start + len(_ZEROS)
    content = memoryview(data)
    digest = hashlib.sha256(content[:start])
    digest.update(_ZEROS)
    digest.update(content[end:])
    return Seal.WHOLE if content[start:end] == digest.hexdigest().encode() else Seal.DAMAGED


def without_sum(table: pa.Table) -> pa.Table:
    """The table without what says that it has a sum, which holds for its file alone."""
    kept = {key: value for key, value in (table.schema.metadata or {}).items() if key not in (_MARK[0], _KEY)}
    return table.replace_schema_metadata(kept or None)


def has_sum(schema: pa.Schema) -> bool:
    """Whether the metadata of a file say that it was written with a sum."""
    return _MARK[0] in (schema.metadata or {})


def sealed_json(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with the sum of what it says, however it is spaced or ordered."""
    return {**content, JSON_KEY: _json_sum(content)}


def json_seal(content: Mapping[str, Any]) -> Seal:
    """Whether the content of a JSON file is what was written."""
    if JSON_KEY not in content:
        # The sum under another name is a damaged name.
        sums = [value for value in content.values() if isinstance(value, str) and _SUM.fullmatch(value)]
        return Seal.DAMAGED if sums else Seal.ABSENT
    rest = {key: value for key, value in content.items() if key != JSON_KEY}
    return Seal.WHOLE if content[JSON_KEY] == _json_sum(rest) else Seal.DAMAGED


def _json_sum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
