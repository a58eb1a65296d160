"""The loss in pieces is the model's own, and so are its gradients."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from gradients import assert_alike
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, MixtralConfig, MixtralForCausalLM

from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.specs import TrainSpec
from isoflop.stages import train
from isoflop.training import solution_loss as module
from isoflop.training.examples import IGNORED
from isoflop.training.solution_loss import only_solution_loss, solution_loss, too_many_logits


@pytest.fixture(scope="module", params=["llama", "qwen2", "gpt_neox"])
def model(request, tmp_path_factory):
    """Tied and untied output embeddings."""
    folder = tmp_path_factory.mktemp("tiny")
    return AutoModelForCausalLM.from_pretrained(save_tiny(Path(folder), request.param)).eval()


@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_pieces_add_up_to_the_models_own_loss_and_gradients(model, data):
    rows, width = data.draw(st.integers(1, 3)), data.draw(st.integers(2, 9))
    vocabulary = model.config.vocab_size
    numbers = st.lists(st.integers(5, vocabulary - 1), min_size=rows * width, max_size=rows * width)
    ids = torch.tensor(data.draw(numbers)).reshape(rows, width)
    kept = st.lists(st.booleans(), min_size=rows * width, max_size=rows * width)
    labels = ids.masked_fill(~torch.tensor(data.draw(kept)).reshape(rows, width), IGNORED)
    labels[0, -1] = ids[0, -1]
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    count = int((labels[:, 1:] != IGNORED).sum())

    own = model(**batch, labels=labels).loss
    expected = torch.autograd.grad(own, list(model.parameters()), allow_unused=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE", data.draw(st.integers(1, 3)) * vocabulary)
        loss = solution_loss(model, batch, labels) / count
        gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    assert float(loss.detach()) == pytest.approx(float(own.detach()), rel=1e-5)
    assert_alike(gradients, expected)


def test_pieces_are_for_large_vocabularies(model):
    few = module.WHOLE // model.config.vocab_size
    assert not too_many_logits(model, torch.zeros((1, few)))
    assert too_many_logits(model, torch.zeros((1, few + 1)))


def test_the_loss_of_plain_models_is_that_of_the_solution_alone(model):
    model.train()
    assert only_solution_loss(model)
    assert model.training
    model.eval()


@pytest.mark.parametrize("balanced", [False, True])
def test_a_loss_for_experts_is_not_left_out(balanced, tmp_path, monkeypatch):
    """In a batch whose logits are too many, the trainer's loss is the model's own, whatever else is in it."""
    torch.manual_seed(0)
    mixtral = MixtralForCausalLM(
        MixtralConfig(
            vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
            intermediate_size=24, num_local_experts=4, num_experts_per_tok=2, max_position_embeddings=64,
            output_router_logits=balanced, use_cache=False,
        )
    )  # fmt: skip
    assert only_solution_loss(mixtral) != balanced
    monkeypatch.setattr(train, "plain_head", lambda _: True)
    monkeypatch.setattr(module, "WHOLE", 0)
    recipe = {
        "kind": "policy", "init": {"model": "m"}, "data": {"dataset": "a", "held_out": "b"}, "epochs": 1,
        "batch_size": 2, "learning_rate": 0.1, "seed": 1,
    }  # fmt: skip
    spec = {"name": "x", "training": recipe, "regenerate": "", "version": 1, "grader": "number"}
    ids = torch.arange(8).reshape(2, 4) + 1
    labels = ids.clone()
    labels[:, 0] = IGNORED
    examples = [{"input_ids": row, "labels": row, "length": 4} for row in ids.tolist()]
    trainer = train._trainer(
        TrainSpec.model_validate(spec),
        mixtral,
        SimpleNamespace(pad_token_id=0),
        examples,
        None,
        None,
        tmp_path,
        train._Lines(),
    )
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    own = float(mixtral(**batch).loss.detach())
    assert float(trainer.compute_loss(mixtral, batch).detach()) == pytest.approx(own, rel=1e-6)
