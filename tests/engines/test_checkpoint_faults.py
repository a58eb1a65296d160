"""Faulty checkpoints: each is refused by both engines' loaders in one line that names the tensor or file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from isoflop.checkpoint_files.note import write_note
from isoflop.config.models import Policy
from isoflop.engines.checkpoints import empty_model, load_model, load_tensors, load_tokenizer
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.loading.source import Source, check_files, check_numbers
from isoflop.errors import UserError
from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.rehearsal.tiny_verifiers import save_verifier
from isoflop.verifiers.hf_verifier import TransformersVerifier
from isoflop.verifiers.kinds.orm import Orm
from isoflop.verifiers.kinds.qwen_prm import QwenPrm
from isoflop.verifiers.kinds.skywork_prm import SkyworkPrm

Tensors = dict[str, torch.Tensor]
DOWN = "model.layers.1.mlp.down_proj.weight"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(save_tiny(tmp_path_factory.mktemp("whole")))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def change_tensors(folder: Path, change: Callable[[Tensors], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def change_config(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings), encoding="utf-8")


def spoil(value: float) -> Callable[[Tensors], object]:
    return lambda tensors: tensors[DOWN].__setitem__((3, 4), value)


def pickled(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")


def cut(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-4])


def changed_after_training(folder: Path) -> None:
    write_note(folder)
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def own_code(folder: Path) -> None:
    change_config(folder, model_type="theirs", auto_map={"AutoConfig": "c.C", "AutoModelForCausalLM": "c.M"})
    (folder / "c.py").write_text("raise SystemExit('this code was run')\n")


def pickle_by_name(folder: Path) -> None:
    change_config(folder, transformers_weights="adapter_model.bin")
    torch.save({"anything": torch.ones(1)}, folder / "adapter_model.bin")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (
        lambda folder: change_tensors(folder, lambda tensors: tensors.pop(DOWN)),
        rf"lacks tensor {DOWN} of LlamaForCausalLM; it is cut short",
    ),
    "many missing": (
        lambda folder: change_tensors(
            folder, lambda tensors: [tensors.pop(name) for name in list(tensors) if "layers.1" in name]
        ),
        r"lacks tensors model\.layers\.1\.input_layernorm\.weight, .* and 6 more of LlamaForCausalLM",
    ),
    "unexpected": (
        lambda folder: change_tensors(
            folder, lambda tensors: tensors.update({"model.layers.2.mlp.weight": torch.ones(2)})
        ),
        r"has tensor model\.layers\.2\.mlp\.weight, for which its architecture has no place",
    ),
    "a head of another kind": (
        lambda folder: change_tensors(
            folder, lambda tensors: tensors.update({"score.weight": torch.ones(2)})
        ),
        r"has tensor score\.weight, for which its architecture has no place",
    ),
    "misshapen": (
        lambda folder: change_tensors(folder, lambda tensors: tensors.update({DOWN: torch.ones(32, 47)})),
        rf"tensor {DOWN} is \[32, 47\] and should be \[32, 48\]",
    ),
    "another width": (
        lambda folder: change_config(folder, hidden_size=16),
        r"is \[.*\] and should be \[.*16",
    ),
    "fewer layers": (
        lambda folder: change_config(folder, num_hidden_layers=1),
        r"has tensors model\.layers\.1\..*, for which its architecture has no place",
    ),
    "NaN": (
        lambda folder: change_tensors(folder, spoil(float("nan"))),
        rf"has NaN or infinite numbers in tensor {DOWN}; copy it again",
    ),
    "infinite": (
        lambda folder: change_tensors(folder, spoil(float("-inf"))),
        rf"has NaN or infinite numbers in tensor {DOWN}",
    ),
    "cut": (cut, r"model\.safetensors: should have [\d,]+ bytes and has"),
    "pickled": (pickled, r"as pytorch_model\.bin and no model\.safetensors; pickles can run code"),
    "changed": (changed_after_training, r"model\.safetensors: is not the file that was trained"),
    "a pickle by name": (pickle_by_name, r"config\.json names 'adapter_model\.bin' as its weights"),
    "code of its own": (own_code, "needs Python code of its own repository, which is never run"),
    "no architecture": (lambda folder: change_config(folder, model_type="theirs"), "model 'theirs'|`theirs`"),
    "no config": (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded"),
    "wrong types": (lambda folder: change_config(folder, hidden_size="wide"), "cannot be loaded"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_checkpoint_is_refused_in_one_line(folder: Path, fault: str) -> None:
    spoiled, says = FAULTS[fault]
    spoiled(folder)
    with pytest.raises(UserError, match=says) as caught:
        TransformersPolicy(Policy(model=str(folder)))
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("fault", ["NaN", "infinite", "cut", "pickled", "a pickle by name", "changed"])
def test_what_another_engine_loads_is_looked_into_before(folder: Path, fault: str) -> None:
    spoiled, says = FAULTS[fault]
    spoiled(folder)
    with pytest.raises(UserError, match=says):  # noqa: PT012  whichever sees it
        check_files(Source(str(folder)))
        check_numbers(Source(str(folder)))


def test_what_is_not_wrong_is_no_fault(folder: Path) -> None:
    """Constants that were saved once, and one of two tied matrices."""
    constants = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    change_tensors(folder, lambda tensors: tensors.update(constants))
    tied = load_model(str(folder), None, "float32", shared_prefix=False)
    assert tied.get_output_embeddings().weight is tied.get_input_embeddings().weight
    both = {"lm_head.weight": load_file(folder / "model.safetensors")["model.embed_tokens.weight"].clone()}
    change_tensors(folder, lambda tensors: tensors.update(both))
    TransformersPolicy(Policy(model=str(folder)))


def test_heads_are_read_by_their_kinds_and_by_no_other(tmp_path: Path) -> None:
    qwen, skywork = (save_verifier(tmp_path / kind, kind) for kind in ("qwen-prm", "skywork-prm"))
    TransformersVerifier(QwenPrm(kind="qwen-prm", model=qwen))
    TransformersVerifier(SkyworkPrm(kind="skywork-prm", model=skywork))
    with pytest.raises(
        UserError, match=r"has tensors v_head\.summary\.bias, v_head\.summary\.weight, for which"
    ):
        TransformersPolicy(Policy(model=skywork))
    change_tensors(Path(qwen), lambda tensors: tensors.update({"value.weight": torch.ones(2)}))
    with pytest.raises(UserError, match=r"has tensor value\.weight, for which its architecture has no place"):
        TransformersVerifier(QwenPrm(kind="qwen-prm", model=qwen))
    change_tensors(Path(skywork), lambda tensors: tensors["v_head.summary.bias"].fill_(float("nan")))
    with pytest.raises(UserError, match=r"NaN or infinite numbers in tensor v_head\.summary\.bias"):
        TransformersVerifier(SkyworkPrm(kind="skywork-prm", model=skywork))


def test_a_language_model_is_no_classifier(whole: Path) -> None:
    with pytest.raises(UserError, match=r"lacks tensor score\.weight of LlamaForSequenceClassification"):
        TransformersVerifier(Orm(kind="orm", model=str(whole)))


def test_a_tokenizer_is_looked_at_too(folder: Path) -> None:
    write_note(folder)
    path = folder / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(UserError, match=r"tokenizer\.json: is not the file that was trained"):
        load_tokenizer(str(folder), None)


def test_a_tokenizers_own_code_is_not_run_and_nobody_is_asked(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config |= {"tokenizer_class": "Theirs", "auto_map": {"AutoTokenizer": ["c.T", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "c.py").write_text("raise SystemExit('this code was run')\n")
    with pytest.raises(UserError, match="its tokenizer cannot be loaded: it needs Python code of its own"):
        load_tokenizer(str(folder), None)


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], str]:
    """Puts the folder into a cache of the hub, as somebody/model; returns its commit."""
    commit = "0" * 40

    def put() -> str:
        place = tmp_path / "cache" / "models--somebody--model"
        shutil.copytree(folder, place / "snapshots" / commit)
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text(commit, encoding="utf-8")
        return commit

    for name in ("huggingface_hub.constants.HF_HUB_CACHE", "transformers.utils.hub.constants.HF_HUB_CACHE"):
        monkeypatch.setattr(name, str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return put


def test_a_hub_models_config_names_no_other_weights(folder: Path, hub: Callable[[], str]) -> None:
    pickle_by_name(folder)
    commit = hub()
    for read in (
        lambda: load_model("somebody/model", commit, "float32", shared_prefix=False),
        lambda: empty_model("somebody/model", commit),
    ):
        with pytest.raises(UserError, match=r"names 'adapter_model\.bin' as its weights"):
            read()


def test_of_one_file_and_an_index_the_same_is_read_everywhere(folder: Path, hub: Callable[[], str]) -> None:
    other = {name: values + 1 for name, values in load_file(folder / "model.safetensors").items()}
    save_file(other, folder / "other.safetensors", {"format": "pt"})
    index = {"metadata": {}, "weight_map": dict.fromkeys(other, "other.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    commit = hub()
    model = load_model("somebody/model", commit, "float32", shared_prefix=False)
    [read] = load_tensors("somebody/model", commit, [DOWN])
    assert torch.equal(read, dict(model.named_parameters())[DOWN].cpu())
    with pytest.raises(UserError, match=r"has both model\.safetensors and model\.safetensors\.index\.json"):
        load_tensors(str(folder), None, [DOWN])
