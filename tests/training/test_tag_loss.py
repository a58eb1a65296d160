"""The loss of a reward model, from all logits and from those of its two tokens alone."""

from pathlib import Path

import pytest
import torch
from gradients import assert_alike
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.training.examples import IGNORED
from isoflop.training.tag_loss import TagLoss


@pytest.fixture(scope="module", params=["llama", "gpt_neox"])
def model(request, tmp_path_factory):
    """Tied and untied output embeddings."""
    folder = tmp_path_factory.mktemp("tiny")
    return AutoModelForCausalLM.from_pretrained(save_tiny(Path(folder), request.param)).eval()


def test_it_is_the_cross_entropy_of_two_tokens() -> None:
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[-100.0, 0.25, -100.0], [1.0, -100.0, 0.0]])
    loss = TagLoss(3, 1)({"logits": logits}, labels)
    expected = 0.0
    for row, place, target in ((0, 1, 0.25), (1, 0, 1.0), (1, 2, 0.0)):
        good = torch.softmax(logits[row, place, [3, 1]], -1)[0]
        expected -= target * float(good.log()) + (1 - target) * float((1 - good).log())
    assert float(loss) == pytest.approx(expected / 3, rel=1e-5)
    assert float(TagLoss(3, 1)({"logits": logits}, labels, 6)) == pytest.approx(expected / 6, rel=1e-5)


@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_two_tokens_logits_give_the_same_loss_and_gradients(model, data):
    rows, width = data.draw(st.integers(1, 3)), data.draw(st.integers(2, 9))
    numbers = st.lists(
        st.integers(5, model.config.vocab_size - 1), min_size=rows * width, max_size=rows * width
    )
    ids = torch.tensor(data.draw(numbers)).reshape(rows, width)
    soft = st.one_of(st.just(float(IGNORED)), st.floats(0, 1))
    labels = torch.tensor(data.draw(st.lists(soft, min_size=rows * width, max_size=rows * width))).reshape(
        rows, width
    )
    labels[0, -1] = 0.75
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    loss = TagLoss(7, 9)

    whole = loss(model(**batch), labels, 1)
    expected = torch.autograd.grad(whole, list(model.parameters()), allow_unused=True)
    alone = loss.summed(model, batch, labels)
    gradients = torch.autograd.grad(alone, list(model.parameters()), allow_unused=True)
    assert float(alone.detach()) == pytest.approx(float(whole.detach()), rel=1e-5)
    assert_alike(gradients, expected)


def test_under_bf16_the_two_logits_are_float32(model):
    """What autocast makes of them in bfloat16 is good to three digits of a logit, not of a difference."""
    ids = torch.arange(5, 21).reshape(2, 8)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    labels = torch.full((2, 8), float(IGNORED))
    labels[:, 3:] = 0.5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.base_model(**batch, use_cache=False).last_hidden_state
        ours = TagLoss(7, 9).summed(model, batch, labels)
    weight = model.get_output_embeddings().weight.double()
    margin = hidden[:, 3:].double() @ (weight[7] - weight[9])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        margin, torch.full_like(margin, 0.5), reduction="sum"
    )
    assert float(ours.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
