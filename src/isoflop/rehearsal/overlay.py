"""What a rehearsal changes in a config: models, problem files and sizes, and nothing else.

Every data set, policy, verifier, generator, training and label stays, with its prompt, chat, separator,
grader and limits; so every code path of the study is taken.
"""

from collections.abc import Mapping
from typing import Any

from isoflop.config.datasets import FileSource, WordproblemsSource
from isoflop.config.generators import Greedy, Reach, Revisions, Sampling, TreeSearch
from isoflop.config.imports.entries import Import
from isoflop.config.models import Policy
from isoflop.config.study import Config
from isoflop.config.training import TrajectoryConfig
from isoflop.config.verifiers import ImportedVerifier, RunningVerifier
from isoflop.errors import UserError
from isoflop.registries import VERIFIERS
from isoflop.rehearsal.problems import PROBLEMS
from isoflop.search.registry import search_kind

MAX_TOKENS = 24
_STEP_TOKENS = 8
_DEPTH = 4
_BUDGETS = (1, 2, 4)
# So many that some are right, whatever a random model likes to say; no more than two of a problem are learnt.
_SAMPLES = 64
_TRAJECTORIES = 2
_ARCHITECTURE = {"hidden_size": 32, "layers": 1, "heads": 2, "kv_heads": 1, "intermediate_size": 48}
# Of hub names, which say what a checkpoint is; all else is taken for Llama's kind.
_NAMES = {"pythia": "gpt_neox", "neox": "gpt_neox", "qwen": "qwen2", "mistral": "mistral"}


def architecture(model: str, model_type: str | None = None) -> str:
    """The architecture of a checkpoint: its config's model type where there is one, else by its name."""
    known = set(_NAMES.values())
    if model_type is not None:
        return model_type if model_type in known else "llama"
    return next((kind for part, kind in _NAMES.items() if part in model.lower()), "llama")


def override(
    config: Config, folders: Mapping[str, str], files: Mapping[str, Any], engine: str
) -> dict[str, Any]:
    """The mapping that overrides a config.

    `folders`: the checkpoint in the place of `policies.x`, `verifiers.x` and `training.x`. `files`: what
    overrides an entry of `datasets`. Raises UserError where there is nothing to rehearse.
    """
    if config.imports:
        name = next(iter(config.imports))
        raise UserError(
            f"generators.{name}: imports solutions, for which no model runs; there is nothing to rehearse"
        )
    changed: dict[str, Any] = {
        "experiment": f"rehearsal-{config.experiment}",
        "title": f"Rehearsal of {config.experiment}: random models, invented problems, no result",
        "datasets": {name: _dataset(name, entry, files) for name, entry in config.datasets.items()},
        "policies": {
            name: _model(entry, folders.get(f"policies.{name}"), engine)
            for name, entry in config.policies.items()
        },
        "verifiers": {
            name: _model(entry, folders.get(f"verifiers.{name}"), engine)
            for name, entry in config.verifiers.items()
            if not isinstance(entry, ImportedVerifier)
        },
        "generators": {name: _generator(entry) for name, entry in config.generators.items()},
        "training": {
            name: _training(
                entry.init.model,
                folders.get(f"training.{name}"),
                entry.held_out_samples if entry.kind == "policy" else None,
                entry.init.architecture is not None,
                entry.gpus,
            )
            for name, entry in config.training.items()
        },
        "labels": {
            name: {"samples_per_problem": 1, "rollouts": 1, "max_tokens": MAX_TOKENS}
            for name in config.labels
        },
        "revisions": {name: _trajectories(entry) for name, entry in config.revisions.items()},
        "chain_labels": {
            name: {"chains": min(entry.chains, 2), "max_tokens": MAX_TOKENS}
            for name, entry in config.chain_labels.items()
        },
        "bootstrap": {"draws": 100},
        "engine_settings": {"batch_size": 64, "chunk_problems": 2, "threads": 1},
    }
    if config.budgets:
        changed["budgets"] = list(_BUDGETS)
    return {key: value for key, value in changed.items() if value != {}}


def _trajectories(entry: TrajectoryConfig) -> dict[str, int]:
    most = min(entry.most_per_problem or _TRAJECTORIES, _TRAJECTORIES)
    return {"samples_per_problem": _SAMPLES, "most_per_problem": most, "max_tokens": MAX_TOKENS}


def _dataset(name: str, entry: object, files: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(entry, WordproblemsSource):
        return {"size": PROBLEMS}
    changed: dict[str, Any] = files[name]
    return changed


def _model(entry: Policy | RunningVerifier, folder: str | None, engine: str) -> dict[str, Any]:
    runs = engine
    if isinstance(entry, RunningVerifier) and VERIFIERS[entry.kind].vllm_task is None:
        runs = "transformers"
    changed: dict[str, Any] = {
        "engine": runs,
        "dtype": "float32",
        "max_length": None,
        "quantization": None,
        "gpus": 1,
        "memory_share": 0.4,
    }
    if isinstance(entry, Policy):
        changed["server"] = None
    if folder is None:
        return changed
    file = dict.fromkeys(("gguf_file", "package", "sha256")) if entry.gguf_file is not None else {}
    return changed | file | {"model": folder, "revision": None}


def _generator(entry: object) -> dict[str, Any]:
    assert not isinstance(entry, Import)
    if isinstance(entry, Greedy):
        return {"max_tokens": MAX_TOKENS}
    if isinstance(entry, Sampling):
        changed: dict[str, Any] = {"samples": _BUDGETS[-1], "max_tokens": MAX_TOKENS}
        return changed | _limits(entry.only, _BUDGETS)
    if isinstance(entry, Revisions):
        # Its length stays, for families of a choice name it.
        return {"chains": min(entry.chains, 2), "max_tokens": MAX_TOKENS}
    assert isinstance(entry, TreeSearch)
    budgets = search_kind(entry.kind).rehearsed_at(entry)
    return {
        "budgets": list(budgets),
        "runs": min(entry.runs, 2),
        "max_tokens": MAX_TOKENS,
        "max_step_tokens": _STEP_TOKENS,
        "max_depth": min(entry.max_depth, _DEPTH),
        **_limits(entry.only, budgets),
    }


def _limits(only: Reach | None, budgets: tuple[int, ...]) -> dict[str, Any]:
    """Largest budgets that leave something out where more than one is there."""
    if only is None or only.at_most is None:
        return {}
    most = budgets[-2] if len(budgets) > 1 else budgets[-1]
    return {"only": {"at_most": dict.fromkeys(only.at_most, most)}}


def _training(
    model: str | None, folder: str | None, held_out_samples: int | None, from_nothing: bool, gpus: int
) -> dict[str, Any]:
    changed: dict[str, Any] = {
        "epochs": 1,
        "gpus": min(gpus, 2),
        "batch_size": 2,
        "device_batch_size": None,
        "bf16": False,
        "save_dtype": "float32",
    }
    if held_out_samples:
        changed["held_out_samples"] = 1
    if from_nothing:
        changed["init"] = {"architecture": _ARCHITECTURE}
    elif folder is not None:
        changed["init"] = {"model": folder} | dict.fromkeys(("revision", "gguf_file", "package", "sha256"))
    return changed


def file_override(entry: object, path: str | None, files: list[dict[str, str]]) -> dict[str, Any]:
    """The override of a data set that is read from files: a local path, or files of the mirror."""
    if isinstance(entry, FileSource):
        return {"path": path, "sha256": None, "skip": 0, "limit": None}
    return {"revision": "0" * 40, "files": files, "skip": 0, "limit": None}
