"""Pydantic's errors as lines for the person who wrote the config: key, value, what is allowed."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_PATTERNS = {
    "^[0-9a-f]{40}$": "must be a commit: 40 hexadecimal digits (a branch or tag may move)",
    "^[0-9a-f]{64}$": "must be a SHA-256: 64 hexadecimal digits",
    "^[A-Za-z0-9][A-Za-z0-9._-]*$": (
        "becomes a file name: letters, digits, '.', '_' and '-', beginning with a letter or digit"
    ),
    r"^[\w.-]+/[\w.-]+$": "must be a hub repository: owner/name",
    r"\.(jsonl|csv|parquet)$": "must end in .jsonl, .csv or .parquet",
}


def suggest(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?` where a near match is allowed, else nothing."""
    near = get_close_matches(name, list(allowed), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def describe_faults(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line per fault of a config that does not fit `model`."""
    return list(dict.fromkeys(_describe(detail, model) for detail in error.errors(include_url=False)))


def _describe(detail: ErrorDetails, model: type[BaseModel]) -> str:
    place, parent = _place(detail["loc"], model)
    name = str(detail["loc"][-1]) if detail["loc"] else ""
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            allowed = list(parent.model_fields) if parent else []
            text = f"unknown key{suggest(name, allowed)} Allowed: {', '.join(allowed)}"
            return f"{place}: {text.replace('key Allowed', 'key; allowed').replace('? Allowed', '? Allowed')}"
        case "missing":
            return f"{place}: this key is missing; it has no default"
        case "union_tag_not_found":
            return f"{place}: the key {context['discriminator']} is missing; it says of which kind the entry is"
        case "union_tag_invalid":
            tag, tags = str(context["tag"]), str(context["expected_tags"])
            key = str(context["discriminator"]).strip("'")
            allowed = [part.strip("' ") for part in tags.split(",")]
            return f"{place}.{key}: {tag!r} is not allowed{suggest(tag, allowed)} (allowed: {', '.join(allowed)})"
        case "literal_error":
            expected = str(context["expected"]).replace(" or ", ", ")
            allowed = [part.strip("' ") for part in expected.split(",")]
            value = detail["input"]
            return f"{place}: {value!r} is not allowed{suggest(str(value), allowed)} (allowed: {', '.join(allowed)})"
        case "string_pattern_mismatch":
            return f"{place}: {detail['input']!r} {_PATTERNS[str(context['pattern'])]}"
        case "value_error":
            return f"{place}: {context['error']}"
    message = detail["msg"].removeprefix("Input ").replace("valid string", "text").replace("should", "must")
    return f"{place}: {_short(detail['input'])} is not allowed: {message}"


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
        for field in member.model_fields.values()
        for tag in get_args(field.annotation)
        if isinstance(tag, str)
    }


def _inside(annotation: Any, part: int | str) -> Any:
    """The annotation of what `part` leads to."""
    bare = _bare(annotation)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        field = bare.model_fields.get(str(part))
        return _bare(field.annotation) if field else None
    if get_origin(bare) is dict:
        return _keep_union(get_args(bare)[1])
    if get_origin(bare) is tuple:
        return _keep_union(get_args(bare)[0])
    return None


def _keep_union(annotation: Any) -> Any:
    return _bare(annotation)
