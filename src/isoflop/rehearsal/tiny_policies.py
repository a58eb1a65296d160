"""Tiny random policies that say whole sentences: what a rehearsal puts in the place of the real ones.

Their tokenizers have sentences as tokens, and the model makes little of anything else. So at random it writes
steps, answers and programs, and what reads, grades and compares them has something to do.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from isoflop.rehearsal.tiny_models import save_widened
from isoflop.rehearsal.tiny_verifiers import byte_tokenizer, missing_tokens, tiny_shape, with_tokens

ARCHITECTURES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "gpt_neox": (GPTNeoXConfig, GPTNeoXForCausalLM),
}
# Logits of sentences: their mean, beside the zeros of all other tokens, and what they differ by.
_MEAN, _SPREAD = 10.0, 0.5
# Sentences of a solution, more or less: how often one is said, of how often the end is.
_SENTENCES = 5


def save_policy(
    folder: Path,
    architecture: str,
    sentences: Sequence[str],
    seed: int = 0,
    positions: int = 4096,
    growth: int = 0,
    marks: Sequence[str] = (),
) -> str:
    """A policy of one of ARCHITECTURES that says `sentences`, the larger the `growth`; returns its folder.

    `marks`: tokens that it has and hardly says, for a verifier that is trained from it.
    """
    torch.manual_seed(seed)
    tokenizer = byte_tokenizer("qwen" if architecture == "qwen2" else "llama3")
    tokenizer = with_tokens(tokenizer, [*sentences, *missing_tokens(tokenizer, marks)])
    shape = tiny_shape(tokenizer, positions)
    shape["intermediate_size"] += 16 * growth
    config, model = ARCHITECTURES[architecture]
    if architecture == "gpt_neox":
        del shape["num_key_value_heads"]
    if architecture == "mistral":
        shape["sliding_window"] = None
    saved = model(config(**shape))
    ids = [*tokenizer.convert_tokens_to_ids(list(sentences)), tokenizer.eos_token_id]
    saved_folder = save_widened(folder, saved, tokenizer, 6.0)
    with torch.no_grad():
        # In common to all tokens, so that sentences follow whatever was said. The first may be padding.
        embedded = saved.get_input_embeddings().weight
        embedded += 3 * embedded.norm(dim=1).mean() * torch.nn.functional.normalize(embedded[1], dim=0)
        hidden = saved.base_model(torch.arange(len(tokenizer))[None]).last_hidden_state[0]
        common = hidden.mean(0)
        head = saved.get_output_embeddings().weight
        head.zero_()
        head[ids] = common * _MEAN / common.dot(common)
        head[ids[-1]] += common * math.log(len(sentences) / _SENTENCES) / common.dot(common)
        head[ids] += torch.randn(len(ids), head.shape[1]) * _SPREAD / hidden.norm(dim=1).mean()
    saved.save_pretrained(folder)
    return saved_folder
