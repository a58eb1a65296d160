"""Which GPUs a search's two models get, and what of a machine's settings reaches a stage."""

import json
from pathlib import Path
from typing import Any

import pytest

from isoflop.config.loading import build_config
from isoflop.config.models import Policy, Server
from isoflop.engines.vllm_settings import VllmSettings
from isoflop.errors import UserError
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_report import ReportPlan
from isoflop.stages.shared import models
from isoflop.stages.shared.gpus import visible_devices
from isoflop.stages.shared.models import assign_devices, devices_for
from isoflop.stages.shared.runtime import Runtime
from isoflop.verifiers.kinds.math_shepherd import MathShepherd


def _one(gpus: int, share: float = 0.9) -> VllmSettings:
    return VllmSettings(gpus, share)


@pytest.mark.parametrize(
    ("visible", "needs", "expected"),
    [
        ([], [_one(1), _one(1)], ["", ""]),
        (["0", "1"], [_one(1), _one(1)], ["0", "1"]),
        (["4", "5", "6", "7"], [_one(1), _one(2)], ["4", "5,6"]),
        (["3"], [_one(1, 0.5), _one(1, 0.4)], ["3", "3"]),
        (["0", "1"], [_one(2, 0.6), _one(1, 0.3)], ["0,1", "0"]),
        (["2", "3"], [None, _one(1)], ["", "2"]),
        (["2"], [_one(1), None], ["2", ""]),
        (["0", "1", "2"], [_one(1), _one(1), _one(1)], ["0", "1", "2"]),
        (["0"], [_one(1, 0.3), _one(1, 0.3), _one(1, 0.3)], ["0", "0", "0"]),
        (["0"], [_one(1), _one(1)], "2 models share 1 GPU, and 0.9 and 0.9"),
        (["0", "1"], [_one(1, 0.4), _one(1, 0.4), _one(1, 0.4)], "3 models share 2 GPU"),
        (["0"], [_one(2, 0.4), _one(1, 0.4)], "a model needs 2, and this job has 1"),
    ],
)
def test_models_have_gpus_of_their_own_or_share_memory(
    visible: list[str], needs: list[VllmSettings | None], expected: list[str] | str
) -> None:
    if isinstance(expected, str):
        with pytest.raises(UserError, match=expected):
            assign_devices(visible, needs)
    else:
        assert assign_devices(visible, needs) == expected


def test_models_that_need_no_gpu_claim_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isoflop.stages.shared.models.job_devices", lambda *_: pytest.fail("asked for GPUs"))
    entries = [Policy(model="a"), MathShepherd(kind="math-shepherd", model="b")]
    assert devices_for(entries, Runtime()) == ["", ""]


def test_a_search_asks_for_all_its_models_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def give(wanted: int, least: int, _: Runtime) -> list[str]:
        asked.append((wanted, least))
        return ["5", "6", "7"]

    monkeypatch.setattr("isoflop.stages.shared.models.job_devices", give)
    runtime = Runtime.model_validate({"models": {"big": {"gpus": 2, "memory_share": 0.9}}})
    policy = Policy(model="big", engine="vllm", dtype="bfloat16")
    verifier = MathShepherd(kind="math-shepherd", model="prm", engine="vllm")
    assert devices_for([policy, verifier], runtime) == ["5,6", "7"]
    assert asked == [(3, 2)]


def test_a_job_sees_the_gpus_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert visible_devices() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_devices() == []


@pytest.fixture
def raw(tmp_path: Path) -> dict[str, Any]:
    """A config whose policy runs in vLLM and guides a search."""
    for name in ("small", "prm"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "config.json").write_text("{}")
    return {
        "experiment": "x",
        "seed": 1,
        "datasets": {"words": {"source": "wordproblems", "split": "test", "size": 4}},
        "policies": {"small": {"model": "models/small", "engine": "vllm"}},
        "verifiers": {"prm": {"kind": "math-shepherd", "model": "models/prm"}},
        "generators": {
            "sampling": {"kind": "sampling", "samples": 4, "max_tokens": 16},
            "rebase": {"kind": "rebase", "budgets": [4], "max_tokens": 16, "max_step_tokens": 8},
        },
        "budgets": [1, 2, 4],
        "selectors": ["majority"],
        "headline": {"selector": "majority"},
    }


def _plan(raw: dict[str, Any], folder: Path) -> Plan:
    return Plan(build_config(raw, "x.yaml", folder), folder)


def test_what_a_machine_gives_a_model_is_in_no_specification(raw: dict[str, Any], tmp_path: Path) -> None:
    plain = _plan(raw, tmp_path)
    raw["policies"]["small"] |= {"gpus": 4, "memory_share": 0.5}
    spread = _plan(raw, tmp_path)
    assert plain.sample("small", "sampling") == spread.sample("small", "sampling")
    assert plain.search("small", "rebase", 4) == spread.search("small", "rebase", 4)
    assert json.loads(spread.models.machine()) == {"models/small": {"gpus": 4, "memory_share": 0.5}}
    assert VllmSettings(**json.loads(spread.models.machine())["models/small"]) == VllmSettings(4, 0.5)


def test_where_a_server_is_is_in_no_specification(raw: dict[str, Any], tmp_path: Path) -> None:
    plans = []
    for server in ({"url": "http://h:1/v1"}, {"url": "http://i:2/v1", "concurrency": 8, "retries": 0}):
        raw["policies"]["small"] |= {"engine": "server", "server": server}
        plans.append(_plan(raw, tmp_path))
    one, other = plans
    for spec in (
        lambda plan: plan.sample("small", "sampling"),
        lambda plan: plan.search("small", "rebase", 4),
        lambda plan: ReportPlan(plan).report(),
    ):
        assert spec(one) == spec(other)
        assert "http:" not in spec(one)
    known = json.loads(other.models.machine())
    assert set(known) == {"models/small"}
    assert Server.model_validate(known["models/small"]["server"]) == other.config.policies["small"].server


def test_a_model_may_run_in_two_engines(raw: dict[str, Any], tmp_path: Path) -> None:
    raw["policies"]["served"] = {
        "model": "models/small",
        "engine": "server",
        "server": {"url": "http://h:1/v1"},
    }
    known = json.loads(_plan(raw, tmp_path).models.machine())["models/small"]
    assert set(known) == {"gpus", "memory_share", "server"}


def test_a_policy_behind_a_server_leaves_all_gpus_to_the_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, dict[str, Any]] = {}
    monkeypatch.setattr(models, "load_policy", lambda engine, **settings: given.update(policy=settings))
    monkeypatch.setattr(models, "load_verifier", lambda engine, **settings: given.update(verifier=settings))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    server = {"url": "http://h:1/v1", "timeout": 5.0}
    known = {"p": {"server": server}, "v": {"memory_share": 0.9}}
    models.open_both(
        Policy(model="p", engine="server"),
        MathShepherd(kind="math-shepherd", model="v", engine="vllm"),
        Runtime.model_validate({"models": known, "batch_size": 32}),
    )
    assert given["policy"]["server"] == Server.model_validate(server)
    assert given["policy"]["batch_size"] == 32
    assert given["verifier"]["machine"] == VllmSettings(1, 0.9, "0")


def test_a_model_is_loaded_from_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name stays that of the specification, by which the machine's settings are known."""
    loaded: list[str | None] = []
    monkeypatch.setattr(models, "load_policy", lambda _, entry, **__: loaded.append(entry.model))
    monkeypatch.setattr(
        models, "load_verifier", lambda _, entry, batch_tokens, settle: loaded.append(entry.model)
    )
    monkeypatch.chdir(tmp_path)
    trained, shipped = "results/study/train/m", "resources/models/prm-1.7M"
    (tmp_path / "below" / trained).mkdir(parents=True)
    runtime = Runtime(output="below/results/study/sample/words/m/sampling.parquet")
    hub = Policy(model="owner/name", revision="0" * 40)
    for entry in (Policy(model=trained), Policy(model="resources/none/m"), hub):
        models.open_policy(entry, runtime)
    models.open_verifier(MathShepherd(kind="math-shepherd", model=shipped), runtime)
    root = Path(__file__).parents[2]
    assert loaded == [f"below/{trained}", "resources/none/m", "owner/name", str(root / shipped)]
