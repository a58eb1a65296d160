"""Logs of inspect_ai: files as headers and samples, whatever they are packed in.

A log is an `.eval` archive, a `.json` file, or what its viewer publishes: a folder with `header.json` and
`summaries.json`, in which texts are cut. inspect_ai reads the first two where it is installed
(`pip install inspect-ai`), which knows older versions of the format too; else they are read here.
"""

import importlib.util
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa

from isoflop.data.rows import Row
from isoflop.data.solutions import mapping
from isoflop.data.sources import read_file
from isoflop.errors import UserError

HEADER, SUMMARIES = "header.json", "summaries.json"
# What an archive may hold: a small one can be made to fill any memory.
_MOST_MEMBERS = 200_000
_MOST_UNPACKED = 2**28  # bytes of a member
_MOST_IN_ALL = 2**33
_ZSTANDARD = 93
_LOCAL_HEADER = 30  # bytes before the name of a member
_ATTACHMENT = "attachment://"
# Parts of a message that are not said to anybody.
_UNSAID = ("reasoning", "tool_use", "data")
# Of a sample, what is read here; its events and messages may be a thousand times as much.
_READ = (
    "id", "epoch", "input", "target", "output", "scores", "model_usage", "total_time", "working_time", "uuid",
    "error", "limit", "invalidation",
)  # fmt: skip
_WITH_TEXTS = ("input", "output", "scores")


@dataclass(frozen=True)
class EvalLog:
    """One log. `name`: what messages call it; `header`: all but its samples; `samples`: each with its place.

    `summaries`: whether the samples are summaries: their texts may be cut, and what the model wrote is there
    only as far as a scorer repeats it.
    """

    name: str
    header: Mapping[str, object]
    samples: Iterable[Row]
    summaries: bool


def read_logs(files: Iterable[tuple[str, Path]]) -> Iterator[EvalLog]:
    """The logs that files are, in the order in which each is complete. `files`: name and path of each.

    A `header.json` and the `summaries.json` of the same folder are one log. Raises UserError naming the file
    that is no log, is damaged, larger unpacked than a log may be, or lacks its other half.
    """
    halves: dict[str, dict[str, tuple[str, Path]]] = {}
    for name, path in files:
        file = PurePosixPath(name.replace("\\", "/"))
        if file.name in (HEADER, SUMMARIES):
            half = halves.setdefault(str(file.parent), {})
            if file.name in half:
                raise UserError(f"{name}: is given twice")
            half[file.name] = (name, path)
            if len(half) == len((HEADER, SUMMARIES)):
                yield _published(half[HEADER], half[SUMMARIES])
        elif file.suffix == ".eval":
            yield _with_library(name, path) or _archive(name, path)
        elif file.suffix == ".json":
            yield _with_library(name, path) or _whole(name, _json(name, read_file(path)))
        else:
            raise UserError(
                f"{name}: is no log of inspect_ai; give .eval or .json files, or {HEADER} and {SUMMARIES}"
            )
    for half in halves.values():
        if len(half) == 1:
            [(kind, (name, _))] = half.items()
            other = SUMMARIES if kind == HEADER else HEADER
            raise UserError(f"{name}: is half of a log; list the {other} of the same folder beside it")


def problem_rows(name: str, data: bytes) -> Iterator[Row]:
    """The samples of an `.eval` file as rows of a data set, with `id`, `epoch`, `input` and `target`.

    Raises UserError as `read_logs` does.
    """
    for place, sample in _members(name, zip_members(name, data)).samples:
        yield place, {**sample, "input": asked(sample.get("input"), place)}


def asked(value: object, place: str) -> str:
    """The text of an input: itself, or what the user says in a list of messages.

    Raises UserError for messages that are not texts.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise UserError(f"{place}: input is {type(value).__name__}; a text or messages are needed")
    messages = [mapping(one, f"{place}, input") for one in value]
    return "\n".join(
        said(one.get("content"), f"{place}, input") for one in messages if one.get("role") == "user"
    )


def said(content: object, place: str) -> str:
    """The text of a message's content, without what the model thought before it.

    Raises UserError for content that holds something else, such as an image.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise UserError(f"{place}: content is {type(content).__name__}; a text is needed")
    texts = []
    for part in content:
        fields = mapping(part, place)
        kind = fields.get("type")
        if kind == "text" and isinstance(fields.get("text"), str):
            texts.append(str(fields["text"]))
        elif kind not in _UNSAID:
            raise UserError(f"{place}: holds a part of type {kind!r:.40}; only texts can be read")
    return "".join(texts)


def _published(header: tuple[str, Path], summaries: tuple[str, Path]) -> EvalLog:
    content = _json(summaries[0], read_file(summaries[1]))
    if not isinstance(content, list):
        raise UserError(f"{summaries[0]}: holds {type(content).__name__}; a list of samples is needed")
    rows = _rows(summaries[0], content)
    return EvalLog(summaries[0], _header(header[0], _json(header[0], read_file(header[1]))), rows, True)


def _whole(name: str, content: object) -> EvalLog:
    header = _header(name, content)
    samples = header.get("samples")
    if not isinstance(samples, list):
        raise UserError(f"{name}: holds no list of samples; write the log with --log-samples")
    kept = {key: value for key, value in header.items() if key != "samples"}
    return EvalLog(name, kept, _rows(name, samples), False)


def _rows(name: str, samples: list[object]) -> list[Row]:
    rows = ((f"{name}, sample {number}", one) for number, one in enumerate(samples, start=1))
    return [(place, _sample(one, place)) for place, one in rows]


def _header(name: str, content: object) -> Mapping[str, object]:
    header = mapping(content, name)
    if not isinstance(header.get("eval"), dict) or "status" not in header:
        raise UserError(f"{name}: has no `eval` and `status`, so it is no log of inspect_ai")
    return header


def _archive(name: str, path: Path) -> EvalLog:
    return _members(name, zip_members(name, read_file(path)))


def _members(name: str, members: Iterable[tuple[str, bytes]]) -> EvalLog:
    header: Mapping[str, object] | None = None
    rows: list[Row] = []
    for member, data in members:
        if member == HEADER:
            header = _header(f"{name}, {member}", _json(f"{name}, {member}", data))
        elif member.startswith("samples/") and member.endswith(".json"):
            place = f"{name}, {member}"
            rows.append((place, _sample(_json(place, data), place)))
    if header is None:
        raise UserError(f"{name}: has no {HEADER}: its run has not ended, or it is no log of inspect_ai")
    return EvalLog(name, header, rows, False)


def zip_members(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """The files of an archive that a log is made of, within the limits of their number and size.

    Raises UserError naming the member that is damaged, encrypted, there twice, or too large, whatever size
    the archive claims.
    """
    source = pa.BufferReader(data)
    left = _MOST_IN_ALL
    try:
        with zipfile.ZipFile(source) as archive:
            infos = archive.infolist()
            if len(infos) > _MOST_MEMBERS:
                raise UserError(f"{name}: holds {len(infos):,} files, more than {_MOST_MEMBERS:,}; split it")
            if len({info.filename for info in infos}) < len(infos):
                raise UserError(f"{name}: holds two files of one name; it is damaged, get it again")
            for info in infos:
                if info.filename != HEADER and not info.filename.startswith("samples/"):
                    continue
                content = _unpacked(f"{name}, {info.filename}", archive, info, data)
                left -= len(content)
                if left < 0:
                    raise UserError(f"{name}: holds more than {_MOST_IN_ALL:,} bytes; split it")
                yield info.filename, content
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, pa.ArrowException) as error:
        raise UserError(f"{name}: cannot be unpacked ({error}); get the file again") from error


def _unpacked(place: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, data: bytes) -> bytes:
    """A member's content, no more than a member may hold."""
    if info.flag_bits & 1:
        raise UserError(f"{place}: is encrypted")
    if info.compress_type == _ZSTANDARD:
        content = _zstandard(place, info, data)
    elif info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with archive.open(info) as file:
            content = file.read(_MOST_UNPACKED + 1)
    else:
        raise UserError(
            f"{place}: is packed by a method that is not known here ({info.compress_type}); "
            "install inspect-ai, or convert the log (`inspect log convert`)"
        )
    if len(content) > _MOST_UNPACKED:
        raise UserError(f"{place}: holds more than {_MOST_UNPACKED:,} bytes unpacked; leave its events out")
    return content


def _zstandard(place: str, info: zipfile.ZipInfo, data: bytes) -> bytes:
    """A member that zipfile cannot unpack, but whose place in the archive it knows."""
    at = info.header_offset
    lengths = data[at + 26 : at + _LOCAL_HEADER]
    begin = at + _LOCAL_HEADER + sum(int.from_bytes(part, "little") for part in (lengths[:2], lengths[2:]))
    packed = data[begin : begin + info.compress_size]
    pieces, size = [], 0
    with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
        while size <= _MOST_UNPACKED and (piece := stream.read(2**20)):
            pieces.append(piece)
            size += len(piece)
    content = b"".join(pieces)
    if size <= _MOST_UNPACKED and zlib.crc32(content) != info.CRC:
        raise UserError(f"{place}: its checksum is another; get the file again")
    return content


def _with_library(name: str, path: Path) -> EvalLog | None:
    """The log as inspect_ai reads it; None where it is not installed."""
    if importlib.util.find_spec("inspect_ai") is None:
        return None
    if path.suffix == ".eval":
        # It unpacks whatever there is: what would fill the memory is refused before.
        for _ in zip_members(name, read_file(path)):
            pass
    from inspect_ai.log import read_eval_log  # noqa: PLC0415

    try:
        log = read_eval_log(str(path), resolve_attachments="full")
        content = json.loads(log.model_dump_json(exclude_none=True))
    except Exception as error:  # the library and its validation raise many kinds
        reason = str(error).strip().split("\n", 1)[0]
        raise UserError(f"{name}: inspect_ai cannot read it ({reason:.200}); get the file again") from error
    return _whole(name, content)


def _sample(value: object, place: str) -> Mapping[str, object]:
    """What is read of a sample, with the texts that the log keeps apart as attachments."""
    sample = mapping(value, place)
    attachments = sample.get("attachments")
    kept = {key: sample[key] for key in _READ if key in sample}
    if isinstance(attachments, dict):
        kept |= {key: _resolved(kept[key], attachments) for key in _WITH_TEXTS if key in kept}
    return kept


def _resolved(value: object, attachments: Mapping[str, object]) -> object:
    if isinstance(value, str) and value.startswith(_ATTACHMENT):
        return attachments.get(value.removeprefix(_ATTACHMENT), value)
    if isinstance(value, list):
        return [_resolved(one, attachments) for one in value]
    if isinstance(value, dict):
        return {key: _resolved(one, attachments) for key, one in value.items()}
    return value


def _json(place: str, data: bytes) -> object:
    """The value, with halves of surrogate pairs, which no table holds, replaced by U+FFFD."""
    try:
        text = data.decode("utf-8-sig")
        value: object = json.loads(text)
        if "\\ud" in text or "\\uD" in text:
            whole = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
            value = json.loads(whole.decode("utf-16-le", "replace"))
    except (ValueError, RecursionError) as error:  # also of the decoding
        raise UserError(f"{place}: not valid JSON ({error})") from error
    return value
