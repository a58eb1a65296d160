"""Plan and measurement: what finished jobs took, beside the forecast of the same config."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from planned import study

from isoflop.costs import ModelShape, flops_kaplan, flops_of_positions, flops_total
from isoflop.errors import UserError
from isoflop.files import write_columns, write_table, write_text
from isoflop.forecast.measured import COLUMNS, plan_csv, plan_table, seconds_csv, seconds_table
from isoflop.forecast.work import StudyWork
from isoflop.stages.plan_comparison import compared
from isoflop.stages.shared.ledgers import Times, write_times
from isoflop.stages.shared.runtime import Runtime
from isoflop.tables import CANDIDATES, PROBLEMS, SCORES, TREES

POLICY = ModelShape(parameters=1000, embedding_parameters=0, layers=2, attention_width=8)
GUIDE = ModelShape(parameters=3000, embedding_parameters=0, layers=1, attention_width=16)
PROBLEM_COUNT, SAMPLES = 3, 4
USAGE = {
    "prompt": 20, "generated": 90, "attended": 3000, "read_again": 0, "looked": 0, "scored": 120,
    "scored_attended": 4000, "scored_again": 0, "nominal_samples": 2,
}  # fmt: skip


def work(**planning: Any) -> StudyWork:
    return study(
        {
            "sampling": {"kind": "sampling", "samples": SAMPLES, "max_tokens": 100},
            "tree": {"kind": "rebase", "budgets": [2], "max_tokens": 100, "max_step_tokens": 50},
        },
        ("prm",),
        **{"prompt_tokens": 10.0, "solution_tokens": 30.0, "steps": 3.0, "gpu": "cpu"} | planning,
    )


def ledger(path: Path, model: ModelShape, seconds: float) -> None:
    write_text(path, json.dumps({"model": model.model_dump()}))
    write_times(str(path), Times(seconds=seconds))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    ids = [str(place) for place in range(PROBLEM_COUNT)]
    columns: dict[str, list[object]] = {
        "problem_id": list(ids),
        "prompt": list(ids),
        "answer": list(ids),
        **{name: [None] * PROBLEM_COUNT for name in ("level", "subject", "solution")},
    }
    write_table(tmp_path / "problems/words.parquet", columns, PROBLEMS, {})
    rows = PROBLEM_COUNT * SAMPLES
    keys: dict[str, list[object]] = {
        "problem_id": [one for one in ids for _ in range(SAMPLES)],
        "candidate": list(range(SAMPLES)) * PROBLEM_COUNT,
    }
    candidates: dict[str, list[object]] = keys | {
        "steps": [["a"]] * rows,
        "step_tokens": [[60]] * rows,
        "finish": ["stop"] * rows,
        "prompt_tokens": [20] * rows,
        "tokens": [60] * rows,
        **{name: [None] * rows for name in ("logprob", "source", "budget", "run")},
    }
    base = tmp_path / "sample/words/small"
    write_table(base / "sampling.parquet", candidates, CANDIDATES, {})
    ledger(base / "sampling.ledger.json", POLICY, 5.0)
    scores = keys | {"step_scores": [[0.5]] * rows, "verifier_tokens": [81] * rows}
    base = tmp_path / "score/words/small"
    write_table(base / "sampling/prm.parquet", scores, SCORES, {})
    ledger(base / "sampling/prm.ledger.json", GUIDE, 7.0)
    trees = [{"problem_id": one, "run": 0, "nodes": [], "candidates": [], **USAGE} for one in ids]
    base = tmp_path / "search/words/small/tree"
    write_columns(base / "2.parquet", pa.Table.from_pylist(trees, schema=TREES), TREES, {})
    ledger(base / "2.ledger.json", POLICY, 11.0)
    return tmp_path


def test_measured_are_tokens_flops_and_seconds_of_every_job(results: Path) -> None:
    sample, score, search = compared(results, work(), Runtime())
    assert [one.planned.stage for one in (sample, score, search)] == ["sample", "score", "search"]
    copies = [1.0, 0.0, 0.0, 0.0] * PROBLEM_COUNT
    assert sample.measured == {
        "read": 60,
        "written": 720,
        "judged": 0,
        "seconds": 5.0,
        "flops": pytest.approx(float(flops_total(POLICY, 20, 60, copies).sum())),
    }
    assert score.measured == {
        "read": 0,
        "written": 0,
        "judged": 972,
        "seconds": 7.0,
        "flops": pytest.approx(12 * float(flops_kaplan(GUIDE, 0, 81))),
    }
    one = (
        flops_kaplan(POLICY, 0, 20)
        + flops_of_positions(POLICY, 90, 3000)
        + flops_of_positions(GUIDE, 120, 4000)
    )
    assert search.measured == {
        "read": 60,
        "written": 270,
        "judged": 360,
        "seconds": 11.0,
        "flops": pytest.approx(3 * float(one)),
    }


def test_planned_is_what_the_assumptions_say_with_the_sizes_found(results: Path) -> None:
    sample, score, search = (one.planned for one in compared(results, work(), Runtime()))
    assert (sample.read, sample.written) == (30, 12 * 30)
    assert sample.flops == pytest.approx(12 * float(flops_total(POLICY, 10, 30, 1 / SAMPLES)))
    assert score.flops == pytest.approx(12 * float(flops_kaplan(GUIDE, 0, 43)))
    assert (search.read, search.written, search.judged) == (30, 3 * 2 * 30, 3 * 2 * 43)
    slower = compared(results, work(utilisation={"decode": 0.1}), Runtime())[0].planned
    assert slower.seconds > sample.seconds
    assert replace(slower, seconds=sample.seconds) == sample


def _given(model: str, **settings: int) -> Runtime:
    models = {model: {"gpus": 2, "memory_share": 0.5}}
    return Runtime.model_validate({"models": models, **settings})


def test_the_machine_decides_seconds_alone(results: Path) -> None:
    before = [one.planned for one in compared(results, work(), Runtime())]
    after = [one.planned for one in compared(results, work(), _given("models/m", chunk_problems=1))]
    assert before[0].seconds != after[0].seconds
    for one, other in zip(before, after, strict=True):
        assert replace(other, seconds=one.seconds, gpus=one.gpus) == one


def test_the_machine_knows_a_hub_model_by_its_commit(results: Path) -> None:
    plain = work()
    pinned = {name: use.model_copy(update={"revision": "0" * 40}) for name, use in plain.policies.items()}
    hub = plain.model_copy(update={"policies": pinned})
    gpus = []
    for key in ("models/m", f"models/m@{'0' * 40}"):
        gpus.append([compared(results, one, _given(key))[0].planned.gpus for one in (plain, hub)])
    assert gpus == [[2, 1], [1, 2]]


def test_the_table_has_sums_and_ratios(results: Path) -> None:
    jobs = compared(results, work(), Runtime())
    rows = list(csv.DictReader(io.StringIO(plan_csv(jobs, "made"))))
    assert tuple(rows[0]) == COLUMNS
    found = {(row["stage"], row["policy"], row["quantity"]): row for row in rows}
    written = found["sample", "all", "written"]
    assert (written["planned"], written["measured"], written["ratio"]) == ("360", "720", "2")
    assert found["sample", "small", "written"]["ratio"] == "2"
    assert ("sample", "all", "judged") not in found
    assert {row["experiment"] for row in rows} == {"made"}
    table = plan_table(jobs)
    assert [[cell.text for cell in row][:3] for row in table.rows] == [
        ["sample", "small", "sampling"], ["sample", "all", "all"], ["search", "small", "tree"],
        ["search", "all", "all"], ["score", "small", "sampling"], ["score", "all", "all"],
    ]  # fmt: skip
    assert [cell.text for cell in table.rows[1]][3:6] == ["390", "780", "2"]
    assert all(len(row) == len(table.header) for row in table.rows)
    clock = seconds_table(jobs, work().planning)
    assert [cell.text for cell in clock.rows[1]][4] == "5"
    assert "for cpu" in clock.note
    seconds = list(csv.DictReader(io.StringIO(seconds_csv(jobs, "made"))))
    assert {row["quantity"] for row in seconds} == {"seconds"}
    assert [row["measured"] for row in seconds if row["policy"] == "all"] == ["5", "11", "7"]
    assert "seconds" not in {row["quantity"] for row in rows}


def test_chains_are_measured_with_the_prompts_of_their_revisions(results: Path) -> None:
    ids = [str(place) for place in range(PROBLEM_COUNT)]
    rows = PROBLEM_COUNT * 2
    columns: dict[str, list[object]] = {
        "problem_id": [one for one in ids for _ in range(2)],
        "candidate": [0, 1] * PROBLEM_COUNT,
        "steps": [["a"]] * rows,
        "step_tokens": [[60]] * rows,
        "finish": ["stop"] * rows,
        "prompt_tokens": [20, 85] * PROBLEM_COUNT,
        "tokens": [60] * rows,
        "budget": [1, 2] * PROBLEM_COUNT,
        "run": [0] * rows,
        **{name: [None] * rows for name in ("logprob", "source")},
    }
    base = results / "sample/words/small"
    write_table(base / "chains.parquet", columns, CANDIDATES, {})
    ledger(base / "chains.ledger.json", POLICY, 3.0)
    chains = {"kind": "revisions", "chains": 1, "length": 2, "max_tokens": 100}
    planning = {"prompt_tokens": 10.0, "solution_tokens": 30.0, "steps": 3.0, "gpu": "cpu"}
    jobs = compared(results, study({"chains": chains}, **planning), Runtime())
    [revise] = jobs
    assert (revise.planned.stage, revise.planned.read, revise.planned.written) == ("revise", 3 * 50, 180)
    flops = flops_total(POLICY, 20, 60, 1) + flops_total(POLICY, 85, 60, 1)
    assert revise.measured == {
        "read": 315, "written": 360, "judged": 0, "seconds": 3.0, "flops": pytest.approx(3 * float(flops)),
    }  # fmt: skip
    assert next(csv.DictReader(io.StringIO(plan_csv(jobs, "made"))))["stage"] == "revise"


def test_jobs_without_a_ledger_are_left_out(results: Path) -> None:
    (results / "search/words/small/tree/2.ledger.json").unlink()
    jobs = compared(results, work(), Runtime())
    assert jobs[2].measured is None
    assert "search" not in plan_csv(jobs, "made")
    assert plan_csv([], "made") == ",".join(COLUMNS) + "\n"


def test_broken_files_are_refused_by_name(results: Path) -> None:
    path = results / "sample/words/small/sampling.ledger.json"
    path.write_text('{"model": {"parameters": 5}}')
    with pytest.raises(UserError, match=r"sampling\.ledger\.json: its model has no sizes"):
        compared(results, work(), Runtime())
    ledger(path, POLICY, 1.0)
    (results / "score/words/small/sampling/prm.parquet").write_text("no table")
    with pytest.raises(UserError, match=r"prm\.parquet: cannot be read as Parquet"):
        compared(results, work(), Runtime())
    (results / "problems/words.parquet").unlink()
    with pytest.raises(UserError, match=r"words\.parquet: cannot be read as Parquet"):
        compared(results, work(), Runtime())
