"""Where two configs differ, key by key, and a config with some keys as they are in the other."""

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from isoflop.config.study import Config

_ABSENT = "(absent)"
# Entries that differ in one of these are of different kinds: they have no keys in common.
_KINDS = ("kind", "source")
_LONGEST = 60


class Difference(NamedTuple):
    """A key that differs: the path to it, and what it is in both configs, as a person would write it."""

    path: tuple[str, ...]
    before: str
    after: str

    def __str__(self) -> str:
        """`generators.sampling.temperature 1.0 -> 0.7`, or `policies.large added`."""
        key = ".".join(self.path)
        if self.before == _ABSENT:
            return f"{key} added"
        return f"{key} removed" if self.after == _ABSENT else f"{key} {self.before} -> {self.after}"


def differences(before: Config, after: Config) -> list[Difference]:
    """Every key that differs, defaults being what they are; lists and entries of other kinds as a whole."""
    return list(_differences(before.model_dump(mode="json"), after.model_dump(mode="json"), ()))


def _differences(before: Any, after: Any, path: tuple[str, ...]) -> Iterable[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping) and _same_kind(before, after):
        for key in dict.fromkeys([*before, *after]):
            yield from _differences(before.get(key, _ABSENT), after.get(key, _ABSENT), (*path, key))
        if before.keys() == after.keys() and list(before) != list(after):
            yield Difference(path, ", ".join(before), ", ".join(after))
    elif before != after:
        yield Difference(path, _short(before), _short(after))


def _same_kind(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return all(before.get(key) == after.get(key) for key in _KINDS)


def _short(value: Any) -> str:
    """A value as one line of YAML's flow style, without what is too long to read."""
    if value is None:
        return "null"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False).replace('"', "")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def with_keys_of(raw: Mapping[str, Any], after: Config, paths: Iterable[tuple[str, ...]]) -> dict[str, Any]:
    """The plain data of a config, without defaults, with the keys at `paths` as they are in `after`."""
    changed = copy.deepcopy(dict(raw))
    source = plain(after)
    for path in paths:
        *parents, key = path
        place, found = changed, source
        for parent in parents:
            place = place.setdefault(parent, {})
            found = found.get(parent, {})
        # What the other leaves out is its default, or an entry that it does not have.
        if key in found:
            place[key] = found[key]
        else:
            place.pop(key, None)
        # Policies are shown in their order.
        for name in [name for name in found if name in place]:
            place[name] = place.pop(name)
    return changed


def plain(config: Config) -> dict[str, Any]:
    """A config as plain data, without defaults."""
    return config.model_dump(mode="json", exclude_defaults=True)
