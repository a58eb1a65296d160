"""How long a model takes and what memory it needs, by its roofline on a named accelerator.

A phase takes the longer of computing (FLOPs over peak) and moving data (bytes over bandwidth), divided by the
share of it that is reached (planning.utilisation), and the time of each pass beside it.

Accelerators are known by the public figures of their data sheets: peaks are dense (without sparsity), the
best variant of each name (SXM where there is one). The CPU's are what benchmarks/engine.py reaches on one
core, not a data sheet's: docs/how-to/plan-a-study.md has the runs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from isoflop.config.planning import Gpu, Planning
from isoflop.costs.shape import ModelShape


@dataclass(frozen=True)
class Accelerator:
    """Peak FLOP/s in bfloat16 or float16 and in float32, memory bandwidth in bytes/s, memory in bytes."""

    half: float
    single: float
    bandwidth: float
    memory: float

    def peak(self, dtype: str) -> float:
        """FLOP/s for weights of `dtype`."""
        return self.single if dtype == "float32" else self.half


ACCELERATORS: Mapping[str, Accelerator] = {
    "A100-40": Accelerator(312e12, 19.5e12, 1555e9, 40e9),
    "A100-80": Accelerator(312e12, 19.5e12, 2039e9, 80e9),
    "H100-80": Accelerator(989e12, 67e12, 3350e9, 80e9),
    "H200": Accelerator(989e12, 67e12, 4800e9, 141e9),
    "L4": Accelerator(121e12, 30.3e12, 300e9, 24e9),
    "L40S": Accelerator(362e12, 91.6e12, 864e9, 48e9),
    "RTX-4090": Accelerator(165e12, 82.6e12, 1008e9, 24e9),
    "cpu": Accelerator(50e9, 50e9, 10e9, 16e9),
}

assert set(ACCELERATORS) == set(get_args(Gpu))

_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
# Bytes per weight by what the name of a quantisation holds; four bits have scales beside them.
_QUANTIZED = (("awq", 0.5625), ("gptq", 0.5625), ("bitsandbytes", 0.5625), ("int4", 0.5625), ("w4", 0.5625),
              ("fp8", 1.0), ("int8", 1.0), ("w8", 1.0))  # fmt: skip
# Weights and gradients in float32, and Adam's two moments.
TRAINED_BYTES = 16.0


@dataclass(frozen=True)
class Placed:
    """A model where it runs. `key_width`: width of the keys of one token in one layer.

    `gpus`, `memory_share`: as in the config. `vllm`: whether a search may give it GPUs of its own.
    """

    shape: ModelShape
    key_width: int
    dtype: str = "float32"
    quantization: str | None = None
    gpus: int = 1
    memory_share: float = 0.9
    vllm: bool = False

    @property
    def weight_bytes(self) -> float:
        """Bytes of the weights."""
        return self.shape.parameters * weight_bytes(self.dtype, self.quantization)

    @property
    def token_bytes(self) -> float:
        """Bytes of one token's keys and values."""
        return 2.0 * self.shape.layers * self.key_width * _BYTES[self.dtype]


def weight_bytes(dtype: str, quantization: str | None = None) -> float:
    """Bytes of one weight; those of `dtype` where the quantisation's name says nothing."""
    name = (quantization or "").lower()
    return next((size for part, size in _QUANTIZED if part in name), _BYTES[dtype])


def read_seconds(model: Placed, planning: Planning, flops: float, tokens: float) -> float:
    """Wall-clock seconds in which `tokens` tokens are read in passes of `batch_tokens`."""
    passes = tokens / planning.batch_tokens
    bound = _bound(model, planning, flops, passes * model.weight_bytes)
    return bound / planning.utilisation.prefill + passes * planning.pass_seconds


def write_seconds(
    model: Placed, planning: Planning, flops: float, tokens: float, batch: float, context: float
) -> float:
    """Wall-clock seconds to write `tokens` tokens, `batch` at once, each after `context` others."""
    passes = tokens / batch
    moved = passes * model.weight_bytes + tokens * context * model.token_bytes
    bound = _bound(model, planning, flops, moved)
    return (
        bound / planning.utilisation.decode + passes * planning.pass_seconds + tokens * planning.token_seconds
    )


def train_seconds(dtype: str, planning: Planning, flops: float, steps: float, gpus: int = 1) -> float:
    """Seconds of training in so many optimizer steps on `gpus` accelerators that share every step."""
    peak = ACCELERATORS[planning.gpu].peak(dtype) * gpus
    return flops / (peak * planning.utilisation.training) + steps * planning.pass_seconds


def start_seconds(models: list[Placed], planning: Planning) -> float:
    """Seconds until a job's models are there."""
    return planning.start_seconds + sum(model.weight_bytes for model in models) / planning.load_bandwidth


def batch(model: Placed, planning: Planning, waiting: float, longest: float) -> float:
    """Solutions written at once: `batch_size`, what waits, or what memory holds of `longest` tokens."""
    room = _memory(model, ACCELERATORS[planning.gpu]) - model.weight_bytes
    held = room / max(1.0, longest * model.token_bytes)
    return max(1.0, min(planning.batch_size, waiting, math.floor(held)))


def memory_fault(model: Placed, planning: Planning, longest: float) -> str | None:
    """What does not fit: the weights and one sequence of `longest` tokens, in its share; None if all does."""
    accelerator = ACCELERATORS[planning.gpu]
    needed = model.weight_bytes + longest * model.token_bytes
    if needed <= _memory(model, accelerator):
        return None
    enough = math.ceil(needed / (accelerator.memory * model.memory_share))
    have = f"{'has' if model.gpus == 1 else 'have'} {_gb(_memory(model, accelerator))}"
    return (
        f"needs {_gb(model.weight_bytes)} for weights and {_gb(longest * model.token_bytes)} for one "
        f"sequence of {longest:,.0f} tokens, and {model.gpus} x {planning.gpu} at memory_share "
        f"{model.memory_share:g} {have}; with engine vllm set "
        f"gpus: {enough} or more, a smaller dtype or quantization, or plan for another gpu"
    )


def shared_fault(policy: Placed, verifier: Placed, planning: Planning) -> str | None:
    """What does not fit where policy and verifier are on the same accelerator, with all of its memory."""
    needed = policy.weight_bytes + verifier.weight_bytes
    memory = ACCELERATORS[planning.gpu].memory
    if needed <= 0.9 * memory:
        return None
    return (
        f"share one {planning.gpu} and need {_gb(needed)} for their weights alone, of {_gb(memory)}; with "
        "engine vllm each can have GPUs of its own"
    )


def training_fault(parameters: int, planning: Planning, gpus: int = 1) -> str | None:
    """What does not fit in training: weights, gradients and Adam's moments in float32, shared by `gpus`.

    Each of them first holds all weights.
    """
    memory, needed = ACCELERATORS[planning.gpu].memory, parameters * TRAINED_BYTES
    loaded = parameters * _BYTES["float32"]
    if needed <= memory * gpus and loaded <= memory:
        return None
    have = f"one {planning.gpu} has" if gpus == 1 else f"{gpus} x {planning.gpu} have"
    what = (
        f"set gpus: {math.ceil(needed / memory)} or more"
        if loaded <= memory
        else f"each must first hold all weights ({_gb(loaded)}): train elsewhere"
    )
    return (
        f"needs {_gb(needed)} for weights, gradients and Adam in float32, and {have} "
        f"{_gb(memory * gpus)}; {what}, or give the trained checkpoint as model"
    )


def _memory(model: Placed, accelerator: Accelerator) -> float:
    return accelerator.memory * model.memory_share * model.gpus


def _bound(model: Placed, planning: Planning, flops: float, moved: float) -> float:
    accelerator = ACCELERATORS[planning.gpu]
    return max(flops / accelerator.peak(model.dtype), moved / accelerator.bandwidth) / model.gpus


def _gb(count: float) -> str:
    if count >= 1e8:
        return f"{count / 1e9:,.1f} GB"
    return f"{count / 1e6:,.1f} MB"
