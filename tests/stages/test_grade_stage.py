"""The grade stage: answers, classes and correctness of every candidate, in the candidates' order."""

import json
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isoflop.errors import UserError
from isoflop.files import read_table, table_metadata, write_table
from isoflop.grading.math_worker import MathWorker
from isoflop.grading.sandbox import Sandbox
from isoflop.stages.grade import main
from isoflop.tables import CANDIDATES, GRADED_CANDIDATES, GRADES, PROBLEMS


def write_problems(path, answers):
    columns = {
        "problem_id": list(answers),
        "prompt": ["?"] * len(answers),
        "answer": list(answers.values()),
        "level": [None] * len(answers),
        "subject": [None] * len(answers),
        "solution": [None] * len(answers),
    }
    write_table(path, columns, PROBLEMS, {})


def write_candidates(path, rows):
    """Rows of (problem, steps, finish)."""
    columns = {
        "problem_id": [problem for problem, _, _ in rows],
        "candidate": list(range(len(rows))),
        "steps": [steps for _, steps, _ in rows],
        "step_tokens": [[1] * len(steps) for _, steps, _ in rows],
        "finish": [finish for _, _, finish in rows],
        "prompt_tokens": [5] * len(rows),
        "tokens": [len(steps) for _, steps, _ in rows],
        "logprob": [-1.0] * len(rows),
        "source": [None] * len(rows),
        "budget": [None] * len(rows),
        "run": [None] * len(rows),
    }
    write_table(path, columns, CANDIDATES, {})


def run(tmp_path, grader, answers, rows):
    write_problems(tmp_path / "problems.parquet", answers)
    write_candidates(tmp_path / "candidates.parquet", rows)
    paths = [str(tmp_path / f"{name}.parquet") for name in ("problems", "candidates", "grades")]
    main([json.dumps({"grader": grader, "code": "test"}), *paths])
    table = read_table(paths[2], GRADES)
    return table.to_pylist(), table_metadata(table)


def test_numbers_are_graded_row_by_row(tmp_path, capsys):
    rows = [
        ("b", ["8 + 9 = 17.\n", "The answer is ", "17."], "stop"),
        ("a", ["The answer is 3."], "stop"),
        ("b", ["The answer is 16."], "stop"),
        ("b", ["The answer is $17.00."], "stop"),
        ("b", ["The answer is 17"], "length"),
        ("b", ["I do not know."], "stop"),
        ("b", ["The answer is [invalid]."], "stop"),
        ("a", ["The answer is 4.\n", "So"], "length"),
    ]
    grades, metadata = run(tmp_path, "number", {"a": "4", "b": "17"}, rows)
    assert [(row["problem_id"], row["candidate"]) for row in grades] == [
        (problem, number) for number, (problem, _, _) in enumerate(rows)
    ]
    assert [row["answer"] for row in grades] == ["17", "3", "16", "17", None, None, None, "4"]
    assert [row["answer_class"] for row in grades] == [1, 0, 0, 1, -1, -1, -1, 1]
    assert [row["correct"] for row in grades] == [True, False, False, True, False, False, False, True]
    assert (metadata["candidates"], metadata["answered"], metadata["undecided"]) == (8, 5, 0)
    assert capsys.readouterr().err == "grade: 8 candidates, 5 answered, 3 correct, 0 comparisons undecided\n"


def test_thoughts_that_never_end_are_no_answer_even_where_the_prompt_opened_them(tmp_path):
    rows = [("a", ["So the answer is 4.\n"], "length")] * 3
    write_problems(tmp_path / "problems.parquet", {"a": "4"})
    write_candidates(tmp_path / "candidates.parquet", rows)
    table = pq.read_table(tmp_path / "candidates.parquet").replace_schema_metadata(None)
    place = table.schema.get_field_index("thinking_tokens")
    # Of one token each: all thoughts, no thoughts, not counted.
    counts = pa.chunked_array([pa.array([1, 0, None], pa.int32())])
    pq.write_table(
        table.set_column(place, table.schema.field(place), counts), tmp_path / "candidates.parquet"
    )
    paths = [str(tmp_path / f"{name}.parquet") for name in ("problems", "candidates", "grades")]
    main([json.dumps({"grader": "number", "code": "test"}), *paths])
    assert read_table(paths[2], GRADES)["answer"].to_pylist() == [None, "4", "4"]


def test_a_table_of_before_thoughts_were_counted_is_read(tmp_path):
    rows = [("a", ["The answer is 4.\n"], "stop")]
    write_problems(tmp_path / "problems.parquet", {"a": "4"})
    write_candidates(tmp_path / "candidates.parquet", rows)
    table = pq.read_table(tmp_path / "candidates.parquet").replace_schema_metadata(None)
    pq.write_table(table.drop_columns(["thinking_tokens"]), tmp_path / "candidates.parquet")
    found = read_table(tmp_path / "candidates.parquet", CANDIDATES)
    assert found.schema.equals(CANDIDATES)
    assert found["thinking_tokens"].to_pylist() == [None]
    few = read_table(tmp_path / "candidates.parquet", CANDIDATES, ["candidate", "thinking_tokens"])
    assert few.to_pylist() == [{"candidate": 0, "thinking_tokens": None}]
    paths = [str(tmp_path / f"{name}.parquet") for name in ("problems", "candidates", "grades")]
    main([json.dumps({"grader": "number", "code": "test"}), *paths])
    assert read_table(paths[2], GRADES)["answer"].to_pylist() == ["4"]
    # Any other column must be there.
    pq.write_table(table.drop_columns(["run"]), tmp_path / "candidates.parquet")
    with pytest.raises(UserError, match="columns differ from what this stage reads: run"):
        read_table(tmp_path / "candidates.parquet", CANDIDATES)


def test_latex_is_graded_up_to_equivalence_and_undecided_comparisons_are_counted(tmp_path):
    texts = [r"\boxed{\frac{1}{2}}", r"\boxed{0.5}", r"\boxed{x+1}", r"\boxed{1+x}", r"\boxed{\infty}"]
    texts += [r"\boxed{10^{10^{10^{10}}}}", r"\boxed{1", r"\boxed{[invalid]}"]
    grades, metadata = run(tmp_path, "math", {"p": "1/2"}, [("p", [text], "stop") for text in texts])
    assert [row["correct"] for row in grades] == [True, True] + [False] * 6
    classes = [row["answer_class"] for row in grades]
    assert classes[0] == classes[1]
    assert classes[2] == classes[3]
    assert classes[6:] == [-1, -1]
    assert len({classes[0], classes[2], classes[4], classes[5]}) == 4
    assert metadata["undecided"] == 1
    assert metadata["undecided_candidates"] == {"p": 1}
    assert metadata["undecided_examples"] == [["p", "10^{10^{10^{10}}}", "1/2"]]


def test_classes_do_not_depend_on_the_order_of_candidates(tmp_path):
    rows = [("p", [f"The answer is {number % 7}."], "stop") for number in range(30)]
    one, _ = run(tmp_path, "number", {"p": "3"}, rows)
    other, _ = run(tmp_path, "number", {"p": "3"}, rows[::-1])
    assert {row["answer"]: row["answer_class"] for row in one} == {
        row["answer"]: row["answer_class"] for row in other
    }


def test_unknown_problems_and_unusable_references_are_named(tmp_path):
    with pytest.raises(
        UserError, match=r"candidates\.parquet, row 2: problem 'q' is not in the problems table"
    ):
        run(tmp_path, "number", {"p": "1"}, [("p", ["#### 1"], "stop"), ("q", ["#### 1"], "stop")])
    with pytest.raises(UserError, match=r"problem 'p': reference answer '\\pi': it is not a number"):
        run(tmp_path, "number", {"p": r"\pi"}, [("p", ["#### 1"], "stop")])
    with pytest.raises(UserError, match=r"grade specification: grader: 'numbr' is not allowed"):
        run(tmp_path, "numbr", {"p": "1"}, [("p", ["#### 1"], "stop")])
    assert not (tmp_path / "grades.parquet").exists()


def test_twenty_thousand_numbers_take_seconds(tmp_path):
    text = "Ann has 12 pens: 3 * 4 = 12.\nBob has 5 more: 12 + 5 = 17.\n" * 2 + "The answer is {}."
    rows = [(f"p{number // 256}", [text.format(number % 13)], "stop") for number in range(20_000)]
    started = time.process_time()
    grades, _ = run(tmp_path, "number", {f"p{number}": "5" for number in range(79)}, rows)
    assert time.process_time() - started < 10  # about 1 s of processor time
    assert sum(row["correct"] for row in grades) == sum(number % 13 == 5 for number in range(20_000))


def graded_by_files(tmp_path, rows, published, **spec):
    """Candidates with their files' grades."""
    write_problems(tmp_path / "problems.parquet", {"a": "4"})
    columns = {name: [] for name in GRADED_CANDIDATES.names}
    for number, (text, right) in enumerate(zip(rows, published, strict=True)):
        row = {
            "problem_id": "a",
            "candidate": number,
            "steps": [text],
            "step_tokens": [1],
            "finish": "stop",
            "prompt_tokens": 5,
            "tokens": 1,
            "published_correct": right,
        }
        for name, values in columns.items():
            values.append(row.get(name))
    write_table(tmp_path / "candidates.parquet", columns, GRADED_CANDIDATES, {})
    paths = [str(tmp_path / f"{name}.parquet") for name in ("problems", "candidates", "grades")]
    main([json.dumps({"grader": "number", "code": "test"} | spec), *paths])
    table = read_table(paths[2], GRADES)
    return table.to_pylist(), table_metadata(table)["published"]


TEXTS = ["The answer is 4.", "The answer is 4.", "It is four.", "The answer is 5.", ""]


def test_grades_of_the_files_are_compared_with_ours(tmp_path, capsys):
    grades, found = graded_by_files(tmp_path, TEXTS, [True, False, True, False, True])
    assert [row["correct"] for row in grades] == [True, True, False, False, False]
    assert (found["imported"], found["compared"], found["only_here"], found["only_there"]) == (False, 4, 1, 1)
    assert found["answers_unknown"] == 1
    assert found["examples"] == [["a", 1, "4"], ["a", 2, None]]
    assert "; 2 of 4 graded otherwise by their files" in capsys.readouterr().err


def test_grades_of_the_files_take_the_place_of_ours(tmp_path):
    grades, found = graded_by_files(tmp_path, TEXTS, [True, False, True, False, True], imported=True)
    assert [row["correct"] for row in grades] == [True, False, True, False, True]
    classes = [row["answer_class"] for row in grades]
    assert classes[0] == classes[2] == classes[4]
    assert len({classes[0], classes[1], classes[3]}) == 3
    assert found["imported"] is True
    write_candidates(tmp_path / "candidates.parquet", [("a", ["It is 4."], "stop")])
    paths = [str(tmp_path / f"{name}.parquet") for name in ("problems", "candidates", "grades")]
    with pytest.raises(UserError, match="has no grades of its files"):
        main([json.dumps({"grader": "number", "code": "test", "imported": True}), *paths])


FORMULAS = ["x^2 + x", "x(x+1)", "(x+1)^2 - x - 1", "x^2 - x", "x^2 + 1", "\\frac{x}{2}", "x/2 + 0", "2x"]
DOUBLES = "def double(x):\n    return {}\n"
PROGRAMS = [DOUBLES.format(body) for body in ("2 * x", "x + x", "x * x", "1 / 0", "3 * x", "x << 1")]
GROWING = {
    "math": (
        {"a": "x^2+x", "b": "x/2"},
        [f"The answer is \\boxed{{{formula}}}." for formula in FORMULAS],
        (MathWorker, "compare"),
    ),
    "code": (
        {"a": "assert double(3) == 6\nassert double(0) == 0", "b": "assert double(2) == 4"},
        [f"```python\n{program}```\n" for program in PROGRAMS],
        (Sandbox, "run"),
    ),
}


@pytest.mark.parametrize("grader", GROWING)
def test_a_table_that_grows_decides_what_is_new(grader, tmp_path, monkeypatch):
    answers, texts, (room, name) = GROWING[grader]
    decide, calls = getattr(room, name), []

    def counted(self, *texts):
        calls.append(texts)
        return decide(self, *texts)

    monkeypatch.setattr(room, name, counted)
    rows = [(problem, [text], "stop") for problem in answers for text in texts]
    few = [row for place, row in enumerate(rows) if place % 2]
    grown, alone = tmp_path / "grown", tmp_path / "alone"
    run(grown, grader, answers, few)
    first = len(calls)
    run(grown, grader, answers, rows)
    second = len(calls) - first
    run(alone, grader, answers, rows)
    whole = len(calls) - first - second
    assert 0 < second < whole
    assert (grown / "grades.parquet").read_bytes() == (alone / "grades.parquet").read_bytes()
    before = len(calls)
    run(grown, grader, answers, rows)
    assert len(calls) == before
    # Other code may decide otherwise.
    paths = [str(grown / f"{name}.parquet") for name in ("problems", "candidates", "grades")]
    main([json.dumps({"grader": grader, "code": "other"}), *paths])
    assert len(calls) == before + whole
