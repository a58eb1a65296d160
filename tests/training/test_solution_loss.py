"""The loss in pieces is the model's own, and so are its gradients."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.training import solution_loss as module
from isoflop.training.examples import IGNORED
from isoflop.training.solution_loss import solution_loss, too_many_logits


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
    for ours, theirs in zip(gradients, expected, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_pieces_are_for_large_vocabularies(model):
    few = module.WHOLE // model.config.vocab_size
    assert not too_many_logits(model, torch.zeros((1, few)))
    assert too_many_logits(model, torch.zeros((1, few + 1)))
