"""Which GPUs a search's two models get, and what of a machine's settings reaches a stage."""

import json
from pathlib import Path

import pytest

from isoflop.config import build_config
from isoflop.config_models import MathShepherd, Policy
from isoflop.errors import UserError
from isoflop.plan import Plan
from isoflop.stages.devices import visible_devices
from isoflop.stages.models import assign_devices, devices_for
from isoflop.vllm_settings import VllmSettings


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
    monkeypatch.setattr("isoflop.stages.models.job_devices", lambda *_: pytest.fail("asked for GPUs"))
    assert devices_for([Policy(model="a"), MathShepherd(kind="math-shepherd", model="b")]) == ["", ""]


def test_a_search_asks_for_all_its_models_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def give(wanted: int, least: int) -> list[str]:
        asked.append((wanted, least))
        return ["5", "6", "7"]

    monkeypatch.setattr("isoflop.stages.models.job_devices", give)
    monkeypatch.setenv("ISOFLOP_MACHINE", json.dumps({"big": {"gpus": 2, "memory_share": 0.9}}))
    policy = Policy(model="big", engine="vllm", dtype="bfloat16")
    verifier = MathShepherd(kind="math-shepherd", model="prm", engine="vllm")
    assert devices_for([policy, verifier]) == ["5,6", "7"]
    assert asked == [(3, 2)]


def test_a_job_sees_the_gpus_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert visible_devices() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_devices() == []


def test_what_a_machine_gives_a_model_is_in_no_specification(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for name in ("small", "prm"):
        (tmp_path / "models" / name).mkdir()
        (tmp_path / "models" / name / "config.json").write_text("{}")
    raw = {
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
    plain = Plan(build_config(raw, "x.yaml", tmp_path), tmp_path)
    raw["policies"]["small"] |= {"gpus": 4, "memory_share": 0.5}
    spread = Plan(build_config(raw, "x.yaml", tmp_path), tmp_path)
    assert plain.sample("small", "sampling") == spread.sample("small", "sampling")
    assert plain.search("small", "rebase", 4) == spread.search("small", "rebase", 4)
    assert json.loads(spread.machine()) == {"models/small": {"gpus": 4, "memory_share": 0.5}}
    assert VllmSettings(**json.loads(spread.machine())["models/small"]) == VllmSettings(4, 0.5)
