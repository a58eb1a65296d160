"""Damaged and hostile safetensors files: each is refused in one line that says what is wrong."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load, save

from isoflop.checkpoint_files.safetensors_header import TensorEntry, read_header
from isoflop.errors import UserError

TENSORS = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, dtype=np.float16)}
WHOLE = save(TENSORS, {"format": "pt"})


def built(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def one(**changed: Any) -> bytes:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changed
    return built({"a": entry}, bytes(8))


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is cut off or no safetensors file"),
    "seven bytes": (lambda: WHOLE[:7], "is cut off or no safetensors file"),
    "cut header": (lambda: WHOLE[:60], "is cut off or no safetensors file"),
    "cut data": (lambda: WHOLE[:-1], "should have"),
    "more data": (lambda: WHOLE + b"0", "should have"),
    "huge header": (lambda: built({}, length=2**63), "is cut off or no safetensors file"),
    "text": (lambda: b"not a model at all, just text", "is cut off or no safetensors file"),
    "no JSON": (lambda: built(b"{]"), "has no readable header"),
    "no UTF-8": (lambda: built(b'{"\xff": 1}'), "has no readable header"),
    "a list": (lambda: built([]), "has no readable header"),
    "deep": (lambda: built(b"[" * 100_000), "has no readable header"),
    "name twice": (lambda: built(b'{"a": 1, "a": 2}'), "'a' is there twice"),
    "no offsets": (lambda: built({"a": {"dtype": "F32", "shape": [2]}}), "has no readable header"),
    "negative": (lambda: one(data_offsets=[-8, 0]), "has no readable header"),
    "backwards": (lambda: one(data_offsets=[8, 0]), "has no readable header"),
    "true": (lambda: one(shape=[True]), "has no readable header"),
    "gap": (lambda: one(data_offsets=[4, 12]), "tensor 'a' leaves a gap before it"),
    "shape": (lambda: one(shape=[3]), r"tensor 'a' has not the bytes of F32 \[3\]"),
    "huge shape": (lambda: one(shape=[2**62, 2**62]), "tensor 'a' has not the bytes"),
    "overlap": (
        lambda: built(
            {
                "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
            },
            bytes(12),
        ),
        "tensor 'b' overlaps the one before it",
    ),
}


def test_a_whole_file_is_described(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(WHOLE)
    found = read_header(path)
    assert {name: (entry.dtype, entry.shape) for name, entry in found.items()} == {
        "a.weight": ("F32", (2, 3)),
        "b": ("F16", (4,)),
    }
    assert sum(entry.end - entry.begin for entry in found.values()) == 32
    path.write_bytes(built({}))
    assert read_header(path) == dict[str, TensorEntry]()


@pytest.mark.parametrize("case", BAD)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    content, says = BAD[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content())
    with pytest.raises(UserError, match=says) as caught:
        read_header(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message


def test_every_cut_is_noticed_and_headers_that_pass_are_the_librarys(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for end in range(len(WHOLE)):
        path.write_bytes(WHOLE[:end])
        with pytest.raises(UserError):
            read_header(path)
    header = 8 + int.from_bytes(WHOLE[:8], "little")
    draw = random.Random(1)
    for _ in range(300):
        place = draw.randrange(header)
        changed = bytearray(WHOLE)
        changed[place] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        try:
            found = read_header(path)
        except UserError:
            continue
        try:
            loaded = load(bytes(changed))
        except SafetensorError:
            continue  # a kind of number that there is not
        assert {name: entry.shape for name, entry in found.items()} == {
            name: values.shape for name, values in loaded.items()
        }
