"""The models of an experiment: as specifications have them, the files they are noticed by, their GPUs."""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from isoflop.config.check_models import is_local
from isoflop.config.models import Policy
from isoflop.config.study import Config, Verifier
from isoflop.config.verifiers import ImportedVerifier, RunningVerifier
from isoflop.costs.shape import Prices, Terms
from isoflop.files import located
from isoflop.growth.identity import model_files
from isoflop.pipeline.paths import Paths
from isoflop.selection.pool import POLICY

_Model = TypeVar("_Model", Policy, RunningVerifier)

# What no result depends on, by the engine that it is for.
_MACHINE = {"vllm": ("gpus", "memory_share"), "server": ("server",)}

# Or goes to others than the model's own job.
_TOLD_ELSEWHERE = ("datasets", "family", "prices", "convention")

_VALUE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


class Models:
    """Policies and verifiers. Folders that the config names are looked for under `root`."""

    def __init__(self, config: Config, paths: Paths, root: Path) -> None:
        self._config, self._paths, self._root = config, paths, root

    def policy(self, name: str) -> Policy:
        """A policy as specifications have it."""
        return self._located(self._config.policies[name])

    def writer(self, name: str) -> Policy:
        """A policy that only writes: what it writes depends on no tag that is taken out later."""
        return self.policy(name).model_copy(update={"step_tag": None})

    def running(self, name: str) -> RunningVerifier:
        """A verifier that runs, as specifications have it."""
        entry = self._config.verifiers[name]
        assert not isinstance(entry, ImportedVerifier)  # only those that run are given work
        return self._located(entry)

    def imported(self, name: str) -> ImportedVerifier:
        """A verifier whose scores are imported."""
        entry = self._config.verifiers[name]
        assert isinstance(entry, ImportedVerifier)  # checked with the config
        return entry.model_copy(update={"prices": None})

    def terms(self, policy: str, verifiers: Iterable[str]) -> dict[str, Terms]:
        """What cost models charge a policy (under POLICY) and verifiers by, by name."""
        entries: dict[str, Policy | Verifier] = {POLICY: self._config.policies[policy]}
        entries |= {name: self._config.verifiers[name] for name in verifiers}
        return {name: _terms(entry) for name, entry in entries.items()}

    def policy_files(self, name: str) -> list[str]:
        """Files or folder of a policy's checkpoint; none for a hub model."""
        return self._files(self._config.policies[name])

    def verifier_files(self, name: str) -> list[str]:
        """Files or folder of a verifier's checkpoint; none for a hub model."""
        return self._files(self._config.verifiers[name])

    def all_files(self, policies: Iterable[str], verifiers: Iterable[str] = ()) -> list[str]:
        """Files and folders of several models, each once."""
        files = [path for name in policies for path in self.policy_files(name)]
        files += [path for name in verifiers for path in self.verifier_files(name)]
        return list(dict.fromkeys(files))

    def folder_files(self, model: str | None) -> list[str]:
        """The files of a local checkpoint; none for a hub model."""
        if model is None or not is_local(model, self._root):
            return []
        folder = located(model, self._root)
        return sorted(
            f"{model.rstrip('/')}/{path.relative_to(folder).as_posix()}" for path in model_files(folder)
        )

    def gpus(self, policies: Iterable[str] = (), verifiers: Iterable[str] = ()) -> int:
        """How many GPUs a job with these models has a use for; engine transformers needs none."""
        entries = [self._config.policies[name] for name in policies]
        judges = [self._config.verifiers[name] for name in verifiers]
        return sum(
            entry.gpus
            for entry in (*entries, *judges)
            if not isinstance(entry, ImportedVerifier) and entry.engine == "vllm"
        )

    def wants_gpus(self) -> bool:
        """Whether any job can have a use for a GPU."""
        config = self._config
        return bool(config.training) or self.gpus(config.policies, config.verifiers) > 0

    def machine(self) -> str:
        """What models may use of a machine or network, by checkpoint, as JSON; no result depends on it."""
        known: dict[str, dict[str, Any]] = {}
        for entry in (*self._config.policies.values(), *self._config.verifiers.values()):
            if isinstance(entry, ImportedVerifier) or entry.engine not in _MACHINE or not entry.runs:
                continue
            folder = self._paths.trained(entry.trained) if entry.trained else entry.model
            key = entry.model_copy(update={"model": folder}).checkpoint
            settings = entry.model_dump(mode="json", include=set(_MACHINE[entry.engine]))
            known.setdefault(key, {}).update(settings)
        return json.dumps(known, sort_keys=True)

    def _located(self, entry: _Model) -> _Model:
        """The entry with its folder, where it is trained here."""
        folder: dict[str, str | None] = {}
        if entry.trained is not None:
            folder = {"model": self._paths.trained(entry.trained), "trained": None}
        # What no result depends on goes another way (machine, pools).
        fields = type(entry).model_fields
        keys = (*itertools.chain.from_iterable(_MACHINE.values()), *_TOLD_ELSEWHERE)
        defaults = {key: fields[key].default for key in keys if key in fields}
        return entry.model_copy(update=folder | defaults)

    def _files(self, entry: Policy | Verifier) -> list[str]:
        """What a changed checkpoint is noticed by: its files, or the folder that training writes."""
        if entry.trained:
            return [self._paths.trained(entry.trained)]
        gguf_file = None if isinstance(entry, ImportedVerifier) else entry.gguf_file
        if gguf_file is None or entry.model is None or not is_local(entry.model, self._root):
            return self.folder_files(entry.model) if gguf_file is None else []
        return [f"{entry.model.rstrip('/')}/{gguf_file}"]


def _terms(entry: Policy | Verifier) -> Terms:
    """Prices, and bytes per number of the cache: those of the weights' type, 2 of a model that runs
    elsewhere."""
    prices = entry.prices
    paid = None
    if prices is not None:
        cached = prices.input if prices.cached is None else prices.cached
        paid = Prices(input=prices.input, cached=cached, output=prices.output)
    if isinstance(entry, ImportedVerifier) or not entry.runs:
        return Terms(prices=paid)
    return Terms(prices=paid, value_bytes=_VALUE_BYTES[entry.dtype])
