"""The config's JSON schema and reference page, both written from the typed model."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isoflop.config.study import Config
from isoflop.files import write_text

SCHEMA_FILE = "config.schema.json"
PAGE_FILE = "config.md"
FOLDER = Path("docs/reference")

Schema = dict[str, Any]

_INTRODUCTION = """\
<!-- Written by `isoflop docs`; edit the docstrings of src/isoflop/config/*.py instead, those of searches and
verifiers in src/isoflop/search/algorithms/ and src/isoflop/verifiers/kinds/. -->
# Configuration

`config.yaml` is the default experiment; `snakemake --configfile configs/x.yaml` runs another one in its
stead, and `--config key=value` changes a key (`--config 'bootstrap={draws: 200}'` a nested one). Several
files are merged key by key, and later ones win. Unknown keys are refused, values are not converted, and
every fault is reported at once with its key.

What is in a specification decides what reruns: changing a key repeats the jobs whose result it changes and
what follows from them, and nothing else. Changing `engine_settings` repeats nothing.

Editors complete and check the file with the first line
`# yaml-language-server: $schema=docs/reference/config.schema.json`.
"""
_PATTERNS = {
    "^([0-9a-f]{40}|unpinned)$": "commit (40 hexadecimal digits)",
    "^([0-9a-f]{64}|unpinned)$": "SHA-256 (64 hexadecimal digits)",
    "^[A-Za-z0-9][A-Za-z0-9._-]*$": "name",
    r"^[A-Za-z0-9][A-Za-z0-9._-]*(/(\d+|\*))?(\+[a-z_]+){0,2}$": (
        "`generator[/length][+selector[+aggregation]]`"
    ),
    r"^[\w.-]+/[\w.-]+$": "`owner/name`",
    r"^https://[^\s@/?#]+/[^\s?#]*[^\s?#/]$": "address of a file (https)",
    r"\S": "text that is not blank",
    r"\.(jsonl|csv|parquet|eval)$": "path ending in .jsonl, .csv, .parquet or .eval",
    r"^[^./\\][^/\\]*[.]gguf$": "name of a *.gguf file",
    r"^https?://[^\s@?#]+$": "address (http or https)",
    "^[A-Z_][A-Z0-9_]*$": "name of an environment variable",
}
_WORDS = {"string": "text", "boolean": "`true`, `false`", "integer": "whole number", "number": "number"}


def schema() -> Schema:
    """The JSON schema of a config file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_closed(Config.model_json_schema()),
        "title": "isoflop experiment",
    }


def _closed(node: Any) -> Any:
    """The schema with names that break their pattern refused; pydantic leaves such mappings open."""
    if isinstance(node, list):
        return [_closed(value) for value in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(value) for key, value in node.items()}
    return closed | {"additionalProperties": False} if "patternProperties" in node else closed


def schema_text() -> str:
    """The schema as a file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def reference_page() -> str:
    """The reference page: one table for the config, then one for each kind of entry."""
    whole = schema()
    definitions: Schema = whole["$defs"]
    parts = [_INTRODUCTION, "## Top level\n", *_table(whole, definitions)]
    for name in _in_order(whole, definitions):
        entry = definitions[name]
        parts += [f"\n## {name}\n", f"{entry['description']}\n", *_table(entry, definitions)]
    return "\n".join(parts) + "\n"


def _in_order(whole: Schema, definitions: Schema) -> list[str]:
    """The definitions in the order in which the top level leads to them."""
    found: list[str] = []
    waiting = list(_references(whole["properties"]))
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting = [*_references(definitions[name]["properties"]), *waiting]
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].rsplit("/", 1)[-1]
        for key, value in node.items():
            if key != "discriminator":
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _table(entry: Schema, definitions: Schema) -> list[str]:
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    required = entry.get("required", [])
    # The key that says which entry this is stands before those it inherits.
    for key, value in sorted(entry["properties"].items(), key=lambda item: "const" not in item[1]):
        default = "**required**" if key in required else _default(value)
        meaning = value.get("description", "").replace("\n", " ")
        cells = (f"`{key}`", _type(value, definitions), default, meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def _default(value: Schema) -> str:
    default = value.get("default")
    if default is None:
        return "none"
    if isinstance(default, dict):
        return "its defaults"
    return f"`{json.dumps(default, ensure_ascii=False)}`"


def _type(value: Schema, definitions: Schema) -> str:
    """The values that a key allows, in words."""
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[-1]
        words = f"[{name}](#{name.lower()})"
    elif "anyOf" in value or "oneOf" in value:
        choices = value.get("anyOf") or value["oneOf"]
        members = [_type(part, definitions) for part in choices if part.get("type") != "null"]
        words = " or ".join(members) + (", or null" if len(members) < len(choices) else "")
    elif "const" in value or "enum" in value:
        words = ", ".join(f"`{choice}`" for choice in value.get("enum", [value.get("const")]))
    elif value["type"] == "array":
        words = f"list of {_type(value['items'], definitions)}"
    elif value["type"] == "object":
        (inner,) = value.get("patternProperties", {"": value.get("additionalProperties")}).values()
        words = f"mapping of names to {_type(inner, definitions)}"
    elif "pattern" in value:
        words = _PATTERNS[value["pattern"]]
    else:
        words = _WORDS[value["type"]] + _bounds(value)
    return words


def _bounds(value: Schema) -> str:
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    # The seed's upper bound is 2^63, which says nothing to a reader.
    bounds = [f"{sign} {value[key]}" for key, sign in signs.items() if abs(value.get(key, 2**63)) < 2**63]
    return f" {', '.join(bounds)}" if bounds else ""


def write_reference(root: Path) -> None:
    """Write both files to `FOLDER` under `root`."""
    write_text(root / FOLDER / SCHEMA_FILE, schema_text())
    write_text(root / FOLDER / PAGE_FILE, reference_page())
