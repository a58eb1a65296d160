"""Foreign rows under a format's names: paths, filters, unknown columns, schemas of other tools."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import TypeAdapter

from isoflop.config.imports.entries import Import
from isoflop.data.columns import Layout, Reading, as_written, laid_out, value_at, written
from isoflop.data.foreign_schemas import SCHEMAS, recognised
from isoflop.data.format import import_format
from isoflop.data.rows import read_rows
from isoflop.data.solutions import Solution
from isoflop.errors import UserError
from isoflop.registries import IMPORT_FORMATS

Row = Mapping[str, Any]


def read(*rows: Row, name: str = "table", reading: Reading | None = None, **layout: Any) -> list[Solution]:
    """As the stage reads them: a file of JSON lines."""
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    format_ = import_format(name)
    named = laid_out(read_rows("a.jsonl", data), format_, Layout(**layout), reading or Reading())
    return list(format_.read(named))


def refusal(*rows: Row, **layout: Any) -> str:
    with pytest.raises(UserError) as caught:
        read(*rows, **layout)
    return str(caught.value)


NESTED = {"a": {"b": [{"c": 1}, {"c": 2}]}, "x.y": 3, "l": [[4, 5], [6]]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b.0.c", 1),
        ("a.b.-1.c", 2),
        ("a.b.*.c", [1, 2]),
        ("x.y", 3),
        ("l.*.0", [4, 6]),
        ("l.*", [[4, 5], [6]]),
    ],
)
def test_a_path_leads_into_nested_values(path: str, value: object) -> None:
    assert value_at(NESTED, path) == value


@pytest.mark.parametrize(
    "path", ["a.c", "a.b.2.c", "a.b.c", "x.z", "a.b.0.c.d", "l.99999999999", "l.*.1", ""]
)
def test_a_path_that_leads_nowhere_is_named(path: str) -> None:
    assert f"columns.text is {path!r}, but there is no" in refusal(NESTED, columns={"text": path})


def test_columns_are_mapped_and_a_column_mapped_is_not_read_under_its_own_name() -> None:
    row = {"question": "Q?", "answer": "It is\n5.", "gold": 5, "usage": {"out": 9}}
    columns = {"problem": "question", "text": "answer", "reference": "gold", "tokens": "usage.out"}
    [one] = read(row, columns=columns)
    assert one == Solution("a.jsonl, line 1", None, "Q?", "5", ("It is\n5.",), None, 9)


def test_unknown_columns_are_refused_where_one_may_be_missing_and_only_named_where_none_is() -> None:
    said = refusal({"problem_id": "p", "text": "a", "n_tokens": 3, "note": "x"})
    assert "line 1: columns that format table does not know: n_tokens, note" in said
    assert "perhaps `columns: {tokens: n_tokens}`" in said
    assert "`ignore: [n_tokens, note]`" in said
    whole: dict[str, Any] = {
        "problem": "Q?",
        "answer": "5",
        "unique_id": "u",
        "completions": ["a"],
        "scores": [[0.5]],
    }
    whole |= {"completion_tokens": [3], "mood": "good"}
    reading = Reading()
    assert len(read(whole, name="search-and-learn", reading=reading)) == 1
    assert list(reading.unread) == ["mood"]
    whole["n_tokens"] = whole.pop("completion_tokens")
    assert "does not know: mood, n_tokens" in refusal(whole, name="search-and-learn")
    assert len(read(whole, name="search-and-learn", ignore=["*"])) == 1


@pytest.mark.parametrize("ignore", [["mood"], ["*"]])
def test_ignored_columns_are_left_unread(ignore: list[str]) -> None:
    assert read({"problem_id": "p", "text": "a", "mood": 1}, ignore=ignore)[0].text == "a"


def test_of_two_columns_for_one_thing_none_is_dropped_silently() -> None:
    row = {"problem_id": "p", "text": "a", "answer": "5"}
    assert "has text and answer, of which only text would be read" in refusal(row)
    assert read(row, ignore=["answer"])[0].text == "a"
    assert read(row, columns={"reference": "answer"})[0].reference == "5"


def test_rows_are_chosen_by_value_and_nobody_s_are_none() -> None:
    rows: list[Row] = [
        {"spec": {}},
        {"problem_id": "p", "text": "a", "m": {"name": "x"}, "k": 1, "greedy": True},
        {"problem_id": "p", "text": "b", "m": {"name": "y"}, "k": 2, "greedy": False},
        {"problem_id": "p", "text": "c", "m": {"name": "x"}, "k": 2, "greedy": False},
    ]
    reading = Reading()
    found = read(*rows, where={"m.name": ("x",)}, ignore=["k", "greedy"], reading=reading)
    assert [one.text for one in found] == ["a", "c"]
    assert (reading.rows, reading.kept) == (4, 2)
    assert [one.text for one in read(*rows, where={"k": ("2",), "greedy": ("false",)}, ignore=["m"])] == [
        "b",
        "c",
    ]
    assert "where: keeps none of 4 rows; m.name is x, y" in refusal(*rows, where={"m.name": ("z",)})
    assert "where: keeps none of 4 rows; m.nam is in no row" in refusal(*rows, where={"m.nam": ("z",)})


def test_rows_of_several_models_are_not_one_models() -> None:
    rows: list[Row] = [{"problem_id": "p", "text": "a", "model": name} for name in ("x", "y")]
    assert "line 2: model is 'y', and 'x' in the rows before" in refusal(*rows, ignore=["model"])
    assert len(read(*rows, where={"model": ("x", "y")})) == 2


def test_whole_floats_are_whole_numbers_however_they_are_written() -> None:
    table = pa.BufferOutputStream()
    pq.write_table(pa.table({"problem_id": ["p", "q"], "text": ["a", "b"], "k": [1.0, 1.5]}), table)
    files = {
        "a.parquet": table.getvalue().to_pybytes(),
        "a.jsonl": b'{"problem_id": "p", "text": "a", "k": 1.0}\n{"problem_id": "q", "text": "b", "k": 1.5}',
    }
    for name, data in files.items():
        for value in (1, "1.0"):
            layout = Layout(where={"k": written(value)})
            rows = laid_out(read_rows(name, data), import_format("table"), layout, Reading())
            assert [row["text"] for _, row in rows] == ["a"], (name, value)


def test_values_are_compared_as_json_writes_them() -> None:
    assert [as_written(one) for one in (True, 1, 1.0, "a", None, 0.5)] == [
        "true",
        "1",
        "1",
        "a",
        "None",
        "0.5",
    ]


# A row of each schema as its tool writes it, and what it is when it is read rightly.
FOREIGN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "MathArena",
        {
            "problem_idx": 1, "problem": "Q?", "model_name": "NAME", "model_config": "m", "idx_answer": 0,
            "answer": "Long\nresponse \\boxed{5}", "gold_answer": "5", "parsed_answer": "5", "correct": True,
            "input_tokens": 9, "output_tokens": 77, "cost": 0.1,
        },
        {"prompt": "Q?", "text": "Long\nresponse \\boxed{5}", "reference": "5", "tokens": 77},
    ),
    ("EvalPlus", {"task_id": "H/0", "solution": "def f(): 1"}, {"problem": "H/0", "text": "def f(): 1"}),
    ("HumanEval", {"task_id": "H/0", "completion": "  return 1"}, {"problem": "H/0", "text": "  return 1"}),
    (
        "OpenAI evals",
        {
            "run_id": "r", "event_id": 1, "sample_id": "s.0", "type": "sampling", "created_at": "",
            "data": {"prompt": [{"role": "user", "content": "Q?"}], "sampled": ["It is 5."]},
        },
        {"prompt": "Q?", "text": "It is 5."},
    ),
    (
        "OpenAI batch",
        {
            "id": "b", "custom_id": "p1", "error": None,
            "response": {
                "status_code": 200,
                "body": {
                    "choices": [{"message": {"content": "It is 5."}, "finish_reason": "length"}],
                    "usage": {"completion_tokens": 6},
                },
            },
        },
        {"problem": "p1", "text": "It is 5.", "tokens": 6, "truncated": True},
    ),
    (
        "Large Language Monkeys",
        {"question": "Q?", "gt_answer": "5", "samples": ["It is 5."], "is_corrects": [True]},
        {"prompt": "Q?", "text": "It is 5.", "reference": "5"},
    ),
    (
        "NeMo-Skills",
        {"problem": "Q?", "generation": "It is 5.", "expected_answer": "5", "num_generated_tokens": 6},
        {"prompt": "Q?", "text": "It is 5.", "reference": "5", "tokens": 6},
    ),
    (
        "lighteval",
        {"doc": {"query": "Q?"}, "model_response": {"text": ["It is 5."]}, "metric": {"em": 1}},
        {"prompt": "Q?", "text": "It is 5."},
    ),
    (
        "Open-R1",
        {"problem": "Q?", "answer": "5", "generations": ["It is 5."], "correctness": [True]},
        {"prompt": "Q?", "text": "It is 5.", "reference": "5"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("tool", "row", "expected"), FOREIGN, ids=[tool for tool, *_ in FOREIGN])
def test_another_tools_table_is_refused_with_a_mapping_that_reads_it(
    tool: str, row: dict[str, Any], expected: dict[str, Any]
) -> None:
    said = refusal(row)
    assert tool in said
    assert ", not format table; write `format: table` with" in said
    keys = yaml.safe_load("\n".join(re.findall(r"`((?:columns|where|ignore): .*?)`(?:[,; ]|$)", said)))
    where = keys.pop("where", {})
    entry = TypeAdapter(Import).validate_json(
        json.dumps(
            keys
            | {"kind": "import", "format": "table", "dataset": "d", "characters_per_token": 4.0}
            | {
                "sources": [
                    {"policy": "p", "files": [{"path": "a.jsonl"}]} | ({"where": where} if where else {})
                ]
            }
        )
    )
    [one] = read(row, columns=entry.columns, where={k: (v,) for k, v in where.items()}, ignore=entry.ignore)
    assert {name: getattr(one, name) for name in expected} == expected
    assert one.scores is None


def test_every_schema_is_shown_by_a_row_and_tells_its_own_format() -> None:
    shown = {schema.name for _, row, _ in FOREIGN if (schema := recognised(row)) is not None}
    own = {schema.name for schema in SCHEMAS if schema.format != "table"}
    assert {schema.name for schema in SCHEMAS} == shown | own
    assert {schema.format for schema in SCHEMAS} <= set(IMPORT_FORMATS.names)
    row = {"doc_id": 0, "doc": {"question": "Q?"}, "resps": [["It is 5."]], "target": "5"}
    said = refusal(row)
    assert (
        "looks like a sample log of lm-evaluation-harness, not format table; write `format: lm-eval`" in said
    )
    assert read(row, name="lm-eval")[0].text == "It is 5."


def test_a_sample_of_an_inspect_log_is_told_the_format_alone() -> None:
    row = {"id": 1, "epoch": 2, "input": "Q?", "target": "5", "scores": {}, "output": {"choices": []}}
    said = refusal(row)
    assert said.endswith("; write `format: inspect` and give the log itself (.eval or .json)")


def test_a_whole_response_is_no_answer() -> None:
    for response in ("First.\nThen 5.", "So \\boxed{5}", "x" * 500):
        assert "answer is a whole response" in refusal({"problem_id": "p", "answer": response})


NOT_ONE = {"problem_id": "p", "reference": "5", "text": ["a", "b"]}


def test_a_row_of_several_solutions() -> None:
    row = NOT_ONE | {"tokens": [3, None], "score": [0.5, 0.25], "finish": "stop", "budget": 2, "run": [0, 1]}
    first, second = read(row)
    assert (first.text, first.tokens, first.scores, first.budget, first.run) == ("a", 3, (0.5,), 2, 0)
    assert (second.text, second.tokens, second.scores, second.run) == ("b", None, (0.25,), 1)
    assert (first.place, second.place) == ("a.jsonl, line 1, solution 1", "a.jsonl, line 1, solution 2")
    steps = {"problem_id": "p", "steps": [["a ", "b"], ["c"]], "step_scores": [[0.5, 0.25], [1]]}
    assert [(one.steps, one.scores) for one in read(steps)] == [(("a ", "b"), (0.5, 0.25)), (("c",), (1.0,))]
    samples = {"id": "p", "samples": [{"text": "a", "n": 3}, {"text": "b", "n": 4}]}
    columns = {"problem_id": "id", "text": "samples.*.text", "tokens": "samples.*.n"}
    assert [(one.text, one.tokens) for one in read(samples, columns=columns)] == [("a", 3), ("b", 4)]


def test_a_list_of_texts_in_a_csv_is_several_solutions() -> None:
    def of_csv(content: str, **columns: str) -> list[str]:
        rows = read_rows("a.csv", content.encode())
        named = laid_out(rows, import_format("table"), Layout(columns=columns), Reading())
        return [one.text for one in import_format("table").read(named)]

    assert of_csv('problem_id,samples\na,"[""t1"",""t2""]"\n', text="samples") == ["t1", "t2"]
    assert of_csv('problem_id,answer\na,"[""1"",""2""]"\n') == ["\\boxed{1}", "\\boxed{2}"]
    for text in ("[1, 2]", "[]", "[x"):
        assert of_csv(f'problem_id,text\na,"{text}"\n') == [text]
    # JSON has lists of its own: there it is what the model said.
    assert [one.text for one in read({"problem_id": "p", "text": '["a"]', "tokens": 3})] == ['["a"]']


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tokens": [3]}, "2 solutions but 1 in tokens; which belongs to which is lost"),
        ({"tokens": 7}, "2 solutions but one tokens; a list with one for each is needed"),
        ({"score": 0.5}, "2 solutions but one score"),
        ({"text": []}, "text is an empty list"),
        ({"text": ["a", None]}, "solution 2: none of steps, text and answer is given (text is null"),
        ({"text": ["a", ["b"]]}, "solution 2: field 'text' is list"),
        ({"text": "a", "tokens": [3, 4]}, "is not a number of tokens"),
    ],
)
def test_rows_of_several_solutions_at_fault(change: dict[str, Any], said: str) -> None:
    assert said in refusal(NOT_ONE | change)


def test_scores_of_several_verifiers_and_steps_of_a_text() -> None:
    row = {"problem_id": "p", "text": "One.\r\n\r\nTwo.", "rm": {"prm": [0.5, 0.25], "orm": 3.5}}
    [one] = read(row, verifiers={"a": "rm.prm", "b": "rm.orm"}, step_separator="\n\n")
    assert one.steps == ("One.\r\n\r\n", "Two.")
    assert one.named_scores == {"a": (0.5, 0.25), "b": (3.5,)}
    many = {"problem_id": "p", "text": ["a", "b"], "rm": [0.5, 0.25]}
    assert [one.named_scores for one in read(many, verifiers={"a": "rm"})] == [{"a": (0.5,)}, {"a": (0.25,)}]
