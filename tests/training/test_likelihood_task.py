"""The second task of a reward model's added layers: exact rescaling, and the loss against plain loops."""

import math
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from test_examples import train_spec
from transformers import AutoModelForCausalLM

from isoflop.config.training import TrainingConfig
from isoflop.data.word_problems import generate_problems
from isoflop.errors import UserError
from isoflop.files import write_table
from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.specs import TrainSpec
from isoflop.stages import train
from isoflop.tables import LABELS
from isoflop.training.examples import collate
from isoflop.training.likelihood_task import SurpriseTask, freeze_start, llama_layers, rescale_residual
from isoflop.training.start import start_model

IDS = torch.arange(5, 35)[None]
TAG = 20


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "granite"])
def test_a_rescaled_residual_stream_says_the_same(tmp_path: Path, architecture: str) -> None:
    """Tied and untied embeddings; with biases; with multipliers."""
    model = AutoModelForCausalLM.from_pretrained(save_tiny(tmp_path, architecture)).eval()
    # A random model's stream is so small that the epsilon of its norms counts.
    rescale_residual(model, 100.0)
    before = model(IDS, output_hidden_states=True)
    rescale_residual(model, 0.25)
    after = model(IDS, output_hidden_states=True)
    assert torch.allclose(after.logits, before.logits, rtol=1e-3, atol=1e-3)
    for old, new in zip(before.hidden_states[:-1], after.hidden_states[:-1], strict=True):
        assert torch.allclose(new, old * 0.25, rtol=1e-3, atol=1e-4)


def deepened(folder: Path, added: int) -> torch.nn.Module:
    start = save_tiny(folder)
    spec = train_spec("prm", init={"model": start, "extra_layers": added})
    model, _ = start_model(TrainSpec.model_validate_json(spec), None)
    return model


def test_only_added_layers_learn_and_they_read_a_small_stream(tmp_path: Path) -> None:
    model = deepened(tmp_path, 3)
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    freeze_start(model, 3, IDS.tolist())
    assert model.training
    model.eval()
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning == {name for name, _ in model.named_parameters() if name.startswith(
        ("model.layers.2.", "model.layers.3.", "model.layers.4."))}  # fmt: skip
    read = model(IDS, output_hidden_states=True).hidden_states[2]
    assert float(read.pow(2).mean().sqrt()) == pytest.approx(10.0, rel=1e-3)


def test_models_whose_logits_would_change_are_refused(tmp_path: Path) -> None:
    """Gemma 2 normalises what its layers write, so that shrinking it in the weights does nothing."""
    model = AutoModelForCausalLM.from_pretrained(save_tiny(tmp_path, "gemma2"))
    with pytest.raises(UserError, match="surprise_weight: the start is not of Llama's kind"):
        freeze_start(model, 1, IDS.tolist())


def test_other_kinds_of_layers_are_refused(tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(save_tiny(tmp_path, "gpt_neox"))
    with pytest.raises(UserError, match="'some/model' has no layers of Llama's kind"):
        llama_layers(model, "some/model")


@torch.no_grad()
def test_the_loss_is_what_plain_loops_say(tmp_path: Path) -> None:
    model = deepened(tmp_path, 4).eval()
    torch.manual_seed(1)
    for layer in model.model.layers[2:]:
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    ids = torch.randint(5, 60, (2, 12))
    ids[0, 6] = TAG
    solution = torch.zeros(2, 12, dtype=torch.bool)
    solution[0, 4:], solution[1, 7:10] = True, True
    states = model(ids, output_hidden_states=True).hidden_states
    loss = SurpriseTask(added=4, good=7, bad=9, tag=TAG, weight=2.0).loss(model, states, ids, solution)

    # The start by itself, and the same layers called one by one.
    start = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    divergences, entropies = [], []
    for row in range(2):
        hidden = model.model.embed_tokens(ids[row : row + 1])
        turns = model.model.rotary_emb(hidden, torch.arange(12)[None])
        outputs = []
        for layer in model.model.layers:
            hidden = layer(hidden, attention_mask=None, position_embeddings=turns)
            outputs.append(torch.softmax(model.lm_head(model.model.norm(hidden))[0], -1))
        before = torch.softmax(start(ids[row : row + 1]).logits[0], -1)
        for place in range(1, 12):
            if not solution[row, place]:
                continue
            p, q = before[place - 1], outputs[3][place]
            divergences.append(
                sum(float(a) * math.log(float(a) / float(b)) for a, b in zip(p, q, strict=True))
            )
            if TAG not in (int(ids[row, place]), int(ids[row, place - 1])):
                wanted = float(p[ids[row, place]])
                good, bad = float(outputs[4][place][7]), float(outputs[4][place][9])
                share = good / (good + bad)
                entropies.append(-wanted * math.log(share) - (1 - wanted) * math.log(1 - share))
    assert len(divergences) == 11
    assert len(entropies) == 8
    expected = 2.0 * (sum(divergences) / 11 + 3 * sum(entropies) / 8)
    assert float(loss) == pytest.approx(expected, rel=1e-3)


def test_solutions_are_masked_from_their_start_to_their_end() -> None:
    examples = [
        {"input_ids": [5, 6, 7, 8], "labels": [-100.0] * 4, "start": 2},
        {"input_ids": [5, 6, 7], "labels": [-100.0] * 3, "start": 1},
    ]
    assert collate(0, solutions=True)(examples)["solution"].tolist() == [
        [False, False, True, True],
        [False, True, True, False],
    ]


def test_surprise_needs_layers_to_learn_it() -> None:
    recipe = {
        "kind": "prm", "init": {"model": "m", "extra_layers": 3}, "data": {"labels": "a", "held_out": "b"},
        "epochs": 1, "batch_size": 8, "learning_rate": 0.01, "seed": 1, "surprise_weight": 1.0,
    }  # fmt: skip
    with pytest.raises(ValidationError, match=r"surprise_weight needs 4 init\.extra_layers or more, not 3"):
        TypeAdapter(TrainingConfig).validate_python(recipe)


def test_a_policy_becomes_a_reward_model_that_leaves_it_alone(tmp_path: Path) -> None:
    """In two accumulated halves of a batch, as on a device that does not hold a whole one."""
    policy = save_tiny(tmp_path / "policy")
    rows: dict[str, list[object]] = {name: [] for name in LABELS.names}
    for problem in generate_problems("train", 24, seed=4, levels=(1,)):
        steps = problem.solution.splitlines(keepends=True)
        rows["problem_id"].append(problem.problem_id)
        rows["prompt"].append(problem.prompt)
        rows["policy"].append("p")
        rows["steps"].append(steps)
        rows["labels"].append([0.5] * len(steps))
        rows["truth"].append([True] * len(steps))
    write_table(tmp_path / "labels.parquet", rows, LABELS, {})
    spec = train_spec(
        "prm", init={"model": policy, "extra_layers": 4}, surprise_weight=1.0, optimizer="muon", epochs=2,
        device_batch_size=4,
    )  # fmt: skip
    train.main([spec, *[str(tmp_path / "labels.parquet")] * 2, str(tmp_path / "prm")])
    start, model = (AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("policy", "prm"))
    assert len(model.model.layers) == 6
    factor = float(
        model.model.embed_tokens.weight.detach()[7, 3] / start.model.embed_tokens.weight.detach()[7, 3]
    )
    for old, new in zip(start.model.layers, model.model.layers, strict=False):
        assert torch.allclose(new.mlp.down_proj.weight, old.mlp.down_proj.weight * factor, rtol=1e-4)
        assert torch.equal(new.self_attn.q_proj.weight, old.self_attn.q_proj.weight)
    assert all(bool(layer.mlp.down_proj.weight.any()) for layer in model.model.layers[2:])
