"""Stages that work in chunks: what names their unfinished work, and what becomes of it."""

import hashlib
import importlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from problem_tables import write_problems

from isoflop.errors import UserError
from isoflop.files import read_ledger, read_parquet, write_columns
from isoflop.stages.shared.chunked import ChunkedTask, Started, Tally, run_chunked
from isoflop.stages.shared.chunks import ProgressLine
from isoflop.sums import sealed_parquet
from isoflop.tables import CANDIDATES

SCHEMA = pa.schema([("item", pa.int64())])
SPEC = '{"policy":{"model":"m"},"seed":5}'


@pytest.fixture
def task(tmp_path: Path) -> ChunkedTask[int]:
    (tmp_path / "problems.parquet").write_bytes(b"problems")
    model = tmp_path / "model"
    model.mkdir()
    (model / "b.bin").write_bytes(b"weights")
    (model / "a.json").write_bytes(b"{}")
    return ChunkedTask(
        out=str(tmp_path / "out.parquet"),
        size=2,
        spec=SPEC,
        inputs=[str(tmp_path / "problems.parquet")],
        models=[str(model), "owner/name", None],
        items=range(5),
        schema=SCHEMA,
        what="count",
        requests=10,
    )


def run(task: ChunkedTask[int], done: list[int], dies_at: int | None = None) -> None:
    def work(chunk: Sequence[int], line: ProgressLine) -> tuple[pa.Table, Tally]:
        if dies_at in chunk:
            raise InterruptedError
        done.extend(chunk)
        line(2 * len(chunk), 0)
        return pa.table({"item": list(chunk)}, schema=SCHEMA), {"items": len(chunk)}

    def finish(table: pa.Table, totals: Tally) -> None:
        assert totals["items"] == len(table)
        pq.write_table(table, task.out)

    run_chunked(task, lambda: Started(work, finish))


def test_unfinished_work_has_the_name_it_always_had(task: ChunkedTask[int]) -> None:
    """So a run that was killed before an upgrade goes on after it: never change this."""
    with pytest.raises(InterruptedError):
        run(task, [], dies_at=3)
    folder = Path(task.out).parent
    contents = [folder / "problems.parquet", folder / "model/a.json", folder / "model/b.bin"]
    name = hashlib.sha256(f"{SPEC}2".encode())
    for path in contents:
        name.update(hashlib.sha256(path.read_bytes()).digest())
    assert [path.name for path in folder.glob(".*")] == [f".out.parquet.{name.hexdigest()[:16]}.chunks"]
    assert name.hexdigest()[:16] == "4528af0303401d51"


POLICY, JUDGE = {"model": "writer"}, {"kind": "math-shepherd", "model": "judge"}
COMMON = {"policy": POLICY, "seed": 5, "version": 1}
NAMED = {"name": "x", "grader": "number", "seed": 5, "version": 1}
CHAINS = {"problems": "p", "policy": "a", "max_tokens": 9}
SPECS: dict[str, dict[str, object]] = {
    "sample": COMMON | {"generator": {"kind": "greedy", "max_tokens": 9}},
    "search": COMMON
    | {
        "verifier": JUDGE,
        "generator": {"kind": "rebase", "budgets": [2], "max_tokens": 9, "max_step_tokens": 3},
    },
    "revise": COMMON | {"generator": {"kind": "revisions", "chains": 2, "length": 2, "max_tokens": 9}},
    "score": {"verifier": JUDGE, "version": 1},
    "step_labels": NAMED
    | {
        "label": {
            "problems": "p", "policies": ["a"], "completer": "b", "samples_per_problem": 1, "rollouts": 2,
            "max_tokens": 9,
        },
        "policies": {"a": POLICY, "b": {"model": "completer"}},
    },
    "trajectories": NAMED | {"trajectories": CHAINS | {"samples_per_problem": 4}, "policy": POLICY},
    "chain_labels": NAMED | {"chains": CHAINS | {"chains": 2, "length": 2}, "policy": POLICY},
}  # fmt: skip
MODELS = {"search": ["writer", "judge"], "score": ["judge"], "step_labels": ["writer", "completer"]}


@pytest.mark.parametrize("name", SPECS)
def test_what_decides_a_stages_chunks_is_what_it_always_was(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = importlib.import_module(f"isoflop.stages.{name}")
    tasks: list[ChunkedTask[object]] = []
    runs = "run_chunked" if hasattr(stage, "run_chunked") else "run_grown"
    monkeypatch.setattr(stage, runs, lambda task, *_, **__: tasks.append(task))
    problems = str(write_problems(tmp_path / "problems.parquet", "dev", 3, seed=9))
    inputs, outputs = [problems], ["out.parquet", "second"]
    if name == "score":
        inputs.append(str(tmp_path / "candidates.parquet"))
        write_columns(inputs[1], CANDIDATES.empty_table(), CANDIDATES, {})
    text = json.dumps(SPECS[name])
    stage.main([text, *inputs, *outputs[: 1 if name in ("step_labels", "trajectories") else 2]])
    [task] = tasks
    assert (task.spec, task.inputs) == (text, inputs)
    assert task.models == MODELS.get(name, ["writer"])
    assert (task.out, task.size) == ("out.parquet", 100 if name == "step_labels" else 25)


def test_a_killed_run_goes_on_and_tidies_up(
    task: ChunkedTask[int], capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[int] = []
    with pytest.raises(InterruptedError):
        run(task, done, dies_at=3)
    assert done == [0, 1]
    capsys.readouterr()
    run(task, done)
    assert done == [0, 1, 2, 3, 4]
    assert capsys.readouterr().err.startswith("count: 6/6, 0 tokens")
    assert pq.read_table(task.out)["item"].to_pylist() == [0, 1, 2, 3, 4]
    assert not list(Path(task.out).parent.glob(".*"))


@pytest.mark.parametrize("damage", ["a bit", "its end", "all", "another file", "none", "none, without a sum"])
def test_a_damaged_chunk_is_computed_again(
    damage: str, task: ChunkedTask[int], capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[int] = []
    with pytest.raises(InterruptedError):
        run(task, done, dies_at=4)
    first, second = sorted(Path(task.out).parent.glob(".*/*.parquet"))
    content = first.read_bytes()
    if damage == "none, without a sum":
        table = read_parquet(first)
        pq.write_table(table, first)
    elif damage != "none":
        first.write_bytes(
            {
                "a bit": content[:20] + bytes([content[20] ^ 1]) + content[21:],
                "its end": content[:-1],
                "all": b"",
                "another file": bytes(sealed_parquet(pa.table({"item": [7, 8]}))),
            }[damage]
        )
    capsys.readouterr()
    run(task, done)
    again = [] if damage.startswith("none") else [0, 1]
    assert done == [0, 1, 2, 3, *again, 4]
    told = capsys.readouterr().err
    assert (f"note: {first}: " in told and "it is computed again" in told) == bool(again)
    assert str(second) not in told
    assert pq.read_table(task.out)["item"].to_pylist() == [0, 1, 2, 3, 4]


def test_where_there_is_nothing_to_do_no_model_is_loaded(task: ChunkedTask[int], tmp_path: Path) -> None:
    part = str(tmp_path / "out.shards" / "1-of-9-by-2.parquet")
    ledger = part.replace("parquet", "ledger.json")
    run_chunked(replace(task, out=part, ledger=ledger), lambda: pytest.fail("a model was loaded"))
    assert pq.read_table(part).num_rows == 0
    assert read_ledger(ledger) == {}
    with pytest.raises(UserError, match=r"out\.parquet: there are no problems"):
        run_chunked(replace(task, items=[]), lambda: pytest.fail("a model was loaded"))
