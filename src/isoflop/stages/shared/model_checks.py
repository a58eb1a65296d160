"""What is wrong with the models of jobs, told without weights: tokenizers, architectures, tensors' names."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from isoflop.config.models import Model, Policy
from isoflop.config.training import PrmTraining, TrainingConfig
from isoflop.config.verifiers import RunningVerifier
from isoflop.engines.checkpoints import (
    DTYPES,
    check_tensor_names,
    context_length,
    empty_model,
    further_tensors,
    load_tokenizer,
    model_shape,
)
from isoflop.engines.loading.source import Source, source_of
from isoflop.engines.prompts import PromptEncoder
from isoflop.engines.vllm_settings import need_vllm
from isoflop.errors import UserError
from isoflop.files import located
from isoflop.specs import (
    ChainLabelsSpec,
    ReviseSpec,
    SampleSpec,
    ScoreSpec,
    SearchSpec,
    Spec,
    StepLabelsSpec,
    TrainSpec,
    TrajectoriesSpec,
)
from isoflop.stages.shared.models import found
from isoflop.stages.shared.runtime import Runtime
from isoflop.verifiers.heads import model_class
from isoflop.verifiers.layouts import token_id
from isoflop.verifiers.registry import check_marks, verifier_kind

_SPECS: dict[str, type[Spec]] = {
    "sample": SampleSpec,
    "revise": ReviseSpec,
    "search": SearchSpec,
    "score": ScoreSpec,
    "step_labels": StepLabelsSpec,
    "trajectories": TrajectoriesSpec,
    "chain_labels": ChainLabelsSpec,
    "train": TrainSpec,
}
# Where a job's specification says how many tokens its policies write at most.
_WRITING = ("generator", "label", "trajectories", "chains")
_CAUSAL, _CLASSIFIERS = "ForCausalLM", ("ForSequenceClassification", "ForTokenClassification")
_GB = 1e9


class UnreachableError(Exception):
    """A hub model that cannot be asked for from here."""


def faults_of_job(stage: str, text: str) -> Iterator[str]:
    """One line per fault of the models of a job; models that are still to be trained have none."""
    spec = _SPECS[stage].model_validate_json(text)
    if isinstance(spec, TrainSpec):
        yield from _told(str(spec.training.init.model), lambda: _check_training(spec.training))
        return
    longest = next((one.max_tokens for key in _WRITING if (one := getattr(spec, key, None)) is not None), 0)
    policies = [spec.policy] if hasattr(spec, "policy") else list(getattr(spec, "policies", {}).values())
    for policy in policies:
        yield from _told(policy.checkpoint, partial(_check_policy, _key(policy), longest))
    verifier = getattr(spec, "verifier", None)
    if verifier is not None:
        yield from _told(verifier.checkpoint, partial(_check_verifier, _key(verifier)))


def _told(name: str, check: Callable[[], None]) -> Iterator[str]:
    """The fault that a check of a model finds, with the model's name in it."""
    try:
        check()
    except UserError as error:
        if _cut_off(error):
            raise UnreachableError(str(error)) from error
        yield str(error) if name in str(error) else f"model {name!r}: {error}"


def _cut_off(error: BaseException | None) -> bool:
    """Whether an error comes of a hub that does not answer."""
    while error is not None:
        if type(error).__name__ in ("LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectError"):
            return True
        if "couldn't connect to" in str(error) or "offline mode" in str(error):
            return True
        error = error.__cause__
    return False


class _Key(str):
    """The JSON of an entry, which a check is remembered by; the entry itself beside it."""

    entry: Any


def _key(entry: Model) -> _Key:
    key = _Key(f"{type(entry).__name__}{entry.model_dump_json(exclude_defaults=True)}")
    key.entry = found(entry, Runtime())
    return key


@lru_cache(256)
def _check_policy(key: _Key, longest: int) -> None:
    entry: Policy = key.entry
    if _still_to_train(entry):
        return
    source, tokenizer = _tokenizer(key)
    prompts = PromptEncoder(tokenizer, chat=entry.chat, system=entry.system, template=entry.chat_template)
    tokens = len(prompts.ids([entry.prompt.format(problem="")])[0])
    positions = _architecture(key)
    bounds = [bound for bound in (positions, entry.max_length) if bound is not None]
    if bounds and tokens + longest > min(bounds):
        raise UserError(
            f"model {entry.checkpoint!r}: max_tokens {longest} and a prompt of {tokens} tokens and the "
            f"problem's own exceed its {min(bounds)} positions; set a smaller max_tokens"
        )
    if entry.engine != "server" and source.gguf_file is None and Path(source.model).is_dir():
        check_tensor_names(source, _causal())


@lru_cache(256)
def _check_verifier(key: _Key) -> None:
    entry: RunningVerifier = key.entry
    if _still_to_train(entry):
        return
    source, tokenizer = _tokenizer(key)
    check_marks(tokenizer, entry)
    for name in ("good_token", "bad_token"):
        if isinstance(token := getattr(entry, name, None), str):
            token_id(tokenizer, token)
    _architecture(key)
    if source.gguf_file is None and Path(source.model).is_dir():
        with further_tensors(source.model):
            model = check_tensor_names(source, model_class(entry))
            verifier_kind(entry.kind).head(entry, model, tokenizer)


def _check_training(training: TrainingConfig) -> None:
    init = training.init
    if init.model is None:
        return
    model = init.model if init.revision else str(located(init.model))
    tokenizer = load_tokenizer(model, init.revision)
    if isinstance(training, PrmTraining):
        for token in (training.step_tag, training.good_token, training.bad_token):
            token_id(tokenizer, token)
    positions = init.positions or context_length(empty_model(model, init.revision))
    if positions is not None and training.max_length > positions:
        raise UserError(
            f"model {init.model!r}: max_length {training.max_length} is more than its {positions} positions"
        )
    if Path(model).is_dir():
        check_tensor_names(Source(model, init.revision), _causal())


def _causal() -> Any:
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    return AutoModelForCausalLM


def _still_to_train(entry: Model) -> bool:
    """Whether a folder is not there yet: the config has been checked, so this one is an output."""
    return entry.model is not None and entry.revision is None and not Path(entry.model).is_dir()


def _tokenizer(key: _Key) -> tuple[Source, Any]:
    source = source_of(key.entry)
    return source, _loaded_tokenizer(source)


@lru_cache(64)
def _loaded_tokenizer(source: Source) -> Any:
    return load_tokenizer(*source)


@lru_cache(256)
def _architecture(key: _Key) -> int | None:
    """Its context length. Raises UserError where it is of another kind, or too large for the GPUs."""
    entry = key.entry
    if entry.engine == "vllm":
        need_vllm()
    source = source_of(entry)
    kind = model_class(entry) if isinstance(entry, RunningVerifier) else _causal()
    _check_called(source, kind, entry)
    model = empty_model(source.model, source.revision, kind, source.gguf_file)
    if entry.engine == "vllm" and entry.quantization is None:
        _check_memory(entry, model_shape(model).parameters * DTYPES[entry.dtype].itemsize)
    return context_length(model)


def _check_called(source: Source, kind: Any, entry: Model) -> None:
    """The architecture that a checkpoint calls itself is not one for another kind of model."""
    if source.gguf_file is not None:
        return
    from transformers import AutoConfig  # noqa: PLC0415

    try:
        config = AutoConfig.from_pretrained(source.model, revision=source.revision, trust_remote_code=False)
    except Exception:  # what is wrong with it is told by whoever loads it
        return
    called = list(getattr(config, "architectures", None) or ())
    wanted = getattr(kind, "__name__", "")
    classifies = "Classification" in wanted
    wrong = (_CAUSAL,) if classifies else _CLASSIFIERS if "CausalLM" in wanted else ()
    if called and wrong and all(name.endswith(wrong) for name in called):
        needed = "a classifier" if classifies else "a causal language model"
        kind_of = f"kind {entry.kind}" if isinstance(entry, RunningVerifier) else "a policy"
        raise UserError(
            f"model {entry.checkpoint!r}: is a {called[0]}, and {kind_of} needs {needed}; choose the kind "
            "that it is of"
        )


def _check_memory(entry: Model, weights: int) -> None:
    memory = _gpu_memory()
    room = memory and memory * entry.memory_share * entry.gpus
    if room and weights > room:
        raise UserError(
            f"model {entry.checkpoint!r}: has {weights / _GB:.1f} GB of weights in {entry.dtype}, and "
            f"{entry.gpus} of this machine's GPUs at memory_share {entry.memory_share:g} "
            f"{'has' if entry.gpus == 1 else 'have'} {room / _GB:.1f} GB; set gpus, memory_share or dtype"
        )


@lru_cache(1)
def _gpu_memory() -> float | None:
    """Bytes of the smallest GPU that the driver's tool lists; None where there is none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    sizes = [int(line) for line in listed.stdout.split() if line.isdigit()]
    return min(sizes) * 2.0**20 if sizes else None
