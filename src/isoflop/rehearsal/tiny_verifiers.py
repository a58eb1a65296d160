"""Tiny random reward models of the real architectures, with tokenizers of the real kinds."""

import copy
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from isoflop.data.word_problems import generate_problems
from isoflop.errors import UserError
from isoflop.rehearsal.tiny_models import save_widened
from isoflop.verifiers.layouts import token_id
from isoflop.verifiers.registry import verifier_kind

QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n"
    "{{ message.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
# Two heads of 32: the least that vLLM has on a CPU.
HIDDEN = 64
SPECIAL = {
    "qwen": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<extra_0>"],
    "llama3": ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
}


def _corpus() -> list[str]:
    return [
        f"{problem.prompt}\n{problem.solution} + - ки\n\n" for problem in generate_problems("dev", 60, seed=8)
    ]


@cache
def byte_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """Byte-level BPE with a chat template, as Qwen2 (`qwen`) and Llama 3 (`llama3`) have it."""
    special = SPECIAL[kind]
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(_corpus(), trainer)
    if kind == "llama3":
        start = special[0]
        model.post_processor = processors.TemplateProcessing(
            single=f"{start} $A", special_tokens=[(start, model.token_to_id(start))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=model,
        bos_token=special[0],
        eos_token=special[2] if kind == "qwen" else special[3],
        pad_token=special[0],
        chat_template=QWEN_TEMPLATE if kind == "qwen" else LLAMA_TEMPLATE,
    )


@cache
def sentencepiece_tokenizer() -> PreTrainedTokenizerFast:
    """Spaces as word starts and one put before the text, as Llama 2 and Mistral have it."""
    special = ["<unk>", "<s>", "</s>"]
    model = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    model.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    model.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    words = [word for text in _corpus() for word in text.replace("\n", " ").split(" ") if word]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[*special, *(f"<0x{byte:02X}>" for byte in range(256))],
        show_progress=False,
    )
    model.train_from_iterator([*words, *["ки", "+", "-"] * 50], trainer)
    model.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", model.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=model, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


def tiny_shape(tokenizer: Any, positions: int = 1024) -> dict[str, Any]:
    """The sizes of a model of this tokenizer, as arguments of a config of Llama's kind."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 48,
        "max_position_embeddings": positions,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": False,
    }


def save_verifier(
    folder: Path,
    kind: str,
    seed: int = 0,
    marks: Sequence[str] = (),
    positions: int = 1024,
    **settings: Any,
) -> str:
    """A checkpoint for a verifier of `kind`, as the kind says (TinyCheckpoint); returns its folder.

    `marks` are tokens that its tokenizer must have. `positions`: the longest sequence. `settings`: of the
    checkpoint's config, over those of the kind.
    """
    torch.manual_seed(seed)
    tiny = verifier_kind(kind).tiny
    tokenizer = (
        sentencepiece_tokenizer() if tiny.tokenizer == "sentencepiece" else byte_tokenizer(tiny.tokenizer)
    )
    tokenizer = with_tokens(tokenizer, missing_tokens(tokenizer, marks))
    architecture = getattr(transformers, tiny.model)
    shape = {**tiny_shape(tokenizer, positions), **tiny.settings, **settings}
    model = architecture(architecture.config_class(**shape))
    saved = save_widened(folder, model, tokenizer, 6.0)
    tensors = tiny.tensors(HIDDEN, len(tokenizer))
    if tensors:
        _change(saved, tiny.prefix, tensors)
    if tiny.called is not None:
        config = Path(saved) / "config.json"
        config.write_text(config.read_text().replace(f'"{tiny.model}"', f'"{tiny.called}"'))
    return saved


def with_tokens(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A copy of a tokenizer with texts that are one token each."""
    extended = copy.deepcopy(tokenizer)
    extended.add_tokens([AddedToken(text, normalized=False) for text in texts])
    return extended


def missing_tokens(tokenizer: Any, marks: Sequence[str]) -> list[str]:
    """The marks that are not one token of a tokenizer."""
    return [mark for mark in marks if not _is_token(tokenizer, mark)]


def _is_token(tokenizer: Any, text: str) -> bool:
    try:
        token_id(tokenizer, text)
    except UserError:
        return False
    return True


def _change(folder: str, prefix: str, tensors: dict[str, torch.Tensor]) -> None:
    """Put tensors into a saved checkpoint, and a prefix before the names of those that are there."""
    path = Path(folder) / "model.safetensors"
    there = {prefix + name: value for name, value in load_file(path).items()}
    save_file(there | {name: value.contiguous() for name, value in tensors.items()}, path, {"format": "pt"})
