"""The models that a stage loads, as the specification names them and the machine's settings allow."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from isoflop.config.models import Model, Server
from isoflop.config.models import Policy as PolicyEntry
from isoflop.config.verifiers import RunningVerifier
from isoflop.engines.registry import Policy, Verifier, load_policy, load_verifier
from isoflop.engines.vllm_settings import VllmSettings
from isoflop.errors import UserError
from isoflop.stages.shared.gpus import job_devices
from isoflop.stages.shared.ledgers import noted
from isoflop.stages.shared.runtime import Runtime

_Entry = TypeVar("_Entry", bound=Model)


def open_policy(entry: PolicyEntry, runtime: Runtime, devices: str | None = None) -> Policy:
    """Load a policy, on its `devices` where a job has several models. Raises UserError if it cannot be."""
    settings: dict[str, object] = {"batch_size": runtime.batch_size}
    if entry.engine == "vllm":
        settings["machine"] = _settings(entry, runtime, devices)
    if entry.engine == "server":
        settings["server"] = _server(entry, runtime)
    return load_policy(entry.engine, entry=found(entry, runtime), **settings)


def about_policy(policy: Policy) -> dict[str, object]:
    """What tables of a policy's work say of it: its sizes, and what readers are to know."""
    return {"model": policy.shape.model_dump(), **noted(policy.notes)}


def open_verifier(
    entry: RunningVerifier, runtime: Runtime, *, settle: bool = False, devices: str | None = None
) -> Verifier:
    """Load a verifier; with `settle`, one whose scores do not depend on the batch, as a search needs.

    Raises UserError if it cannot be loaded.
    """
    if entry.engine == "vllm":
        machine = _settings(entry, runtime, devices)
        return load_verifier(entry.engine, entry=found(entry, runtime), machine=machine)
    return load_verifier(
        entry.engine, entry=found(entry, runtime), batch_tokens=runtime.batch_tokens, settle=settle
    )


def open_both(policy: PolicyEntry, verifier: RunningVerifier, runtime: Runtime) -> tuple[Policy, Verifier]:
    """Both models of a search: on GPUs of their own where there are enough, else together on the same ones.

    Raises UserError if one cannot be loaded, or they would share memory that is not enough for both.
    """
    first, second = devices_for([policy, verifier], runtime)
    return open_policy(policy, runtime, first), open_verifier(verifier, runtime, settle=True, devices=second)


def devices_for(entries: Sequence[PolicyEntry | RunningVerifier], runtime: Runtime) -> list[str]:
    """The GPUs of each model of this job, claimed where no scheduler gave them; "" for one that needs none.

    Called once, with all models of the job. Raises UserError if there are too few.
    """
    needs = [_machine(entry, runtime) if entry.engine == "vllm" else None for entry in entries]
    counts = [need.gpus for need in needs if need is not None]
    if not counts:
        return [""] * len(needs)
    return assign_devices(job_devices(sum(counts), max(counts), runtime), needs)


def assign_devices(visible: Sequence[str], needs: Sequence[VllmSettings | None]) -> list[str]:
    """The GPUs of each model of a job. Raises UserError where they do not fit."""
    models = [need for need in needs if need is not None]
    needed = sum(model.gpus for model in models)
    if not visible:
        return [""] * len(needs)
    largest = max(model.gpus for model in models)
    if len(visible) < largest:
        raise UserError(f"gpus: a model needs {largest}, and this job has {len(visible)}")
    shared = len(visible) < needed
    if shared and sum(model.memory_share for model in models) > 1:
        shares = " and ".join(str(model.memory_share) for model in models)
        raise UserError(
            f"memory_share: {len(models)} models share {len(visible)} GPU, and {shares} of its memory "
            f"are more than there is; set them, or give the job {needed} GPUs"
        )
    assigned, taken = [], 0
    for need in needs:
        first = 0 if shared else taken
        assigned.append(",".join(visible[first : first + need.gpus]) if need is not None else "")
        taken += need.gpus if need is not None else 0
    return assigned


def found(entry: _Entry, runtime: Runtime) -> _Entry:
    """The entry with its local checkpoint where it is, seen from here."""
    if entry.model is None or entry.revision is not None:
        return entry
    folder = runtime.folder(entry.model)
    return entry.model_copy(update={"model": str(folder)}) if folder.is_dir() else entry


def _settings(entry: PolicyEntry | RunningVerifier, runtime: Runtime, devices: str | None) -> VllmSettings:
    """What the machine gives a model: those devices, or where it is the job's only model all it needs."""
    [own] = devices_for([entry], runtime) if devices is None else [devices]
    return replace(_machine(entry, runtime), devices=own)


def _machine(entry: PolicyEntry | RunningVerifier, runtime: Runtime) -> VllmSettings:
    """What a model of engine vllm may use of the machine."""
    own = runtime.of_model(entry.checkpoint)
    return VllmSettings(own.gpus, own.memory_share)


def _server(entry: PolicyEntry, runtime: Runtime) -> Server:
    """Where a model is served. Raises UserError where nobody says."""
    server = runtime.of_model(entry.checkpoint).server
    if server is None:
        example = {"models": {entry.checkpoint: {"server": {"url": "http://127.0.0.1:8000/v1"}}}}
        raise UserError(
            f"policy {entry.checkpoint!r}: --runtime has no address of its server; run snakemake, or give "
            f"--runtime {json.dumps(example)!r}"
        )
    return server
