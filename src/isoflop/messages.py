"""Faults of a config as lines for the person who wrote it: key, value, what is allowed."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_PATTERNS = {
    "^([0-9a-f]{40}|unpinned)$": "must be a commit: 40 hexadecimal digits (a branch or tag may move)",
    "^([0-9a-f]{64}|unpinned)$": "must be a SHA-256: 64 hexadecimal digits",
    "^[A-Za-z0-9][A-Za-z0-9._-]*$": (
        "becomes a file name: letters, digits, '.', '_' and '-', beginning with a letter or digit"
    ),
    r"^[A-Za-z0-9][A-Za-z0-9._-]*(/(\d+|\*))?(\+[a-z_]+){0,2}$": (
        "must be a generator, or one with what picks: generator+selector, generator+selector+aggregation"
    ),
    r"^[\w.-]+/[\w.-]+$": "must be a hub repository: owner/name",
    r"^[^./\\][^/\\]*[.]gguf$": "must be the name of a *.gguf file in the folder or repository itself",
    r"\.(jsonl|csv|parquet|eval)$": "must end in .jsonl, .csv, .parquet or .eval",
    r"^https?://[^\s@?#]+$": "must be an address http://… or https://…, without a key (see key_variable)",
    r"^https://[^\s@/?#]+/[^\s?#]*[^\s?#/]$": (
        "must be the address of a file, https://host/path, without a key or a query"
    ),
    r"\S": "must be more than spaces",
    "^[A-Z_][A-Z0-9_]*$": "must be the name of an environment variable, in capitals; that has the key",
}

_KEYS_NEAR = "server"  # under this key of the config people write keys, in whatever place


def suggest(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?` where a near match is allowed, else nothing."""
    near = get_close_matches(name, list(allowed), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def unknown_entry(place: str, name: str, section: str, entries: Collection[str]) -> str:
    """The fault of a name that is no entry of a section of the config."""
    allowed = ", ".join(entries) or "none"
    return f"{place}: {name!r} is not an entry of {section}{suggest(name, entries)} (allowed: {allowed})"


def repeated(place: str, values: Collection[object]) -> Iterator[str]:
    """The fault of every value that is there already."""
    seen: set[object] = set()
    for value in values:
        if value in seen:
            yield f"{place}: {value!r} is here twice"
        seen.add(value)


def describe_faults(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line per fault of a config that does not fit `model`."""
    return list(dict.fromkeys(_describe(detail, model) for detail in error.errors(include_url=False)))


def _describe(detail: ErrorDetails, model: type[BaseModel]) -> str:
    place, parent = _place(detail["loc"], model)
    context, value = detail.get("ctx", {}), detail["input"]
    if _KEYS_NEAR in detail["loc"] and not isinstance(value, int | float):
        value = _Hidden()
    match detail["type"]:
        case "extra_forbidden":
            allowed = list(parent.model_fields) if parent else []
            text = f"unknown key{_among(str(detail['loc'][-1]), allowed)}"
        case "missing":
            text = "this key is missing; it has no default"
        case "union_tag_not_found":
            text = f"the key {context['discriminator']} is missing; it says of which kind the entry is"
        case "union_tag_invalid":
            place += "." + str(context["discriminator"]).strip("'")
            tag = str(context["tag"])
            text = f"{tag!r} is not allowed{_among(tag, _quoted(context['expected_tags']))}"
        case "literal_error":
            text = f"{value!r} is not allowed{_among(str(value), _quoted(context['expected']))}"
        case "string_pattern_mismatch":
            text = f"{value!r} {_PATTERNS[str(context['pattern'])]}"
        case "value_error":
            text = str(context["error"])
        case _:
            wanted = detail["msg"].removeprefix("Input ").replace("valid string", "text")
            text = f"{_short(value)} is not allowed: {wanted.replace('should', 'must', 1)}"
    return f"{place}: {text}"


class _Hidden:
    """Stands for a value that may be, or hold, somebody's key."""

    def __repr__(self) -> str:
        return "what is there"


def _among(name: str, allowed: Sequence[str]) -> str:
    return f"{suggest(name, allowed)} (allowed: {', '.join(allowed)})"


def _quoted(listing: object) -> list[str]:
    """The names in pydantic's `'a', 'b' or 'c'`."""
    return re.findall(r"'([^']*)'", str(listing))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _place(loc: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, type[BaseModel] | None]:
    """The key path a person sees, and the model that holds its last key.

    Pydantic puts the tag of a union's member, and `[key]` for a fault in a name, into the path too.
    """
    current: Any = model
    parent: type[BaseModel] | None = None
    path = ""
    for part in loc:
        members = _tagged(current)
        if part in members:
            current = members[str(part)]
            continue
        if part == "[key]":
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
        parent = current if isinstance(current, type) and issubclass(current, BaseModel) else None
        current = _inside(current, part)
    return path or "config", parent


def _bare(annotation: Any) -> Any:
    """An annotation without Annotated and without `| None`."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return _bare(members[0])
    return annotation


def _tagged(annotation: Any) -> Mapping[str, type[BaseModel]]:
    """The members of a union of models, by every literal that tags them."""
    bare = _bare(annotation)
    if get_origin(bare) not in (Union, UnionType):
        return {}
    return {
        str(tag): member
        for member in get_args(bare)
        if isinstance(member, type) and issubclass(member, BaseModel)
        for field in member.model_fields.values()
        if get_origin(field.annotation) is Literal
        for tag in get_args(field.annotation)
    }


def _inside(annotation: Any, part: int | str) -> Any:
    """The annotation of what `part` leads to."""
    bare = _bare(annotation)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        field = bare.model_fields.get(str(part))
        return _bare(field.annotation) if field else None
    if get_origin(bare) is dict:
        return _bare(get_args(bare)[1])
    if get_origin(bare) is tuple:
        return _bare(get_args(bare)[0])
    return None
