"""How large a model is, without its weights: from its config, from what planning says, or from its name.

A local checkpoint and a hub model whose config.json is here, in the hub's cache or on the hub are counted
exactly; a guess is called one.
"""

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path

from isoflop.checkpoint_files.gguf_header import read_gguf_header
from isoflop.checkpoint_files.packages import is_installed, packaged_file
from isoflop.config.models import Model, ModelSize
from isoflop.config.training import LlamaShape
from isoflop.config.verifiers import RunningVerifier
from isoflop.costs.shape import ModelShape
from isoflop.forecast.checkpoint_configs import CheckpointConfigs, key_width
from isoflop.verifiers.registry import with_head

# Layers and attention width of well-known models by millions of parameters, for sizes known by name only.
_USUAL = {
    70: (6, 512), 160: (12, 768), 410: (24, 1024), 1000: (16, 2048), 1400: (24, 2048), 2800: (32, 2560),
    6900: (32, 4096), 12000: (36, 5120), 34000: (48, 8192), 70000: (80, 8192),
}  # fmt: skip
_IN_NAME = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)([BbMm])(?![A-Za-z0-9])")
_UNITS = {"b": 1e9, "m": 1e6}


@dataclass(frozen=True)
class Size:
    """What a model's FLOPs and memory depend on, and where that is from. `key_width`: of one token's keys."""

    shape: ModelShape
    key_width: int
    source: str


def size_of_name(name: str) -> Size | None:
    """The size that a model's name gives ("7B"), with the layers and width usual for it; None without one.

    Keys are taken to be as wide as queries, which is the most that they can be.
    """
    match = _IN_NAME.search(name.rsplit("/", 1)[-1])
    if match is None:
        return None
    parameters = float(match[1]) * _UNITS[match[2].lower()]
    nearest = min(_USUAL, key=lambda millions: abs(millions * 1e6 / parameters - 1))
    layers, width = _USUAL[nearest]
    shape = ModelShape(
        parameters=round(parameters), embedding_parameters=0, layers=layers, attention_width=width
    )
    return Size(shape, width, f"assumed from its name ({match[0]})")


def size_of_plan(size: ModelSize) -> Size:
    """The size that planning.sizes gives."""
    shape = ModelShape(embedding_parameters=0, **size.model_dump())
    width = size.attention_width if size.kv_width is None else size.kv_width // 2
    return Size(shape, width, "of planning.sizes")


def counted_size(
    configs: CheckpointConfigs, model: str, revision: str | None, entry: Model | None = None
) -> Size | None:
    """The exact size, from the config or a GGUF file; of a verifier with its head. None where there is none.

    Raises UserError where the config is of no known architecture.
    """
    if entry is not None and entry.gguf_file is not None:
        if entry.package is not None and not is_installed(entry.package):
            return None
        path = (
            Path(model) / entry.gguf_file
            if entry.package is None
            else packaged_file(entry.package, entry.gguf_file)
        )
        return size_of_gguf(path) if path.is_file() else None
    folder = configs.folder(model, revision)
    if folder is None:
        return None
    from isoflop.engines.checkpoints import empty_model, model_shape  # noqa: PLC0415  torch, only where it counts

    if not isinstance(entry, RunningVerifier):
        empty = empty_model(str(folder), None)
        shape = model_shape(empty)
    else:
        from isoflop.verifiers.heads import model_class  # noqa: PLC0415

        empty = empty_model(str(folder), None, model_class(entry))
        shape = with_head(model_shape(empty), entry, int(empty.config.hidden_size))
    return Size(shape, key_width(empty.config.to_dict()), "counted from its config.json")


def size_of_gguf(path: Path) -> Size | None:
    """The exact size of a GGUF file, from its header; None where its layers are not all alike.

    Raises UserError where the file is damaged.
    """
    header = read_gguf_header(path)
    prefix = header.metadata.get("general.architecture")
    told = [
        header.metadata.get(f"{prefix}.{key}")
        for key in ("block_count", "embedding_length", "attention.head_count", "attention.head_count_kv")
    ]
    layers, hidden, heads, kv_heads = (one if type(one) is int and one > 0 else None for one in told)
    embeddings = header.tensors.get("token_embd.weight")
    if layers is None or hidden is None or heads is None or embeddings is None:
        return None
    if f"{prefix}.expert_count" in header.metadata:
        return None
    width = header.metadata.get(f"{prefix}.attention.key_length", hidden // heads)
    shape = ModelShape(
        parameters=sum(prod(shape) for shape in header.tensors.values()),
        embedding_parameters=prod(embeddings),
        layers=layers,
        attention_width=heads * width,
    )
    return Size(shape, (kv_heads or heads) * width, "counted from its GGUF file")


def size_of_architecture(shape: LlamaShape) -> Size:
    """The exact size of a model that is trained from nothing."""
    import torch  # noqa: PLC0415

    from isoflop.engines.checkpoints import model_shape  # noqa: PLC0415
    from isoflop.training.initial_model import new_llama  # noqa: PLC0415

    with torch.device("meta"):
        model, _ = new_llama(shape)
    width = shape.hidden_size // shape.heads * shape.kv_heads
    return Size(model_shape(model), width, "counted from its architecture")


def with_layers(size: Size, extra: int) -> Size:
    """With so many more layers of the mean size of those there are."""
    shape = size.shape
    each = (shape.parameters - shape.embedding_parameters) / shape.layers
    grown = shape.with_more(round(extra * each), extra)
    return Size(grown, size.key_width, size.source)
