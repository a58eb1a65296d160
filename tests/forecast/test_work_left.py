"""What `isoflop plan` and `diff` say is left of a study that has begun, against what a run then asks for."""

import importlib
import json
import shutil
from pathlib import Path

import pytest
from growing import counting

from isoflop import cli
from isoflop.config.loading import load_config
from isoflop.forecast.study_work import comparison_spec
from isoflop.pipeline.jobs import StageJob, needed_jobs
from isoflop.pipeline.plan import Plan
from isoflop.rehearsal.tiny_models import save_tiny

TINY = """\
experiment: tiny
seed: 1
datasets: {words: {source: wordproblems, split: test, size: 4}}
policies: {small: {model: models/small}}
verifiers: {prm: {kind: math-shepherd, model: models/prm}}
generators:
  sampling: {kind: sampling, samples: 4, temperature: 1.0, max_tokens: 24}
  chains: {kind: revisions, chains: 2, length: 2, max_tokens: 24}
  tree: {kind: rebase, budgets: [2, 4], max_tokens: 24, max_step_tokens: 8}
budgets: [1, 2, 4]
selectors: [majority, weighted]
step_aggregations: [last]
headline: {selector: weighted}
planning: {gpu: cpu}
"""
MODEL_STAGES = ("sample", "revise", "search", "score")
# Requests of all: 16 samples, 16 answers in chains, 8 searches, 32 scores.
EDITS = {
    "nothing": ({}, {"sample": 0, "revise": 0, "search": 0, "score": 0}),
    "samples": ({"samples: 4": "samples: 8"}, {"sample": 16, "revise": 0, "search": 0, "score": 16}),
    "problems": ({"size: 4": "size: 5"}, {"sample": 4, "revise": 4, "search": 2, "score": 8}),
    "fewer": (
        {"size: 4": "size: 3", "samples: 4": "samples: 2", "[1, 2, 4]": "[1, 2]"},
        dict.fromkeys(MODEL_STAGES, 0),
    ),
    "budgets": ({"[2, 4], max": "[2, 4, 8], max"}, {"sample": 0, "revise": 0, "search": 4, "score": 0}),
    "longer chains": ({"length: 2": "length: 3"}, {"sample": 0, "revise": 8, "search": 0, "score": 8}),
    "temperature": (
        {"temperature: 1.0": "temperature: 0.7"},
        {"sample": 16, "revise": 0, "search": 0, "score": 16},
    ),
}


def model_jobs(plan: Plan) -> list[StageJob]:
    """The jobs that make problems and run models."""
    return [
        job for job in needed_jobs(plan, comparison_spec(plan)) if job.stage in ("problems", *MODEL_STAGES)
    ]


def finish(folder: Path) -> None:
    """Run them, in `folder`, which is the working directory."""
    for job in model_jobs(Plan(load_config([folder / "tiny.yaml"], root=folder), folder)):
        inputs = [path for path in job.inputs if path.startswith("results/")]
        outputs = [path for path in job.outputs if not path.endswith(".times.json")]
        importlib.import_module(f"isoflop.stages.{job.stage}").main([job.spec, *inputs, *outputs])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    save_tiny(folder / "models/small", scale=1.0)
    save_tiny(folder / "models/prm", seed=7)
    (folder / "tiny.yaml").write_text(TINY, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        finish(folder)
    return folder


@pytest.mark.parametrize("name", EDITS)
def test_only_the_new_part_is_planned(
    name: str,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edits, expected = EDITS[name]
    folder = tmp_path / "study"
    shutil.copytree(finished, folder)
    monkeypatch.chdir(folder)
    text = TINY
    for old, new in edits.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "before.yaml").write_text(TINY, encoding="utf-8")
    (folder / "tiny.yaml").write_text(text, encoding="utf-8")
    cli.main(["plan", "--offline", "--format", "json", "tiny.yaml"])
    plan = json.loads(capsys.readouterr().out)
    left = {
        stage: sum(round(job["left"] * requests(job)) for job in plan["jobs"] if job["stage"] == stage)
        for stage in MODEL_STAGES
    }
    assert left == expected
    cli.main(["diff", "before.yaml", "tiny.yaml"])
    told = capsys.readouterr().out.splitlines()[-1]
    if edits:
        assert [f"{stage} {count} of" in told for stage, count in expected.items()] == [True] * 4
    else:
        assert told == "no key differs: nothing reruns"
    with counting(monkeypatch) as asked:
        finish(folder)
    # Random models repeat themselves: a text that was scored is not scored again.
    assert asked.judged <= left["score"]
    assert (asked.written - left["sample"] - left["revise"], asked.searched) == (0, left["search"])


def requests(job: dict[str, float]) -> float:
    """Rows of its table."""
    return {"search": 4.0}.get(str(job["stage"]), job["requests"])
