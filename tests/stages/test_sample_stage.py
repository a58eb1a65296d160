"""The sampling and scoring stages on tiny checkpoints: resumption after a kill, chunks, alignment."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest
from problem_tables import write_problems

from isoflop.engines import hf_policy
from isoflop.errors import UserError
from isoflop.files import read_table, table_metadata
from isoflop.growth.measured import read_times
from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.seeds import derive_seed
from isoflop.specs import SampleSpec
from isoflop.stages import sample, score, step_labels
from isoflop.stages.shared.chunks import Chunks, fingerprint
from isoflop.tables import CANDIDATES, PROBLEMS, SCORES


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_problems(tmp_path / "problems.parquet", "dev", 12, seed=9)


def sample_spec(model: str, samples: int = 6, max_tokens: int = 20, seed: int = 5) -> str:
    generator = {"kind": "sampling", "samples": samples, "max_tokens": max_tokens}
    spec = {"policy": {"model": model}, "generator": generator, "seed": seed, "version": 1}
    return SampleSpec.model_validate_json(json.dumps(spec)).model_dump_json()


def score_spec(model: str) -> str:
    return json.dumps(
        {"verifier": {"kind": "math-shepherd", "model": model, "prompt": "{problem}\n"}, "version": 1}
    )


def run_sample(spec: str, problems: Path, folder: Path, chunk: int, **settings: int) -> Path:
    out = folder / "c.parquet"
    runtime = json.dumps({"chunk_problems": chunk, **settings})
    sample.main(["--runtime", runtime, spec, str(problems), str(out), str(folder / "c.ledger.json")])
    return out


def test_chunks_and_batches_change_nothing(model: str, problems: Path, tmp_path: Path) -> None:
    spec = sample_spec(model)
    one = read_table(run_sample(spec, problems, tmp_path / "one", 100), CANDIDATES)
    many = read_table(run_sample(spec, problems, tmp_path / "many", 1, batch_size=5), CANDIDATES)
    exact = ["problem_id", "candidate", "steps", "step_tokens", "finish", "prompt_tokens", "tokens"]
    assert one.select(exact).equals(many.select(exact))
    assert one["logprob"].to_pylist() == pytest.approx(many["logprob"].to_pylist(), abs=1e-3)
    rows = one.to_pylist()
    assert [row["candidate"] for row in rows] == list(range(6)) * 12
    for row in rows:
        assert sum(row["step_tokens"]) == row["tokens"]
        assert len(row["steps"]) == len(row["step_tokens"]) >= 1
        assert row["finish"] == "stop" or row["tokens"] == 20
    assert len({tuple(row["steps"]) for row in rows}) > 65, "each request has its own randomness"
    ledger = json.loads((tmp_path / "one" / "c.ledger.json").read_text())
    assert ledger["generated_tokens"] == sum(row["tokens"] for row in rows)
    assert (
        ledger["prompt_tokens"]
        == 6 * ledger["prompt_tokens_reused"]
        == sum(row["prompt_tokens"] for row in rows)
    )
    assert ledger["model"] == table_metadata(one)["model"]
    assert not {"seconds", "machine", "ended"} & ledger.keys()
    times = read_times(tmp_path / "one" / "c.parquet")
    assert times.seconds is not None
    assert times.seconds > 0
    assert times.machines[0]["threads"] >= 1
    again = tmp_path / "many" / "c.ledger.json"
    assert again.read_bytes() == (tmp_path / "one" / "c.ledger.json").read_bytes()


def test_what_was_settled_is_among_the_measured_and_what_was_not_is_noted(
    model: str, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger of an exact model says nothing of it; one that is not is told to readers."""
    monkeypatch.setattr(hf_policy, "ROUNDING", 1.0)
    spec = json.loads(sample_spec(model))
    ledgers, times = {}, {}
    for exact in (True, False):
        spec["policy"]["exact"] = exact
        out = run_sample(json.dumps(spec), problems, tmp_path / str(exact), 5)
        ledgers[exact] = json.loads((out.parent / "c.ledger.json").read_text())
        times[exact] = read_times(out)
    assert "settled" not in ledgers[True] | ledgers[False]
    assert times[True].settled is not None
    assert times[True].settled > 0 == times[False].settled
    assert "notes" not in ledgers[True]
    assert "exact: false" in ledgers[False]["notes"][0]


def test_the_first_samples_are_a_prefix_of_more(model: str, problems: Path, tmp_path: Path) -> None:
    few = run_sample(sample_spec(model, samples=2), problems, tmp_path / "few", 25)
    more = run_sample(sample_spec(model, samples=4), problems, tmp_path / "more", 25)
    kept = [row for row in read_table(more, CANDIDATES).to_pylist() if row["candidate"] < 2]
    assert [row["steps"] for row in kept] == [row["steps"] for row in read_table(few, CANDIDATES).to_pylist()]


def test_a_killed_run_resumes_to_the_same_bytes(model: str, problems: Path, tmp_path: Path) -> None:
    spec = sample_spec(model, samples=24, max_tokens=60)
    whole = run_sample(spec, problems, tmp_path / "whole", 2).read_bytes()

    folder = tmp_path / "killed"
    folder.mkdir()
    out = folder / "c.parquet"
    command = [
        sys.executable,
        "-m",
        "isoflop.stages.sample",
        "--runtime",
        '{"chunk_problems": 2}',
        spec,
        str(problems),
        str(out),
        str(folder / "l.json"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not list(folder.glob(".*.chunks/000001.parquet")):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    done = {path.name: path.stat().st_mtime_ns for path in folder.glob(".*.chunks/*.parquet")}
    assert 2 <= len(done) < 6

    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert out.read_bytes() == whole
    assert not list(folder.glob(".*.chunks"))
    assert f"{24 * (12 - 2 * len(done)):,}/{24 * (12 - 2 * len(done)):,}" in finished.stderr


def test_chunks_of_other_settings_are_not_taken_up(model: str, problems: Path, tmp_path: Path) -> None:
    other = run_sample(sample_spec(model, seed=6), problems, tmp_path / "other", 2)
    folder = tmp_path / "mixed"
    run_sample(sample_spec(model, seed=5), problems, folder, 2)
    assert run_sample(sample_spec(model, seed=6), problems, folder, 2).read_bytes() == other.read_bytes()


def test_scores_follow_the_candidates(model: str, problems: Path, tmp_path: Path) -> None:
    candidates = run_sample(sample_spec(model), problems, tmp_path, 100)
    for name, chunk in (("one", 100), ("many", 3)):
        paths = [
            str(problems),
            str(candidates),
            str(tmp_path / f"{name}.parquet"),
            str(tmp_path / f"{name}.json"),
        ]
        score.main(["--runtime", json.dumps({"chunk_problems": chunk}), score_spec(model), *paths])
    one, many = (read_table(tmp_path / f"{name}.parquet", SCORES).to_pylist() for name in ("one", "many"))
    rows = read_table(candidates, CANDIDATES).to_pylist()
    for row, first, second in zip(rows, one, many, strict=True):
        assert (row["problem_id"], row["candidate"]) == (first["problem_id"], first["candidate"])
        assert len(first["step_scores"]) == len(row["steps"])
        assert all(0 <= value <= 1 for value in first["step_scores"])
        assert first["step_scores"] == second["step_scores"]
    ledger = json.loads((tmp_path / "one.json").read_text())
    assert ledger["verifier_tokens"] == sum(row["verifier_tokens"] for row in one)


def test_candidates_of_other_problems_are_refused(model: str, problems: Path, tmp_path: Path) -> None:
    candidates = run_sample(sample_spec(model, samples=1), problems, tmp_path, 100)
    table = read_table(problems, PROBLEMS)
    pq.write_table(table.slice(1), tmp_path / "fewer.parquet")
    with pytest.raises(UserError, match="dev-00000"):
        score.main([score_spec(model), str(tmp_path / "fewer.parquet"), str(candidates), "x", "y"])


def test_seeds_depend_on_every_part() -> None:
    parts = [("a", 1, "b"), ("a", 1, "c"), ("a", 2, "b"), ("a", "1", "b"), ("a1", "b"), ("a", 1)]
    assert len({derive_seed(*part) for part in parts}) == len(parts)
    assert derive_seed("a", 1) == 8390313410132574505


def test_chunks_of_another_checkpoint_are_not_taken_up(
    model: str, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same folder holds another model when the run goes on."""
    folder = tmp_path / "policy"
    shutil.copytree(model, folder)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    spec = sample_spec(str(folder))

    def stop(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patched:
        patched.setattr(Chunks, "remove", stop)
        with pytest.raises(InterruptedError):
            run_sample(spec, problems, tmp_path / "a", 2)
    [begun] = (tmp_path / "a").glob(".*.chunks")
    assert len(list(begun.iterdir())) == 6
    shutil.copy(save_tiny(tmp_path / "other", seed=5) + "/model.safetensors", folder)
    alone = run_sample(spec, problems, tmp_path / "b", 2)
    resumed = run_sample(spec, problems, tmp_path / "a", 2)
    assert read_table(resumed, CANDIDATES).equals(read_table(alone, CANDIDATES))
    assert not begun.exists()


def test_a_chunk_that_a_power_cut_left_empty_is_made_again(
    model: str, problems: Path, tmp_path: Path
) -> None:
    spec = sample_spec(model)
    whole = run_sample(spec, problems, tmp_path, 4).read_bytes()
    chunks = Chunks(tmp_path / "c.parquet", fingerprint(f"{spec}4", [problems], [model]), 4)
    (chunks.folder / "000001.parquet").touch()
    assert run_sample(spec, problems, tmp_path, 4).read_bytes() == whole


@pytest.mark.parametrize("stage", [sample, score, step_labels])
def test_missing_arguments_are_refused_with_the_usage(stage: ModuleType) -> None:
    with pytest.raises(UserError, match=r"usage: python -m isoflop\.stages"):
        stage.main(["{}"])
