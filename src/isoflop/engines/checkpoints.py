"""Loading Hugging Face checkpoints, and counting what is in them."""

import io
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from contextvars import ContextVar
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    GgufConfig,
)
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from isoflop.checkpoint_files.folder import (
    INDEX,
    SINGLE,
    index_of,
    other_weights,
    told_of_other,
    weight_files,
)
from isoflop.checkpoint_files.note import check_sums
from isoflop.checkpoint_files.safetensors_header import read_header
from isoflop.costs.shape import ModelShape
from isoflop.engines.loading.checks import check_finite, check_tensors, refuse_unread
from isoflop.engines.loading.source import Source, check_files
from isoflop.engines.prefix_attention import NAME, attention
from isoflop.errors import UserError

# What configs call the experts of a layer, and those of them that read a token.
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_CHOSEN = ("num_experts_per_tok", "moe_topk", "moe_k")
_OF_EXPERT = re.compile(r"(^|\.)experts\.")

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def default_device() -> torch.device:
    """The first CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_tokenizer(model: str, revision: str | None, gguf_file: str | None = None) -> Any:
    """The tokenizer of a local folder, of a hub repository at `revision`, or inside of a GGUF file.

    Raises UserError if it cannot be loaded, or is not the one that was trained.
    """
    source = Source(model, revision, gguf_file)
    if gguf_file is not None:
        check_files(source)
    elif Path(model).is_dir():
        check_sums(Path(model))
    with _told(model, "its tokenizer cannot be loaded"):
        return AutoTokenizer.from_pretrained(model, **_asked(source))


def load_model(
    model: str,
    revision: str | None,
    dtype: str,
    shared_prefix: bool,
    kind: Any = AutoModelForCausalLM,
    gguf_file: str | None = None,
) -> Any:
    """A causal language model, or one of another `kind`, in evaluation mode on the default device.

    With `shared_prefix`, its attention is the one of isoflop.engines.prefix_attention. Every tensor is the
    checkpoint's: UserError names those that are missing, have another shape, hold NaN or infinite numbers, or
    that nobody reads. Inside of `further_tensors` the last may be read later.
    """
    if shared_prefix:
        from transformers import AttentionInterface  # noqa: PLC0415  the registry lives in the heavy package

        AttentionInterface.register(NAME, attention)
    if dtype not in DTYPES:
        raise UserError(f"dtype: {dtype!r} is not one of {', '.join(DTYPES)}")
    source = Source(model, revision, gguf_file)
    check_files(source)
    loaded = _load(source, kind, dtype=DTYPES[dtype], attn_implementation=NAME if shared_prefix else "sdpa")
    loaded = loaded.to(default_device()).eval()
    check_finite(model, loaded.named_parameters())
    return loaded


def check_tensor_names(source: Source, kind: Any) -> Any:
    """Compare a checkpoint's tensors with its architecture's, by name and shape, without reading them.

    Returns the model without weights. Raises UserError as `load_model` does.
    """
    check_files(source)
    return _load(source, kind, device_map="meta")


def _load(source: Source, kind: Any, **settings: Any) -> Any:
    packed: dict[str, Any] = {}
    if source.gguf_file is not None:
        # Newer versions leave the blocks packed where they can, whose products differ from dense ones.
        packed = {"quantization_config": GgufConfig(dequantize=True)}
    transformers_logging.disable_progress_bar()
    with _told(source.model, "cannot be loaded"), _silent():
        if source.gguf_file is None:
            _config(source)
        loaded, told = kind.from_pretrained(
            source.model,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **_asked(source),
            **packed,
            **settings,
        )
    unread = check_tensors(loaded, source.model, told)
    waiting = _further.get()
    if waiting is None:
        refuse_unread(source.model, unread)
    else:
        waiting |= unread
    return loaded


def _config(source: Source) -> Any:
    """The config of a checkpoint. Raises UserError where it names weights of its own."""
    config = AutoConfig.from_pretrained(source.model, **_asked(source))
    other = other_weights(config)
    if other is not None:
        raise UserError(f"model {source.model!r}: {told_of_other(other)}")
    return config


_further: ContextVar[set[str] | None] = ContextVar("further", default=None)


@contextmanager
def further_tensors(model: str) -> Iterator[None]:
    """Models loaded in this block may have tensors that `load_tensors` reads before its end.

    Raises UserError naming those that then nobody has read.
    """
    unread: set[str] = set()
    token = _further.set(unread)
    try:
        yield
    finally:
        _further.reset(token)
    refuse_unread(model, unread)


def _asked(source: Source) -> dict[str, Any]:
    """What transformers is told wherever it reads a checkpoint: never to run its code, nor to ask whether."""
    asked = {"revision": source.revision, "trust_remote_code": False}
    return asked if source.gguf_file is None else asked | {"gguf_file": source.gguf_file}


@contextmanager
def _told(model: str, what: str) -> Iterator[None]:
    """What the libraries make of foreign files, as one line about the model."""
    try:
        yield
    except UserError:
        raise
    # Files from anywhere make them raise anything.
    except Exception as error:
        reason = _first_line(error)
        if "trust_remote_code" in str(error):
            reason = (
                "it needs Python code of its own repository, which is never run; choose a checkpoint of an "
                "architecture that transformers has itself"
            )
        elif "safetensors" in str(error) and isinstance(error, OSError):
            reason = (
                "it has no safetensors; pickles can run code, so they are never read: choose a revision with "
                "safetensors, or save it as such where you trust it"
            )
        raise UserError(f"model {model!r}: {what}: {reason}") from error


@contextmanager
def _silent() -> Iterator[None]:
    """Without the library's report of what it could not load, which is told in one line, and its progress."""
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.CRITICAL)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        transformers_logging.set_verbosity(level)


def model_shape(model: Any) -> ModelShape:
    """Sizes counted from the loaded weights; tensors that are shared count once.

    Of a mixture of experts, what a token meets is counted too: all but the experts that it is not routed to.
    Raises UserError where its config does not say to how many it is.
    """
    # parameters() names a shared tensor once; two tensors on the same memory are one as well.
    distinct = {parameter.data_ptr() or id(parameter): parameter.numel() for parameter in model.parameters()}
    config = model.config
    parameters, idle = sum(distinct.values()), _idle_parameters(model)
    keys, values = _head_widths(config)
    return ModelShape(
        parameters=parameters,
        embedding_parameters=model.get_input_embeddings().weight.numel(),
        layers=config.num_hidden_layers,
        attention_width=config.num_attention_heads * (keys + values) // 2,
        active_parameters=parameters - idle if idle else None,
        kv_width=_kv_width(config, keys, values),
    )


def _idle_parameters(model: Any) -> int:
    """Parameters of the experts that a token is not routed to; 0 of a dense model."""
    config = model.config
    experts = next((count for key in _EXPERTS if (count := getattr(config, key, None))), 0)
    routed = sum(
        weights.numel()
        for name, weights in model.named_parameters()
        # Experts are modules of their own, or stacked in one tensor.
        if _OF_EXPERT.search(name) or (weights.ndim == 3 and weights.shape[0] == experts)
    )
    if not routed:
        return 0
    chosen = next((count for key in _CHOSEN if (count := getattr(config, key, None))), 0)
    if not 0 < chosen <= experts:
        raise UserError(
            f"architecture {type(model).__name__}: has experts, but its config does not say how many there "
            f"are and how many read a token ({', '.join((*_EXPERTS, *_CHOSEN))}), so its FLOPs are not known"
        )
    return int(routed * (experts - chosen) // experts)


def _head_widths(config: Any) -> tuple[int, int]:
    """Width of a head's keys and of its values, which differ under latent attention (DeepSeek-V2)."""
    if getattr(config, "kv_lora_rank", None):
        return config.qk_nope_head_dim + config.qk_rope_head_dim, config.v_head_dim
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return width, width


def _kv_width(config: Any, keys: int, values: int) -> int | None:
    """Numbers that a token leaves in one layer's cache; None where layers differ in what they keep or read.

    Latent attention keeps what keys and values are made from, and the part of the keys that has positions.
    """
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
        return None
    if getattr(config, "kv_lora_rank", None):
        return int(config.kv_lora_rank + config.qk_rope_head_dim)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return int(heads * (keys + values))


def empty_model(
    model: str, revision: str | None, kind: Any = AutoModelForCausalLM, gguf_file: str | None = None
) -> Any:
    """A checkpoint's model without weights, from its config. Raises UserError if that cannot be read."""
    source = Source(model, revision, gguf_file)
    if gguf_file is not None:
        check_files(source)
    with _told(model, "its config cannot be read"):
        config = _config(source)
        with torch.device("meta"):
            return kind.from_config(config, trust_remote_code=False)


def load_output_embeddings(model: str, revision: str | None) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight [vocabulary, hidden] and bias of a causal language model's last layer, nothing else loaded."""
    empty = empty_model(model, revision)
    names = {id(value): name for name, value in empty.named_parameters()}
    output = empty.get_output_embeddings()
    tied = getattr(empty.config, "tie_word_embeddings", False)
    wanted = [names[id(empty.get_input_embeddings().weight if tied else output.weight)]]
    if output.bias is not None:
        wanted.append(names[id(output.bias)])
    weight, *bias = load_tensors(model, revision, wanted)
    return weight, bias[0] if bias else None


def configured_end(model: str, revision: str | None) -> int | list[int] | None:
    """The end tokens of a checkpoint's generation config, where it has one."""
    try:
        with _told(model, "its generation_config.json cannot be read"):
            end: int | list[int] | None = GenerationConfig.from_pretrained(
                model, revision=revision
            ).eos_token_id
    except UserError as error:
        if isinstance(error.__cause__, OSError):
            return None
        raise
    return end


def end_tokens(configured: int | list[int] | None, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a text: those of the generation config, else the tokenizer's."""
    end = tokenizer.eos_token_id if configured is None else configured
    return frozenset([end] if isinstance(end, int) else end or [])


def load_tensors(model: str, revision: str | None, names: Sequence[str]) -> list[torch.Tensor]:
    """Tensors of a checkpoint by name, from its safetensors files.

    Raises UserError for missing ones, and for NaN or infinite numbers.
    """
    check_files(Source(model, revision))
    with _told(model, "its weights cannot be read"):
        # As transformers does it: the index counts where the one file is not there.
        single, index = (
            cached_file(model, name, revision=revision, _raise_exceptions_for_missing_entries=False)
            for name in (SINGLE, INDEX)
        )
        several = single is None and index is not None
        files = index_of(Path(index).parent) if several else dict.fromkeys(names, SINGLE)
        found: dict[str, torch.Tensor] = {}
        for file in {files[name] for name in names if name in files}:
            with safe_open(cached_file(model, file, revision=revision), framework="pt") as tensors:
                inside = set(tensors.keys())
                found |= {name: tensors.get_tensor(name) for name in names if name in inside}
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(f"model {model!r}: has no tensor {missing[0]!r}: is it of this kind?")
    check_finite(model, iter(found.items()))
    waiting = _further.get()
    if waiting is not None:
        waiting.difference_update(names)
    return [found[name] for name in names]


def context_length(model: Any) -> int | None:
    """Longest sequence whose every token attends to all before it: the positions, or the sliding window."""
    config = model.config
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    bounds = (getattr(config, "max_position_embeddings", None), window)
    return min((bound for bound in bounds if bound is not None), default=None)


def saved_parameters(folder: Path) -> int:
    """Parameters of a saved checkpoint, from the safetensors headers alone."""
    return sum(prod(entry.shape) for path in weight_files(folder) for entry in read_header(path).values())


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
