"""Tiny random checkpoints of real architectures, made on the spot."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from isoflop.training.word_tokenizer import build_tokenizer


def save_tiny(folder: Path, architecture: str = "llama", seed: int = 0, scale: float = 3.0) -> str:
    """A random model with the word-problem tokenizer; `scale` widens its logits to be less than uniform.

    Returns its folder.
    """
    tokenizer = build_tokenizer()
    torch.manual_seed(seed)
    shared = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 512,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if architecture == "llama":
        model = LlamaForCausalLM(LlamaConfig(num_key_value_heads=2, tie_word_embeddings=True, **shared))
    elif architecture == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(num_key_value_heads=2, tie_word_embeddings=False, **shared))
    elif architecture == "granite":
        model = GraniteForCausalLM(GraniteConfig(num_key_value_heads=2, logits_scaling=8.0, **shared))
    elif architecture == "gemma2":
        model = Gemma2ForCausalLM(Gemma2Config(num_key_value_heads=2, head_dim=8, **shared))
    else:
        model = GPTNeoXForCausalLM(GPTNeoXConfig(**shared))
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(scale)
    return save_widened(folder, model, tokenizer, 2.0)


def save_widened(folder: Path, model: Any, tokenizer: Any, factor: float) -> str:
    """Save a model whose matrices are `factor` times what they were; returns its folder."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(factor)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
