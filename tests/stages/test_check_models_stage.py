"""What the models of jobs lack is told before the first job, with every fault, and only that is looked at."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from isoflop.config.models import Policy
from isoflop.errors import UserError
from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.rehearsal.tiny_verifiers import save_verifier
from isoflop.specs import CheckModelsSpec, ModelJob
from isoflop.stages import check_models
from isoflop.stages.shared import model_checks

SAMPLING = {"kind": "sampling", "samples": 2, "max_tokens": 16}
PRM = {"kind": "math-shepherd", "prompt": "{problem}\n"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    here = tmp_path_factory.mktemp("models")
    cut = shutil.copytree(save_tiny(here / "policy"), here / "cut")
    path = cut / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    return {
        "policy": str(here / "policy"),
        "cut": str(cut),
        "prm": save_verifier(here / "prm", "math-shepherd"),
        "orm": save_verifier(here / "orm", "orm"),
        "classes": save_verifier(here / "classes", "token-class"),
        "qwen": save_verifier(here / "qwen", "qwen-prm"),
    }


def sample(model: str, generator: dict[str, Any] | None = None, **policy: Any) -> ModelJob:
    spec = {"policy": {"model": model} | policy, "generator": generator or SAMPLING, "seed": 1, "version": 1}
    return ModelJob(stage="sample", spec=json.dumps(spec))


def score(model: str, **verifier: Any) -> ModelJob:
    spec = {"verifier": PRM | {"model": model} | verifier, "version": 1}
    return ModelJob(stage="score", spec=json.dumps(spec))


def train(model: str, **training: Any) -> ModelJob:
    recipe = {
        "kind": "prm", "init": {"model": model}, "data": {"labels": "a", "held_out": "b"}, "epochs": 1,
        "batch_size": 1, "learning_rate": 0.1, "seed": 1,
    }  # fmt: skip
    spec = {"name": "x", "training": recipe | training, "regenerate": "", "version": 1, "grader": "number"}
    return ModelJob(stage="train", spec=json.dumps(spec))


def faults(*jobs: ModelJob) -> list[str]:
    return check_models.model_faults(CheckModelsSpec(jobs=jobs, key="k"))


def test_good_models_have_no_faults(folders: dict[str, str], tmp_path: Path) -> None:
    marked = {"kind": "qwen-prm", "prompt": "{problem}"}
    jobs = (
        sample(folders["policy"]),
        score(folders["prm"]),
        score(folders["orm"], kind="orm"),
        score(folders["qwen"], **marked),
        sample("results/x/train/not-there-yet", chat=True),
    )
    assert faults(*jobs) == []
    out = tmp_path / "seen"
    check_models.main([CheckModelsSpec(jobs=jobs, key="k").model_dump_json(), str(out)])
    assert out.read_text() == "k\n"


def test_every_fault_is_told_at_once(folders: dict[str, str], tmp_path: Path) -> None:
    jobs = (
        sample(folders["policy"], chat=True),
        sample(folders["policy"], SAMPLING | {"max_tokens": 4000}),
        sample(folders["policy"], engine="vllm"),
        sample(folders["cut"]),
        sample(folders["orm"]),
        sample(folders["prm"], max_length=10),
        score(folders["prm"], step_tag=" no one token"),
        score(folders["prm"], good_token=" so very good"),
        score(folders["policy"], kind="orm"),
        score(folders["qwen"], kind="token-class", step_tag="<extra_0>"),
        score(folders["classes"], kind="token-pair", step_tag="<extra_0>", good_token="+", bad_token="-"),
        train(folders["policy"], step_tag=" no one token"),
        train(folders["prm"], max_length=5000),
    )
    told = [
        "the tokenizer has no chat template; give chat_template",
        "max_tokens 4000 and a prompt of 2 tokens and the problem's own exceed its 512 positions",
        "engine vllm: is not installed here",
        "model.safetensors: should have",
        "is a LlamaForSequenceClassification, and a policy needs a causal language model",
        "exceed its 10 positions",
        "' no one token' is not one token of this tokenizer",
        "' so very good' is not one token of this tokenizer",
        "is a LlamaForCausalLM, and kind orm needs a classifier",
        "lacks tensor",
        "is a Qwen2ForTokenClassification, and kind token-pair needs a causal language model",
        "' no one token' is not one token of this tokenizer",
        "max_length 5000 is more than its 1024 positions",
    ]
    for job, says in zip(jobs, told, strict=True):
        assert len(found := faults(job)) == 1
        assert says in found[0]
        assert job.spec.split('"model": "')[1].split('"')[0] in found[0]
        assert "\n" not in found[0]
    out = tmp_path / "seen"
    with pytest.raises(UserError, match=r"^13 faults in the models\n  ") as caught:
        check_models.main([CheckModelsSpec(jobs=jobs, key="k").model_dump_json(), str(out)])
    assert str(caught.value).count("\n") == 13
    assert not out.exists()


def test_a_hub_that_does_not_answer_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(*_: object) -> None:
        raise UserError("model 'a/b': cut off") from OSError(
            "We couldn't connect to 'https://huggingface.co'"
        )

    monkeypatch.setattr(model_checks, "load_tokenizer", unreachable)
    assert faults(sample("some-owner/some-model", revision="0" * 40)) == []
    assert "not checked before the run: model 'a/b': cut off" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gpus", "memory", "room"),
    [
        (1, [40e9, 80e9], "40.0"),
        (2, [40e9, 80e9, 80e9], "80.0"),
        (2, [40e9, 80e9], "40.0"),
        (2, [80e9], None),
        (1, [], None),
    ],
)
def test_weights_must_fit_the_gpus_that_a_job_may_get(
    gpus: int, memory: list[float], room: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Policy(model="m", engine="vllm", dtype="bfloat16", gpus=gpus, memory_share=0.5)
    monkeypatch.setattr(model_checks, "memory_of_devices", lambda: memory)
    if room is None:
        model_checks._check_memory(entry, int(810e9))
        return
    model_checks._check_memory(entry, int(float(room) * 1e9))
    with pytest.raises(UserError, match=rf"has 81\.0 GB of weights in bfloat16, and {gpus} of .* {room} GB"):
        model_checks._check_memory(entry, int(81e9))


AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": True}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False}
COMPRESSED = {
    "quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed",
    "config_groups": {
        "group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "group_size": 128}}
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "entry"),
    [
        ({"quantization_config": AWQ}, {}),
        ({"quantization_config": GPTQ}, {}),
        ({"quantization_config": COMPRESSED}, {}),
        ({"compression_config": COMPRESSED}, {}),
        ({}, {"quantization": "fp8"}),
    ],
    ids=["awq", "gptq", "compressed-tensors", "compressed-tensors of old", "the entry's"],
)
def test_what_vllm_has_quantised_weights_for_is_left_to_it(
    config: dict[str, Any],
    entry: dict[str, Any],
    folders: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their tensors are packed, in fewer bytes than the architecture has; damaged files are told as ever."""
    monkeypatch.setattr(model_checks, "need_vllm", lambda: None)
    monkeypatch.setattr(model_checks, "memory_of_devices", lambda: [1000.0])
    folder = Path(shutil.copytree(folders["policy"], tmp_path / "quantised"))
    told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(told | config), encoding="utf-8")
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.0.mlp.down_proj.weight"
    packed = {f"{name.removesuffix('weight')}qweight": np.ones((4, 4), np.int32)}
    tensors = {key: value for key, value in tensors.items() if key != name} | packed
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    job = sample(str(folder), engine="vllm", **entry)
    assert faults(job) == []
    verifier = PRM | {"good_token": "+", "bad_token": "-", "step_tag": "\n"}
    assert faults(score(str(folder), engine="vllm", **verifier, **entry)) == []
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"1")
    model_checks._check_policy.cache_clear()
    [fault] = faults(job)
    assert "model.safetensors: should have" in fault
