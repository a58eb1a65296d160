"""What a glance shows of models, and when they are to be looked at again."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from isoflop.config.loading import build_config
from isoflop.config.study import Config
from isoflop.pipeline import preflight
from isoflop.pipeline.jobs import needed_jobs
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.preflight import at_a_glance, check_models_spec
from isoflop.specs import CheckModelsSpec

SHIPPED = Path(__file__).parents[2] / "resources" / "models"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("policy-0.1M", "prm-1.7M"):
        shutil.copytree(SHIPPED / name, tmp_path / name)
    return tmp_path


def config(
    folder: Path, policy: dict[str, Any] | None = None, verifier: dict[str, Any] | None = None
) -> Config:
    prm = {"kind": "math-shepherd", "model": "prm-1.7M", "prompt": "{problem}\n"}
    raw = {
        "experiment": "glance",
        "seed": 1,
        "datasets": {"words": {"source": "wordproblems", "split": "test", "size": 4}},
        "policies": {"small": policy or {"model": "policy-0.1M"}},
        "verifiers": {"prm": verifier or prm},
        "generators": {"sampling": {"kind": "sampling", "samples": 4, "max_tokens": 24}},
        "budgets": [1, 2, 4],
        "selectors": ["majority", "weighted"],
        "step_aggregations": ["last"],
        "headline": {"selector": "weighted"},
    }
    return build_config(raw, "glance.yaml", folder, unpinned=True)


def test_nothing_is_said_of_what_is_whole(folder: Path) -> None:
    assert at_a_glance(config(folder), folder) == []


def test_packages_that_are_missing_are_said_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "find_spec", lambda name: None)
    prm = {"kind": "math-shepherd", "model": "prm-1.7M", "prompt": "{problem}\n", "engine": "vllm"}
    asked = config(folder, {"model": "policy-0.1M", "engine": "vllm"}, prm)
    (fault,) = at_a_glance(asked, folder)
    assert fault.startswith("policies.small, verifiers.prm: need vllm, which is not installed here; install")
    assert at_a_glance(asked, folder, here=False) == []


def test_a_chat_template_that_is_missing_is_said(folder: Path) -> None:
    asked = config(folder, {"model": "policy-0.1M", "chat": True})
    told = "policies.small.chat: the tokenizer of policy-0.1M has no chat template; give chat_template"
    assert at_a_glance(asked, folder) == [told]
    given = config(folder, {"model": "policy-0.1M", "chat": True, "chat_template": "{{ messages }}"})
    assert at_a_glance(given, folder) == []
    path = folder / "policy-0.1M" / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) | {"chat_template": "{{ messages }}"}
    path.write_text(json.dumps(settings), encoding="utf-8")
    assert at_a_glance(asked, folder) == []


def test_a_checkpoint_that_is_not_whole_is_said(folder: Path) -> None:
    path = folder / "policy-0.1M" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    (fault,) = at_a_glance(config(folder), folder)
    assert fault.startswith(f"policies.small.model: {path}: should have")
    path.unlink()
    (fault,) = at_a_glance(config(folder), folder)
    assert "has no weights; put model.safetensors there" in fault


def test_models_are_looked_at_again_when_jobs_or_files_change(folder: Path) -> None:
    def key(asked: Config, only: str | None = None) -> str:
        jobs = [(job.stage, job.spec) for job in needed_jobs(Plan(asked, folder), "{}")]
        text = check_models_spec([job for job in jobs if only in (None, job[0])], folder)
        assert text is not None
        spec = CheckModelsSpec.model_validate_json(text)
        assert {job.stage for job in spec.jobs} <= set(preflight.LOADING)
        return spec.key

    first = key(config(folder))
    assert key(config(folder)) == first
    assert key(config(folder), "score") != first
    assert key(config(folder, {"model": "policy-0.1M", "dtype": "bfloat16"})) != first
    (folder / "prm-1.7M" / "config.json").touch()
    assert key(config(folder)) != first
    assert check_models_spec([("grade", "{}"), ("report", "{}")], folder) is None
