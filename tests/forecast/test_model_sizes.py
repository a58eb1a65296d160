"""Sizes without weights: counted where there is a config.json, else as planned or from the name."""

import json
from pathlib import Path
from typing import Any

import pytest

from isoflop.checkpoint_files.gguf_header import GgufHeader
from isoflop.config.models import ModelSize, Policy
from isoflop.config.training import LlamaShape
from isoflop.engines.checkpoints import load_model, model_shape, saved_parameters
from isoflop.errors import UserError
from isoflop.forecast import model_sizes
from isoflop.forecast.checkpoint_configs import CheckpointConfigs, key_width
from isoflop.forecast.model_sizes import (
    counted_size,
    size_of_architecture,
    size_of_name,
    size_of_plan,
    with_layers,
)
from isoflop.rehearsal.tiny_models import save_tiny

MODELS = Path(__file__).parents[2] / "resources/models"
OFFLINE = CheckpointConfigs(offline=True)
COMMIT = "0" * 40


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("EleutherAI/pythia-70m-deduped", 70),
        ("EleutherAI/pythia-1.4b", 1400),
        ("EleutherAI/pythia-12b", 12000),
        ("EleutherAI/llemma_34b", 34000),
        ("mistralai/Mistral-7B-v0.1", 7000),
        ("meta-llama/Meta-Llama-3-8B-Instruct", 8000),
        ("RLHFlow/Llama3.1-8B-PRM-Deepseek-Data", 8000),
        ("Qwen/Qwen2.5-Math-PRM-72B", 72000),
        ("mistralai/Mixtral-8x7B-v0.1", None),
        ("openai-community/gpt2", None),
        ("models2B/gpt", None),
        ("google/flan-t5base", None),
    ],
)
def test_the_size_in_a_name(name: str, millions: int | None) -> None:
    size = size_of_name(name)
    assert (None if size is None else size.shape.parameters) == (
        None if millions is None else millions * 10**6
    )
    if size is not None:
        assert size.source.startswith("assumed from its name (")
        # Layers and width explain the size: 12 n d^2 and the embeddings.
        parameters = 12 * size.shape.layers * size.shape.attention_width**2
        assert 0.25 < parameters / size.shape.parameters < 1.5


@pytest.mark.parametrize("name", ["policy-0.1M", "policy-2.7M", "prm-1.7M"])
def test_shipped_models_are_counted_exactly(name: str) -> None:
    size = counted_size(OFFLINE, str(MODELS / name), None)
    assert size is not None
    assert size.shape.parameters == saved_parameters(MODELS / name)
    config = json.loads((MODELS / name / "config.json").read_text())
    assert size.shape.layers == config["num_hidden_layers"]
    assert size.key_width == key_width(config) == size.shape.attention_width // 2


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gpt_neox"])
def test_other_architectures_are_counted_as_loaded(architecture: str, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m", architecture)
    size = counted_size(OFFLINE, folder, None)
    assert size is not None
    assert size.shape == model_shape(load_model(folder, None, "float32", shared_prefix=False))


def test_a_model_to_train_is_counted_from_its_architecture() -> None:
    shape = LlamaShape(hidden_size=64, layers=2, heads=4, kv_heads=2, intermediate_size=176)
    size = size_of_architecture(shape)
    shipped = counted_size(OFFLINE, str(MODELS / "policy-0.1M"), None)
    assert shipped is not None
    assert (size.shape, size.key_width) == (shipped.shape, shipped.key_width)
    grown = with_layers(size, 2)
    assert grown.shape.layers == 4
    assert grown.shape.parameters - size.shape.parameters == pytest.approx(97536 - 5056, rel=0.01)


def test_a_hub_model_that_is_not_here_has_no_size_and_no_traceback() -> None:
    assert OFFLINE.folder("owner/name-7b", COMMIT) is None
    assert counted_size(OFFLINE, "owner/name-7b", COMMIT) is None


def test_a_hub_model_in_the_cache_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants, file_download

    snapshot = tmp_path / "models--owner--name" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_bytes((MODELS / "policy-0.3M/config.json").read_bytes())
    for module in (constants, file_download):
        if hasattr(module, "HF_HUB_CACHE"):
            monkeypatch.setattr(module, "HF_HUB_CACHE", str(tmp_path))
    size = counted_size(OFFLINE, "owner/name", COMMIT)
    assert size is not None
    assert size.shape.parameters == 312_384


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def silent(url: str, timeout: float) -> Any:
        asked.append(url)
        raise OSError("no route to host")

    monkeypatch.setattr("isoflop.forecast.checkpoint_configs.urllib.request.urlopen", silent)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    configs = CheckpointConfigs()
    assert configs.folder("owner/one", COMMIT) is None
    assert configs.folder("owner/two", COMMIT) is None
    assert len(asked) == 1


def test_a_planned_size_has_keys_as_wide_as_queries() -> None:
    size = size_of_plan(ModelSize(parameters=5, layers=2, attention_width=8))
    assert (size.shape.parameters, size.shape.layers, size.key_width) == (5, 2, 8)


@pytest.mark.parametrize("content", ["{", "{}"])
def test_a_broken_config_is_an_error_by_name(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match="cannot be read"):
        counted_size(OFFLINE, str(tmp_path), None)


@pytest.mark.parametrize(
    "config", [{}, {"num_attention_heads": 0, "hidden_size": 8}, {"num_attention_heads": "x"}]
)
def test_a_config_without_heads_is_an_error(config: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="no attention heads"):
        key_width(config)


def test_a_file_of_a_package_is_counted_from_its_header(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "a.gguf"
    header = GgufHeader(
        {
            "general.architecture": "llama",
            "llama.block_count": 2,
            "llama.embedding_length": 8,
            "llama.attention.head_count": 4,
            "llama.attention.head_count_kv": 2,
        },
        {"token_embd.weight": (8, 10), "blk.0.attn_q.weight": (8, 8), "output_norm.weight": (8,)},
    )
    path.write_bytes(b"GGUF")
    monkeypatch.setattr(model_sizes, "is_installed", lambda package: True)
    monkeypatch.setattr(model_sizes, "packaged_file", lambda package, name: path)
    monkeypatch.setattr(model_sizes, "read_gguf_header", lambda _: header)
    entry = Policy(package="theirs", gguf_file="a.gguf", sha256="0" * 64)
    size = counted_size(OFFLINE, "theirs", None, entry)
    assert size is not None
    assert (size.shape.parameters, size.shape.embedding_parameters) == (80 + 64 + 8, 80)
    assert (size.shape.layers, size.shape.attention_width, size.key_width) == (2, 8, 4)


def test_a_model_of_a_package_that_is_not_installed_has_no_size_and_no_traceback() -> None:
    entry = Policy(package="nobody-has-this", gguf_file="Some-135M-Instruct.Q4_1.gguf", sha256="0" * 64)
    assert counted_size(OFFLINE, "nobody-has-this", None, entry) is None
