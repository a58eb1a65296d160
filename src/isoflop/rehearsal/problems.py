"""Problem files of a rehearsal: a few rows with the columns that a data set's entry reads."""

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from string import Formatter

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from isoflop.config.datasets import FieldMap, FileSource, GithubSource, HubSource
from isoflop.errors import UserError
from isoflop.registries import GRADERS, GraderTraits

Filed = HubSource | GithubSource | FileSource
Row = dict[str, str | list[str]]

PROBLEMS = 4
_TESTS = ["assert solve(1) == 1", "assert solve(2) == 2"]
_PROGRAM = "def solve(x):\n    return x\n"


def sentences(
    separators: Sequence[str], graders: Sequence[str], answers: Sequence[str] = (), tag: str | None = None
) -> list[str]:
    """What policies say: steps with each separator, answers that the `graders` read, and programs.

    `answers`: further ones, right for problems that are not invented here. `tag`: what the policy writes
    after every step, answers included.
    """
    said = [f"{words}{end}" for end in separators for words in ("Count them.", "So it is more.", "Add one.")]
    examples = (one for name in graders for one in GRADERS[name].examples)
    known = dict.fromkeys((*GraderTraits.examples, r"\frac{1}{2}", *examples, *answers))
    said += [f"The answer is \\boxed{{{answer}}}{'.' if tag is None else tag}" for answer in known]
    if any(GRADERS[name].tests for name in graders):
        said += [f"\n```python\n{body}```\n" for body in (_PROGRAM, _PROGRAM.replace("x\n", "x + 1\n"))]
    return said


def problem_rows(name: str, dataset: Filed) -> list[Row]:
    """The rows of a data set; the last one is what `where` leaves out, if there is a `where`.

    Raises UserError where no text fits its answer pattern.
    """
    answers = GRADERS[dataset.grader].examples
    rows = [_row(dataset.fields, number, answers[number % len(answers)]) for number in range(PROBLEMS)]
    if dataset.fields.answer is not None:
        _check_pattern(name, dataset.fields, rows[0])
    if dataset.where is None:
        return rows
    kept: list[Row] = [
        row | {field: allowed[number % len(allowed)] for field, allowed in dataset.where.items()}
        for number, row in enumerate(rows)
    ]
    return [*kept, rows[0] | dict.fromkeys(dataset.where, "left out")]


def _row(fields: FieldMap, number: int, answer: str) -> Row:
    row: Row = dict.fromkeys(_columns(fields.prompt), f"What is {answer} times 1?")
    if fields.tests is not None:
        row |= dict.fromkeys(fields.tests[:-1], "") | {fields.tests[-1]: _TESTS}
    solution = (
        _PROGRAM
        if fields.tests
        else f"Count them.\nThe answer is: {answer}\n\\boxed{{{answer}}}\n#### {answer}"
    )
    if fields.answer is not None:
        row[fields.answer] = solution if fields.answer_pattern else answer
    if fields.solution is not None:
        row[fields.solution] = solution
    if fields.level is not None:
        row[fields.level] = f"Level {number % 5 + 1}"
    if fields.subject is not None:
        row[fields.subject] = "Counting"
    if fields.id is not None:
        row[fields.id] = f"problem-{number}"
    return row


def _columns(prompt: str) -> list[str]:
    named = [field for _, field, _, _ in Formatter().parse(prompt) if field is not None]
    return named or [prompt]


def _check_pattern(name: str, fields: FieldMap, row: Row) -> None:
    pattern = fields.answer_pattern
    if pattern in (None, "gsm8k", "boxed"):
        return
    assert pattern is not None
    assert fields.answer is not None
    if not re.search(pattern, str(row[fields.answer])):
        raise UserError(
            f"datasets.{name}.fields.answer_pattern: a rehearsal cannot write an answer that {pattern!r} "
            f"finds; it writes {row[fields.answer]!r}"
        )


def file_content(path: str, rows: Sequence[Mapping[str, str | list[str]]]) -> bytes:
    """The rows in the format that the path's ending names. Raises UserError for one that is not known."""
    ending = PurePath(path).suffix.lower()
    if ending == ".jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if ending == ".json":
        return json.dumps(list(rows)).encode()
    if ending == ".parquet":
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), buffer)
        return buffer.getvalue()
    if ending == ".csv":
        joined = pd.DataFrame(rows).map(lambda value: "\n".join(value) if isinstance(value, list) else value)
        return joined.to_csv(index=False, lineterminator="\n").encode()
    raise UserError(f"{path}: a rehearsal writes .jsonl, .json, .csv and .parquet files")
