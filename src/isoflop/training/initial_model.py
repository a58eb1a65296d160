"""A new model: Llama's architecture with random weights."""

from typing import Any

from transformers import LlamaConfig, LlamaForCausalLM

from isoflop.config.training import LlamaShape
from isoflop.training.word_tokenizer import build_tokenizer


def new_llama(shape: LlamaShape) -> tuple[Any, Any]:
    """A model with random weights, and the word-problem tokenizer."""
    tokenizer = build_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=tokenizer.model_max_length,
        # The library's 0.02 suits widths of thousands; at these it delays copying many times over.
        initializer_range=shape.hidden_size**-0.5,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config), tokenizer
