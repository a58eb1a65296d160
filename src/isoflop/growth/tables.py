"""What each kind of table says of its rows: a label in its metadata, and the keys that follow from it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from isoflop.growth.identity import LENGTH
from isoflop.growth.rows import Key, chain_keys, row_problems, sample_keys
from isoflop.tables import CANDIDATES, SCORES, TREES

# Under what name a label is in a table's metadata.
LABEL = "rows"


@dataclass(frozen=True)
class Label:
    """What a table says of its rows.

    `identity`: what decides them (isoflop.growth.identity). `digests`: of every problem, in their order; of a
    table of scores, of every row. `max_tokens`: how long they might get, where rows are judged by that.
    """

    identity: str
    digests: Sequence[str]
    max_tokens: int | None = None

    def content(self) -> dict[str, object]:
        """As it is in the metadata."""
        limit = {} if self.max_tokens is None else {"max_tokens": self.max_tokens}
        return {"identity": self.identity, "digests": "".join(self.digests), **limit}


def read_label(metadata: Mapping[str, Any]) -> Label | None:
    """The label in a table's metadata; None where there is none that can be read."""
    found = metadata.get(LABEL)
    if not isinstance(found, dict):
        return None
    identity, digests, limit = (found.get(name) for name in ("identity", "digests", "max_tokens"))
    if not isinstance(identity, str) or not isinstance(digests, str) or len(digests) % LENGTH:
        return None
    if not (limit is None or isinstance(limit, int)):
        return None
    pieces = [digests[start : start + LENGTH] for start in range(0, len(digests), LENGTH)]
    return Label(identity, pieces, limit)


def labelled(table: pa.Table, metadata: Mapping[str, Any]) -> pa.Table:
    """The table with this metadata, as isoflop.files writes it."""
    return table.replace_schema_metadata({b"isoflop": json.dumps(metadata, sort_keys=True).encode()})


def taken_rows(table: pa.Table, rows: Sequence[int]) -> pa.Table:
    """Rows of a table by their numbers, in this order; also none."""
    return table.take(pa.array(rows, pa.int64()))


def joined(labels: Sequence[Label]) -> Label | None:
    """The label of tables one after the other; None where they are not of one kind."""
    first = labels[0]
    if any((one.identity, one.max_tokens) != (first.identity, first.max_tokens) for one in labels):
        return None
    return Label(first.identity, [one for label in labels for one in label.digests], first.max_tokens)


@dataclass(frozen=True)
class RowKind:
    """A kind of table whose rows can be taken up.

    `columns`: what `keys` reads of a former table, beside its label and the present limit of tokens; it gives
    the key of every row, None for one that would be another today. `work`: the column that a row's share of
    the table's seconds goes by.
    """

    schema: pa.Schema
    columns: tuple[str, ...]
    keys: Callable[[pa.Table, Label, int | None], list[Key | None]]
    work: str


def _columns(table: pa.Table, names: Sequence[str]) -> list[list[Any]]:
    return [table[name].to_pylist() for name in names]


def _sampled(table: pa.Table, label: Label, limit: int | None) -> list[Key | None]:
    problem_ids, candidates, finishes, tokens = _columns(table, SAMPLES.columns)
    problems = row_problems(problem_ids, label.digests)
    if problems is None:
        return []
    return sample_keys(problems, candidates, finishes, tokens, (label.max_tokens, limit))


def _chained(table: pa.Table, label: Label, limit: int | None) -> list[Key | None]:
    problem_ids, runs, places, finishes, tokens = _columns(table, CHAINS.columns)
    problems = row_problems(problem_ids, label.digests)
    if problems is None:
        return []
    return chain_keys(problems, runs, places, finishes, tokens, (label.max_tokens, limit))


def _searched(table: pa.Table, label: Label, _: int | None) -> list[Key | None]:
    problem_ids, runs = _columns(table, SEARCHED.columns)
    problems = row_problems(problem_ids, label.digests)
    return [] if problems is None else list(zip(problems, runs, strict=True))


def _scored(table: pa.Table, label: Label, _: int | None) -> list[Key | None]:
    return [(one,) for one in label.digests] if len(label.digests) == table.num_rows else []


SAMPLES = RowKind(CANDIDATES, ("problem_id", "candidate", "finish", "tokens"), _sampled, "tokens")
CHAINS = RowKind(CANDIDATES, ("problem_id", "run", "budget", "finish", "tokens"), _chained, "tokens")
SEARCHED = RowKind(TREES, ("problem_id", "run"), _searched, "generated")
SCORED = RowKind(SCORES, ("candidate",), _scored, "verifier_tokens")
