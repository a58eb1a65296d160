"""Headers of GGUF files, read with limits: a file from anywhere is described, or refused in one line.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from isoflop.errors import UserError

_MAGIC, _VERSIONS = b"GGUF", (2, 3)
_STRING, _ARRAY = 8, 9
# Of values of one size, by the number of their type.
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
# Numbers and bytes of a block, by the number of the tensor's type; others take a bit a number at least.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 24: (1, 1), 25: (1, 2), 26: (1, 4),
    27: (1, 8), 28: (1, 8), 30: (1, 2),
}  # fmt: skip
_MOST_DIMENSIONS, _DEEPEST, _LONGEST_NAME = 8, 4, 65_535
_USUAL_ALIGNMENT = 32


@dataclass(frozen=True)
class GgufHeader:
    """Metadata by key, of arrays only the number of entries, and the shape of every tensor by name."""

    metadata: dict[str, Any]
    tensors: dict[str, tuple[int, ...]]


class _Reader:
    """Values one after the other; what would lie behind the end raises struct.error."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.place = data, 0

    def number(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self.data, self.place)
        self.place += struct.calcsize(form)
        return value

    def skip(self, length: int) -> int:
        """Step over so many bytes; returns where they began."""
        begin = self.place
        if length > len(self.data) - begin:
            raise struct.error("it ends too early")
        self.place += length
        return begin

    def text(self) -> str:
        begin = self.skip(self.number("<Q"))
        return self.data[begin : self.place].decode("utf-8", errors="replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY or depth == _DEEPEST:
            raise ValueError(f"value of unknown type {kind}")
        inner, count = self.number("<I"), self.number("<Q")
        if inner in _SCALARS:
            self.skip(count * struct.calcsize(_SCALARS[inner]))
            return count
        self._fits(count)
        for _ in range(count):
            if inner == _STRING:
                self.skip(self.number("<Q"))
            else:
                self.value(inner, depth + 1)
        return count

    def times(self, count: int, read: Callable[[], None]) -> None:
        """Read so many entries, each of some bytes."""
        self._fits(count)
        for _ in range(count):
            read()

    def _fits(self, count: int) -> None:
        """Every entry takes a length of 8 bytes at least."""
        if count * 8 > len(self.data) - self.place:
            raise ValueError(f"it says it has {count:,} entries")


def read_gguf_header(path: Path) -> GgufHeader:
    """What a GGUF file says of itself. Raises UserError where it is damaged, cut off or no such file."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _header(_Reader(data))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (struct.error, ValueError, OverflowError) as error:
        # An empty file cannot be mapped, which is a ValueError too.
        reason = "it ends too early" if isinstance(error, struct.error) else error
        raise UserError(f"{path}: is damaged or no GGUF file ({reason}); download it again") from error


def _header(reader: _Reader) -> GgufHeader:
    if reader.data[: len(_MAGIC)] != _MAGIC:
        raise ValueError("it does not begin with GGUF")
    reader.skip(len(_MAGIC))
    version, tensor_count, key_count = (reader.number(form) for form in ("<I", "<Q", "<Q"))
    if version not in _VERSIONS:
        raise ValueError(f"version {version}; 2 and 3 can be read")
    metadata: dict[str, Any] = {}

    def read_key() -> None:
        key = reader.text()
        if key in metadata:
            raise ValueError(f"key {key[:80]!r} is there twice")
        metadata[key] = reader.value(reader.number("<I"))

    reader.times(key_count, read_key)
    shapes: dict[str, tuple[int, ...]] = {}
    data: dict[str, tuple[int, int]] = {}

    def read_tensor() -> None:
        name = reader.text()
        if name in shapes or len(name) > _LONGEST_NAME:
            raise ValueError(f"tensor {name[:80]!r} is there twice or has too long a name")
        dimensions = reader.number("<I")
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError(f"tensor {name[:80]!r} has {dimensions} dimensions")
        shapes[name] = tuple(reader.number("<Q") for _ in range(dimensions))
        block, size = _BLOCKS.get(reader.number("<I"), (8, 1))
        data[name] = reader.number("<Q"), -(-prod(shapes[name]) // block) * size

    reader.times(tensor_count, read_tensor)
    alignment = metadata.get("general.alignment", _USUAL_ALIGNMENT)
    if type(alignment) is not int or not 0 < alignment <= 2**20:
        raise ValueError(f"alignment {alignment!r}")
    begin = -(-reader.place // alignment) * alignment
    _check_data(data, len(reader.data) - begin)
    return GgufHeader(metadata, shapes)


def _check_data(data: dict[str, tuple[int, int]], size: int) -> None:
    """Every tensor's bytes are in the file, and no other tensor's. `data`: where they begin, and how many."""
    ordered = sorted(data.items(), key=lambda item: item[1])
    begins = [begin for _, (begin, _) in ordered[1:]]
    for (name, (begin, length)), following in zip(ordered, [*begins, size], strict=True):
        if begin + length > following:
            raise ValueError(f"tensor {name[:80]!r} has fewer bytes than its shape needs")
