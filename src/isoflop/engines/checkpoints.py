"""Loading Hugging Face checkpoints, and counting what is in them."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
)
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from isoflop.costs.shape import ModelShape
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


def load_tokenizer(model: str, revision: str | None) -> Any:
    """The tokenizer of a local folder or of a hub repository at `revision`."""
    try:
        return AutoTokenizer.from_pretrained(model, revision=revision)
    except (OSError, ValueError) as error:
        raise UserError(f"model {model!r}: its tokenizer cannot be loaded: {_first_line(error)}") from error


def load_model(
    model: str, revision: str | None, dtype: str, shared_prefix: bool, kind: Any = AutoModelForCausalLM
) -> Any:
    """A causal language model, or one of another `kind`, in evaluation mode on the default device.

    With `shared_prefix`, its attention is the one of isoflop.engines.prefix_attention.
    Raises UserError if it cannot be loaded.
    """
    if shared_prefix:
        from transformers import AttentionInterface  # noqa: PLC0415  the registry lives in the heavy package

        AttentionInterface.register(NAME, attention)
    if dtype not in DTYPES:
        raise UserError(f"dtype: {dtype!r} is not one of {', '.join(DTYPES)}")
    transformers_logging.disable_progress_bar()
    try:
        loaded = kind.from_pretrained(
            model,
            revision=revision,
            dtype=DTYPES[dtype],
            attn_implementation=NAME if shared_prefix else "sdpa",
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"model {model!r}: cannot be loaded: {_first_line(error)}") from error
    return loaded.to(default_device()).eval()


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


def empty_model(model: str, revision: str | None, kind: Any = AutoModelForCausalLM) -> Any:
    """A checkpoint's model without weights, from its config. Raises UserError if that cannot be read."""
    try:
        config = AutoConfig.from_pretrained(model, revision=revision)
        with torch.device("meta"):
            return kind.from_config(config)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"model {model!r}: its config cannot be read: {_first_line(error)}") from error


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


@contextmanager
def _eager(model: Any) -> Iterator[None]:
    """With the plain attention of transformers instead of the model's own."""
    implementation = model.config._attn_implementation
    model.set_attn_implementation("eager")
    yield
    model.set_attn_implementation(implementation)


def _some_ids(model: Any) -> torch.Tensor:
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    return torch.arange(1, 9, device=model.device)[None] % vocabulary


def check_logits(model: Any, name: str) -> None:
    """Refuse a model whose logits are more than its last hidden states times its output embeddings.

    The engines compute them so, with an attention of their own: a model that scales or caps logits or
    attention scores in other ways (Granite, Cohere, Gemma 2) would be sampled at another temperature.
    """
    ids = _some_ids(model)
    with torch.inference_mode():
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        ours = model.get_output_embeddings()(hidden).double().log_softmax(-1)
        with _eager(model):
            theirs = model(input_ids=ids, use_cache=False).logits.double().log_softmax(-1)
    tolerance = 1e-3 if hidden.dtype == torch.float32 else 0.3
    if not torch.allclose(ours, theirs, rtol=0.0, atol=tolerance):
        raise UserError(
            f"model {name!r}: its logits are not its hidden states times its output embeddings "
            f"(architecture {type(model).__name__}); engine transformers does not support it"
        )


def plain_head(model: Any) -> bool:
    """Whether the logits are the last hidden states times the output embeddings, as `check_logits` has it."""
    training = model.training
    model.eval()
    try:
        check_logits(model, "")
    except UserError:
        return False
    finally:
        model.train(training)
    return True


def check_hidden(model: Any, name: str) -> None:
    """Refuse a model whose hidden states differ under the attention of isoflop.engines.prefix_attention."""
    ids = _some_ids(model)
    with torch.inference_mode():
        ours = model.base_model(input_ids=ids, use_cache=False).last_hidden_state.double()
        with _eager(model):
            theirs = model.base_model(input_ids=ids, use_cache=False).last_hidden_state.double()
    tolerance = 1e-3 if model.dtype == torch.float32 else 0.1
    if not torch.allclose(ours, theirs, rtol=tolerance, atol=tolerance * float(theirs.abs().max())):
        raise UserError(
            f"model {name!r}: its attention is not the common one (architecture {type(model).__name__}); "
            "engine transformers cannot search with it"
        )


def configured_end(model: str, revision: str | None) -> int | list[int] | None:
    """The end tokens of a checkpoint's generation config, where it has one."""
    try:
        end: int | list[int] | None = GenerationConfig.from_pretrained(model, revision=revision).eos_token_id
    except OSError:
        return None
    return end


def end_tokens(configured: int | list[int] | None, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a text: those of the generation config, else the tokenizer's."""
    end = tokenizer.eos_token_id if configured is None else configured
    return frozenset([end] if isinstance(end, int) else end or [])


def load_tensors(model: str, revision: str | None, names: Sequence[str]) -> list[torch.Tensor]:
    """Tensors of a checkpoint by name, from its safetensors files. Raises UserError for missing ones."""
    try:
        index = cached_file(
            model,
            "model.safetensors.index.json",
            revision=revision,
            _raise_exceptions_for_missing_entries=False,
        )
        if index is None:
            files = dict.fromkeys(names, "model.safetensors")
        else:
            files = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"]
        tensors_by_name: dict[str, torch.Tensor] = {}
        for file in {files[name] for name in names if name in files}:
            path = cached_file(model, file, revision=revision)
            with safe_open(path, framework="pt") as tensors:
                inside = set(tensors.keys())
                tensors_by_name |= {name: tensors.get_tensor(name) for name in names if name in inside}
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"model {model!r}: its weights cannot be read: {_first_line(error)}") from error
    missing = [name for name in names if name not in tensors_by_name]
    if missing:
        raise UserError(f"model {model!r}: has no tensor {missing[0]!r}: is it of this kind?")
    return [tensors_by_name[name] for name in names]


def context_length(model: Any) -> int | None:
    """Longest sequence whose every token attends to all before it: the positions, or the sliding window."""
    config = model.config
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    bounds = (getattr(config, "max_position_embeddings", None), window)
    return min((bound for bound in bounds if bound is not None), default=None)


def saved_parameters(folder: Path) -> int:
    """Parameters of a saved checkpoint, from the safetensors headers alone."""
    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        for name, entry in header.items():
            if name != "__metadata__":
                count = 1
                for size in entry["shape"]:
                    count *= size
                total += count
    return total


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
