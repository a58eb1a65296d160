"""Damaged and hostile GGUF files: each is refused in one line, soon."""

import random
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from isoflop.checkpoint_files.gguf_header import read_gguf_header
from isoflop.errors import UserError


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def tensor(name: str, shape: tuple[int, ...], offset: int, kind: int = 0) -> bytes:
    sizes = struct.pack(f"<{len(shape)}Q", *shape)
    return text(name) + struct.pack("<I", len(shape)) + sizes + struct.pack("<IQ", kind, offset)


KEYS = [
    key("general.architecture", 8, text("llama")),
    key("llama.block_count", 4, struct.pack("<I", 2)),
    key("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + text("a") + text("ки")),
    key("tokenizer.ggml.scores", 9, struct.pack("<IQ", 6, 3) + bytes(12)),
]
TENSORS = [tensor("token_embd.weight", (4, 2), 0), tensor("output.weight", (32,), 32, kind=2)]


def built(
    keys: list[bytes] = KEYS, tensors: list[bytes] = TENSORS, counts: tuple[int, int] | None = None,
    version: int = 3, data: bytes = bytes(32 + 18),
) -> bytes:  # fmt: skip
    told = (len(tensors), len(keys)) if counts is None else counts
    head = b"GGUF" + struct.pack("<IQQ", version, *told) + b"".join(keys) + b"".join(tensors)
    return head + bytes(-len(head) % 32) + data


BAD: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "magic": lambda: b"GGML" + built()[4:],
    "version": lambda: built(version=1),
    "big-endian": lambda: built(version=3 << 24),
    "huge number of keys": lambda: built(counts=(2, 2**62)),
    "huge number of tensors": lambda: built(counts=(2**62, 4)),
    "one key more": lambda: built(counts=(2, 5)),
    "huge text": lambda: built([key("a", 8, struct.pack("<Q", 2**63))]),
    "huge array": lambda: built([key("a", 9, struct.pack("<IQ", 8, 2**61))]),
    "huge array of numbers": lambda: built([key("a", 9, struct.pack("<IQ", 11, 2**60))]),
    "array of nothing": lambda: built([key("a", 9, struct.pack("<IQ", 99, 1))]),
    "deep array": lambda: built([key("a", 9, struct.pack("<IQ", 9, 1) * 50)]),
    "unknown type": lambda: built([key("a", 77, b"")]),
    "key twice": lambda: built([KEYS[0], KEYS[0]]),
    "tensor twice": lambda: built(tensors=[TENSORS[0], TENSORS[0]]),
    "a hundred dimensions": lambda: built(tensors=[tensor("a", (1,) * 100, 0)]),
    "huge tensor": lambda: built(tensors=[tensor("a", (2**40, 2**40), 0)]),
    "tensor outside": lambda: built(tensors=[tensor("a", (4,), 2**40)]),
    "tensors that overlap": lambda: built(tensors=[TENSORS[0], tensor("b", (4,), 8)]),
    "alignment of nothing": lambda: built([key("general.alignment", 4, bytes(4))]),
    "cut data": lambda: built()[:-1],
    "cut header": lambda: built()[:100],
}


def test_a_whole_file_is_described(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(built())
    found = read_gguf_header(path)
    assert found.metadata == {
        "general.architecture": "llama",
        "llama.block_count": 2,
        "tokenizer.ggml.tokens": 2,
        "tokenizer.ggml.scores": 3,
    }
    assert found.tensors == {"token_embd.weight": (4, 2), "output.weight": (32,)}


@pytest.mark.parametrize("case", BAD)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(BAD[case]())
    with pytest.raises(UserError, match=r"is damaged or no GGUF file \(.*\); download it again") as caught:
        read_gguf_header(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_every_cut_is_noticed_and_no_flipped_bit_raises_anything_else(tmp_path: Path) -> None:
    whole, path = built(), tmp_path / "a.gguf"
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(UserError):
            read_gguf_header(path)
    draw = random.Random(1)
    for _ in range(500):
        changed = bytearray(whole)
        changed[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        with suppress(UserError):
            read_gguf_header(path)
