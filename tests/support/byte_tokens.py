"""A tiny model over a few byte-level tokens: it often writes stop strings and characters of several ones."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

# Bytes as the byte-level alphabet writes them: Ã© is é, âĢĶ a dash, Ċ a line's end, Ġ a space.
PIECES = ["Ã", "©", "â", "Ģ", "Ķ", "a", "Q", ":", "Ċ", "Ġ", "ĊQ", ":Ġa", "ĊĊ", "b:", "<think>", "</think>"]
END = "<end>"


def save_bytes(folder: Path, seed: int = 0) -> str:
    """A random model that writes these pieces; returns its folder."""
    tokenizer = Tokenizer(models.BPE(dict(zip([END, *PIECES], range(17), strict=True)), []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=17,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return str(folder)
