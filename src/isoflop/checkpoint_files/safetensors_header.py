"""Headers of safetensors files, read with limits: any file is described, or refused in one line."""

import json
from collections import Counter
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from isoflop.errors import UserError

# What the library itself takes at most.
_LONGEST_HEADER = 100_000_000
_METADATA = "__metadata__"
# Bits per number; the library adds kinds, whose sizes are then not compared.
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
}  # fmt: skip


class TensorEntry(NamedTuple):
    """What a header says of a tensor: kind of number, shape, and its bytes in the data after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(path: Path) -> dict[str, TensorEntry]:
    """The tensors of a safetensors file by name, in the order of their bytes.

    Raises UserError in one line where the file is cut off, is no safetensors file, has a header beyond the
    format's limit, a name twice, or tensors that overlap, leave gaps or do not have the bytes of their shape.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                raise _fault(path, f"is cut off or no safetensors file: it has {size:,} bytes")
            if length > _LONGEST_HEADER:
                raise _fault(path, f"has a header of {length:,} bytes, and {_LONGEST_HEADER:,} are allowed")
            text = file.read(length)
    except OSError as error:
        raise _fault(path, f"cannot be read ({error.strerror})") from error
    try:
        content = json.loads(text, object_pairs_hook=_once)
        entries = {name: _entry(value) for name, value in content.items() if name != _METADATA}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _fault(path, f"has no readable header ({_first_line(error)})") from error
    ordered = sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end))
    place = 0
    for name, entry in ordered:
        if entry.begin != place:
            how = "overlaps the one before it" if entry.begin < place else "leaves a gap before it"
            raise _fault(path, f"tensor {name[:80]!r} {how}")
        bits = _BITS.get(entry.dtype)
        if bits is not None and prod(entry.shape) * bits != (entry.end - entry.begin) * 8:
            shape = list(entry.shape)
            raise _fault(path, f"tensor {name[:80]!r} has not the bytes of {entry.dtype} {shape}")
        place = entry.end
    if 8 + length + place != size:
        raise _fault(path, f"should have {8 + length + place:,} bytes and has {size:,}")
    return dict(ordered)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    counts = Counter(name for name, _ in pairs)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"{twice[:80]!r} is there twice")
    return dict(pairs)


def _entry(value: Any) -> TensorEntry:
    begin, end = value["data_offsets"]
    numbers = [begin, end, *value["shape"]]
    if not all(type(number) is int and 0 <= number < 2**63 for number in numbers) or end < begin:
        raise ValueError("a shape or an offset is no number of bytes or entries")
    return TensorEntry(str(value["dtype"]), tuple(value["shape"]), begin, end)


def _fault(path: Path, what: str) -> UserError:
    return UserError(f"{path}: {what}; copy or download it again")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
