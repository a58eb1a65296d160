"""Config files: YAML without its surprises, merged key by key, checked whole.

`load_config` is the only reader of config files: every fault is reported at once, each with its key, its
value and what is allowed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from isoflop.config.checks import check_config
from isoflop.config.study import Config
from isoflop.errors import UserError
from isoflop.messages import describe_faults


def load_config(
    paths: Sequence[str | Path],
    overrides: Mapping[str, Any] | None = None,
    root: str | Path = ".",
    *,
    unpinned: bool = False,
) -> Config:
    """Read and merge the files (later ones win), apply `overrides`, check everything.

    Folders and files that the config names are looked for under `root`. `unpinned`: let revisions and sums
    be missing that `isoflop.config.pin` would ask the hub for.
    Raises UserError with every fault found.
    """
    raw: dict[str, Any] = {}
    sources = [str(_from_here(Path(path))) for path in paths]
    for path in sources:
        raw = merge(raw, read_yaml(Path(path)))
    if overrides:
        raw = merge(raw, read_overrides(overrides))
        sources.append("--config")
    return build_config(raw, ", ".join(sources), Path(root), unpinned=unpinned)


def default_config(source: Path) -> Path:
    """The config file where none is named: in the working directory, or else the one beside the Snakefile."""
    places = (Path("config.yaml"), Path("config/config.yaml"), source / "config.yaml")
    return next((path for path in places if path.is_file()), places[0])


def load_given(
    given: Mapping[str, Any],
    files: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
    root: str | Path = ".",
    *,
    unpinned: bool = False,
) -> Config:
    """The config that a workflow gives to this one as its module, checked as `load_config` does.

    `files` and `overrides` are what the workflow itself has read. Where they are what is given, they are read
    again, so that faults have their lines. Raises UserError with every fault found.
    """
    overrides = {key: value for key, value in (overrides or {}).items() if key in given}
    raw = merge(_plain(given), read_overrides(overrides))
    if files and merge(_loosely_read(files), read_overrides(overrides)) == raw:
        return load_config(files, overrides, root, unpinned=unpinned)
    return build_config(raw, "config of the module", Path(root), unpinned=unpinned)


def build_config(raw: Mapping[str, Any], source: str, root: Path, *, unpinned: bool = False) -> Config:
    """A checked config from plain data; `source` begins the message. Raises UserError."""
    try:
        # Through JSON, where strict mode takes lists for tuples but never "3" or true for 3.
        text = json.dumps(raw, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{source}: holds what no config does ({error})") from error
    try:
        config = Config.model_validate_json(text)
    except ValidationError as error:
        faults = describe_faults(error, Config)
    else:
        faults = check_config(config, root, let_unpinned=unpinned)
        if not faults:
            return config
    lines = "\n".join(f"  {fault}" for fault in faults)
    noun = "fault" if len(faults) == 1 else "faults"
    raise UserError(f"{source}: {len(faults)} {noun} in the config\n{lines}")


def _from_here(path: Path) -> Path:
    """A path as one would type it: relative where it lies under the working directory."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


_MOST_BYTES = 2**22  # of a config
_MOST_NODES = 200_000  # of a config once its aliases are written out
_DEEPEST = 60  # lists and mappings inside each other
_KINDS = {
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map", "merge")
}


class _Loader(yaml.SafeLoader):
    """YAML in which a key appears once, dates stay text and 1e-3 is a number; and not more than that."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > _DEEPEST:
            problem = f"more than {_DEEPEST} lists and mappings inside each other"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.get_mark())
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and node.tag not in _KINDS:
            raise _fault(node, f"{node.tag} is no part of a config: it holds texts, numbers, lists, mappings")
        return node

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None and _written_out(node, {}) > _MOST_NODES:
            raise _fault(node, f"aliases (*name) make more than {_MOST_NODES:,} values of it")
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise _fault(node, f"{str(node.value)[:60]!r} is no {node.tag.rpartition(':')[2]}") from error

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag != "tag:yaml.org,2002:str":
                shown = repr(key.value)[:60] if isinstance(key, yaml.ScalarNode) else "of several parts"
                raise _fault(key, f"key {shown} is not text; write it in quotes")
            if key.value in seen:
                raise _fault(key, f"key {key.value[:60]!r} is here twice (first in line {seen[key.value]})")
            seen[key.value] = key.start_mark.line + 1
        return node


def _written_out(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values there are in a node, those behind aliases counted each time; infinite in a circle."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = float("inf")  # while it is open
        parts = [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]
        known[id(node)] = 1 + sum(_written_out(part, known) for part in parts)
    return known[id(node)]


def _fault(node: yaml.Node, message: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=message, problem_mark=node.start_mark)


# Numbers that YAML 1.1 takes for text.
_EXPONENT = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+")

_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?$"),
    list("-+0123456789."),
)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; errors call the file by its path from here.

    Raises UserError naming the file and the line: unreadable, not YAML, a key twice, not a mapping.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise UserError(f"{path}: is larger than {_MOST_BYTES:,} bytes; no config is")
        text = data.decode("utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from error
    except ValueError as error:  # a null byte in its name
        raise UserError(f"{str(path)!r}: cannot be read ({error})") from error
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(f"{path}{place}: {error.problem or error.context}") from error
    # Also of numbers with thousands of digits, and of what is nested too deeply.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not YAML that can be read ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        found = "empty" if content is None else f"a {type(content).__name__}"
        raise UserError(f"{path}: is {found}; a config is a mapping of keys to values")
    return content


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` merged in: mappings key by key, everything else replaced."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _loosely_read(files: Sequence[str | Path]) -> dict[str, Any]:
    """What Snakemake makes of config files."""
    raw: dict[str, Any] = {}
    for path in files:
        raw = merge(raw, yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {})
    return {key: _plain(value) for key, value in raw.items()}


def _plain(value: Any) -> Any:
    """A value that Snakemake has read, as a config file has it: days are text, 1e-3 is a number."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def read_overrides(values: Mapping[str, Any]) -> dict[str, Any]:
    """What `--config` gave, each text in it read as a config file would read it: `null`, `3`, `1e-3`."""
    return {key: _read_text(value) for key, value in values.items()}


def _read_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return read_overrides(value)
    if isinstance(value, list):
        return [_read_text(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        content = yaml.load(value, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return value
    return value if isinstance(content, dict | list) else content
