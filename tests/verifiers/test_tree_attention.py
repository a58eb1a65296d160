"""Attention in blocks against attention under a dense mask, and whole models against texts read alone."""

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from isoflop.verifiers.heads import Head
from isoflop.verifiers.hf_verifier import score_encoded
from isoflop.verifiers.prefix_trees import ForestBuilder
from isoflop.verifiers.tree_attention import TreeStep, read, shared_attention

TEXTS = st.lists(st.lists(st.integers(3, 6), min_size=1, max_size=40), min_size=1, max_size=20)
SIZES = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": 12}
ARCHITECTURES = {
    "llama": ("Llama", {"num_attention_heads": 4, "num_key_value_heads": 2}),
    "one key head": ("Llama", {"num_attention_heads": 6, "num_key_value_heads": 1, "head_dim": 8}),
    "qwen2": ("Qwen2", {"num_attention_heads": 4, "num_key_value_heads": 4}),
    "qwen3": ("Qwen3", {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}),
    "mistral": ("Mistral", {"num_attention_heads": 3, "num_key_value_heads": 3, "sliding_window": None}),
    "gpt_neox": ("GPTNeoX", {"num_attention_heads": 2}),
}


class Where:
    """What a step asks of a model."""

    device, dtype = torch.device("cpu"), torch.float64


def model_of(name: str) -> Any:
    family, sizes = ARCHITECTURES[name]
    torch.manual_seed(1)
    config = getattr(transformers, f"{family}Config")(**SIZES, **sizes, tie_word_embeddings=False)
    model = getattr(transformers, f"{family}ForCausalLM")(config).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


MODELS = {name: model_of(name) for name in ARCHITECTURES}


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.sampled_from([(4, 4), (4, 2), (6, 1), (1, 1)]), st.integers(0, 2**31), st.booleans())
def test_blocks_give_what_a_dense_mask_gives(
    texts: list[list[int]], heads: tuple[int, int], seed: int, after: bool
) -> None:
    texts.sort()
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    # With `after`, all texts go on from five kept rows; three more are nobody's.
    held = 8 if after else 0
    builder = ForestBuilder(held)
    paths = [builder.add([9] * 5 + text, np.arange(5)) if after else builder.add(text) for text in texts]
    forest = builder.forest()
    new, rows = builder.new, held + builder.new
    if not new:
        return
    kept = numbers(2, heads[1], held, 8) if after else None
    query, key, value = (numbers(1, count, new, 8) for count in (heads[0], heads[1], heads[1]))
    step = TreeStep(forest, Where, kept, None)
    found = step.attend(query, key, value, 0.3)
    keys, values = key[0], value[0]
    if kept is not None:
        keys, values = torch.cat([kept[0], keys], 1), torch.cat([kept[1], values], 1)
    assert torch.equal(step.stacked(), torch.stack([keys, values]))
    seen = torch.zeros(new, rows, dtype=torch.bool)
    for path in paths:
        for end, row in enumerate(path.tolist()):
            if row >= held:
                seen[row - held, path[: end + 1]] = True
    share = heads[0] // heads[1]
    scores = query[0] @ keys.repeat_interleave(share, 0).transpose(1, 2) * 0.3
    weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    expected = (weights @ values.repeat_interleave(share, 0)).transpose(0, 1)
    torch.testing.assert_close(found[0], expected, rtol=1e-9, atol=1e-11)


@settings(max_examples=25, deadline=None)
@given(texts=TEXTS, name=st.sampled_from(list(ARCHITECTURES)), size=st.sampled_from([1, 9, 60, 8192]))
def test_scores_are_those_of_texts_read_alone(texts: list[list[int]], name: str, size: int) -> None:
    """In any passes; a place anywhere, also where a text before it has none."""
    model = MODELS[name]
    head = Head.pair(model.get_output_embeddings().weight, None, (3, 4))
    rng = np.random.default_rng(len(texts))
    encoded = [
        (text, sorted(rng.choice(len(text), rng.integers(1, len(text) + 1), replace=False).tolist()))
        for text in texts
    ]
    found = score_encoded(model, encoded, head, size)
    for (text, places), scores in zip(encoded, found, strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([text])).logits[0, places]
        assert scores == pytest.approx(expit((logits[:, 3] - logits[:, 4]).numpy()), rel=1e-8)


def test_keys_are_kept_of_rows_that_are_asked_for() -> None:
    model = MODELS["llama"]
    builder = ForestBuilder()
    path = builder.add([3, 4, 5, 6, 3])
    with torch.inference_mode(), shared_attention(model):
        hidden, step = read(model, builder.forest(), keep=path[:3])
        first = ForestBuilder(3, [3, 4, 5], np.arange(3))
        first.add([3, 4, 5, 6, 3])
        again, _ = read(model, first.forest(), step.stacked())
    torch.testing.assert_close(again, hidden[3:])
    assert model.config._attn_implementation == "sdpa"
