"""The models that a stage loads, as the specification names them and the machine's settings allow."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from isoflop.config_models import Policy as PolicyEntry
from isoflop.config_models import Running, Server
from isoflop.engines import Policy, Verifier, load_policy, load_verifier
from isoflop.errors import UserError
from isoflop.stages.common import read_json
from isoflop.vllm_settings import VllmSettings


def open_policy(entry: PolicyEntry, devices: str = "") -> Policy:
    """Load a policy. Raises UserError if it cannot be loaded."""
    settings: dict[str, object] = {"batch_size": int(os.environ.get("ISOFLOP_BATCH_SIZE", "512"))}
    if entry.engine == "vllm":
        settings["machine"] = replace(_machine(entry), devices=devices)
    if entry.engine == "server":
        settings["server"] = _server(entry)
    return load_policy(entry.engine, entry=entry, **settings)


def open_verifier(entry: Running, *, settle: bool = False, devices: str = "") -> Verifier:
    """Load a verifier; with `settle`, one whose scores do not depend on the batch, as a search needs.

    Raises UserError if it cannot be loaded.
    """
    if entry.engine == "vllm":
        return load_verifier(entry.engine, entry=entry, machine=replace(_machine(entry), devices=devices))
    batch_tokens = int(os.environ.get("ISOFLOP_BATCH_TOKENS", "8192"))
    return load_verifier(entry.engine, entry=entry, batch_tokens=batch_tokens, settle=settle)


def open_both(policy: PolicyEntry, verifier: Running) -> tuple[Policy, Verifier]:
    """Both models of a search: on GPUs of their own where there are enough, else together on the same ones.

    Raises UserError if one cannot be loaded, or they would share memory that is not enough for both.
    """
    if policy.engine == "server" or "vllm" not in (policy.engine, verifier.engine):
        return open_policy(policy), open_verifier(verifier, settle=True)
    first, second = assign_devices(visible_devices(), _machine(policy), _machine(verifier))
    return open_policy(policy, first), open_verifier(verifier, settle=True, devices=second)


def visible_devices() -> list[str]:
    """The GPUs that this job may use."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [one for one in named.split(",") if one.strip()]
    import torch  # noqa: PLC0415  heavy, and only there where a model runs

    return [str(number) for number in range(torch.cuda.device_count())]


def assign_devices(visible: Sequence[str], policy: VllmSettings, verifier: VllmSettings) -> tuple[str, str]:
    """The GPUs of a search's policy and verifier. Raises UserError where two models do not fit."""
    needed = policy.gpus + verifier.gpus
    if not visible:
        return "", ""
    if len(visible) >= needed:
        return ",".join(visible[: policy.gpus]), ",".join(visible[policy.gpus : needed])
    largest = max(policy.gpus, verifier.gpus)
    if len(visible) < largest:
        raise UserError(f"gpus: a model needs {largest}, and this job has {len(visible)}")
    if policy.memory_share + verifier.memory_share > 1:
        raise UserError(
            f"memory_share: policy and verifier share {len(visible)} GPU, and {policy.memory_share} and "
            f"{verifier.memory_share} of its memory are more than there is; set them, or give the job "
            f"{needed} GPUs"
        )
    return ",".join(visible[: policy.gpus]), ",".join(visible[: verifier.gpus])


def _machine(entry: PolicyEntry | Running) -> VllmSettings:
    """What the workflow says that a model may use of the machine."""
    known = _known(entry)
    return VllmSettings(**{key: known[key] for key in ("gpus", "memory_share") if key in known})


def _server(entry: PolicyEntry) -> Server:
    """Where the workflow says that a model is served. Raises UserError if it does not say."""
    known = _known(entry)
    if "server" not in known:
        raise UserError(
            f"policy {entry.checkpoint!r}: ISOFLOP_MACHINE has no address of its server; run snakemake, or "
            f"set it to {json.dumps({entry.checkpoint: {'server': {'url': 'http://127.0.0.1:8000/v1'}}})!r}"
        )
    return read_json(Server, json.dumps(known["server"]), "ISOFLOP_MACHINE")


def _known(entry: PolicyEntry | Running) -> dict[str, Any]:
    """Settings of a model that are not in the specification, for no result depends on them."""
    known: dict[str, dict[str, Any]] = json.loads(os.environ.get("ISOFLOP_MACHINE", "{}"))
    return known.get(entry.checkpoint, {})
