"""The card that a trained model carries: data, seeds, recipe, loss curve, accuracy, how to regenerate."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TrainingRecord:
    """What happened in one training run; everything a card reports."""

    name: str
    kind: str  # policy | prm | orm
    parameters: int
    recipe: Mapping[str, Any]
    data: str
    examples: int
    tokens: int
    versions: Mapping[str, str]
    losses: Sequence[tuple[int, float]]
    held_out: Mapping[str, float] = field(default_factory=dict)
    regenerate: str = ""


def card(record: TrainingRecord) -> str:
    """A Hugging Face model card (Markdown with YAML front matter)."""
    begun = record.recipe["init"]
    packed = f"{begun['gguf_file']} of the package {begun['package']}" if begun.get("package") else None
    start = begun.get("model") or begun.get("trained") or packed
    if start and begun.get("revision"):
        start = f"{start} at {begun['revision']}"
    purpose = {
        "policy": "A language model that writes solutions step by step.",
        "prm": "A process reward model in the Math-Shepherd convention: at the tag after each step, "
        "P(good) against P(bad). Its labels come from Monte Carlo rollouts; no person labelled anything.",
        "orm": "An outcome reward model: at the tag after the whole solution, P(good) against P(bad). Its "
        "labels say whether the answers of sampled chains were right; no person labelled anything.",
    }[record.kind]
    lines = [
        "---",
        # What others trained keeps their license, which this program does not know.
        *([] if begun.get("model") or packed else ["license: apache-2.0"]),
        "library_name: transformers",
        "tags: [isoflop]",
        "---",
        f"# {record.name}",
        "",
        f"{purpose} {record.parameters:,} parameters, trained from {start or 'nothing'}.",
        "",
        "## Data",
        "",
        f"{record.data} {record.examples:,} examples, {record.tokens:,} tokens seen in all.",
        "",
        "## Held-out results",
        "",
        *_table(("measure", "value"), [(name, f"{value:.4f}") for name, value in record.held_out.items()]),
        "",
        "## Recipe",
        "",
        "```json",
        json.dumps(dict(record.recipe), indent=2, sort_keys=True, ensure_ascii=False),
        "```",
        "",
        "With " + ", ".join(f"{name} {version}" for name, version in sorted(record.versions.items())) + ".",
        "",
        "## Loss curve",
        "",
        *_table(("step", "loss"), [(str(step), f"{loss:.4f}") for step, loss in thin(record.losses, 24)]),
        "",
        "## Regenerate",
        "",
        "```",
        record.regenerate,
        "```",
        "",
    ]
    return "\n".join(lines)


def thin(points: Sequence[tuple[int, float]], count: int) -> list[tuple[int, float]]:
    """At most `count` of the points, evenly spaced, the last among them."""
    if len(points) <= count:
        return list(points)
    places = sorted({round(index * (len(points) - 1) / (count - 1)) for index in range(count)})
    return [points[place] for place in places]


def _table(header: tuple[str, str], rows: Sequence[tuple[str, str]]) -> list[str]:
    return [f"| {header[0]} | {header[1]} |", "|---|---|", *(f"| {left} | {right} |" for left, right in rows)]
