"""What the models of a config must be: where they are, what runs them, what they learn from."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path

from isoflop.checkpoint_files.note import read_note
from isoflop.config.datasets import CountedSource, WordproblemsSource
from isoflop.config.models import Model, Policy, Server
from isoflop.config.study import Config, Verifier
from isoflop.config.training import Init, PolicyTraining, PrmTraining
from isoflop.config.verifiers import RunningVerifier
from isoflop.errors import UserError
from isoflop.files import located
from isoflop.messages import repeated, suggest, unknown_entry
from isoflop.registries import VERIFIERS

COMMIT = "a 40-digit commit"


def model_faults(config: Config, root: Path) -> Iterator[str]:
    """One line per fault of policies, verifiers and trainings; folders are looked for under `root`."""
    yield from _models(config, root)
    yield from _training(config)
    yield from _labels(config)
    yield from _revision_data(config)


def is_local(model: str, root: Path) -> bool:
    """Whether `model` names a folder rather than a hub repository `owner/name`."""
    return located(model, root).is_dir() or model.startswith((".", "/", "~")) or model.count("/") != 1


def _models(config: Config, root: Path) -> Iterator[str]:
    for section, entries in (("policies", config.policies), ("verifiers", config.verifiers)):
        for name, entry in entries.items():
            place = f"{section}.{name}"
            needed = entry.gguf_file if isinstance(entry, Model) else None
            yield from checkpoint_faults(place, entry.model, entry.revision, root, needed or "config.json")
            yield from _trained(config, place, entry, "policy" if section == "policies" else "prm")
            if isinstance(entry, RunningVerifier):
                yield from _read_as_trained(config, place, entry, root)
                if entry.engine == "vllm":
                    yield from _in_vllm(place, entry)
    yield from _servers(config)
    for name, training in config.training.items():
        yield from checkpoint_faults(
            f"training.{name}.init", training.init.model, training.init.revision, root
        )


def _in_vllm(place: str, entry: RunningVerifier) -> Iterator[str]:
    if VERIFIERS[entry.kind].vllm_task is None:
        able = ", ".join(name for name, traits in VERIFIERS.members.items() if traits.vllm_task is not None)
        yield (
            f"{place}.engine: vllm runs no verifier of kind {entry.kind} (it runs {able}); "
            "set engine: transformers"
        )


def _read_as_trained(config: Config, place: str, entry: RunningVerifier, root: Path) -> Iterator[str]:
    """A verifier that was trained with some texts is read with these, unless the entry takes any."""
    if entry.convention == "any":
        return
    own = None
    if entry.trained is not None:
        training = config.training.get(entry.trained)
        own = training.convention if isinstance(training, PrmTraining) else None
    elif entry.model is not None and is_local(entry.model, root):
        try:
            note = read_note(located(entry.model, root))
        except UserError as error:
            yield f"{place}.model: {error}"
            return
        own = None if note is None else note.convention
    if own is None:
        return
    name = entry.trained or entry.model
    if entry.outcome != own.outcome:
        judged, kinds = ("whole solutions", "causal-orm") if own.outcome else ("steps", "math-shepherd")
        yield f"{place}.kind: {entry.kind!r}, and {name} was trained to judge {judged}; write kind: {kinds}"
        return
    if getattr(entry, "chat", False):
        yield f"{place}.chat: {name} was trained without a chat; leave chat out, or write convention: any"
    for key in ("prompt", "step_tag", "good_token", "bad_token"):
        found, wanted = getattr(entry, key, None), getattr(own, key)
        if found != wanted:
            yield (
                f"{place}.{key}: {found!r}, and {name} was trained with {wanted!r}; write {key}: "
                f"{json.dumps(wanted, ensure_ascii=False)} (or convention: any, to read it otherwise)"
            )
    if own.history is not None and bool(entry.shown_attempts) != own.history:
        wanted = "the answers before" if own.history else "no answers before"
        yield (
            f"{place}.history: {entry.shown_attempts}, and {name} was trained to be shown {wanted}; set it, "
            "or write convention: any"
        )


def _servers(config: Config) -> Iterator[str]:
    """An address for every policy that a server runs; one per model, which is all that a job knows."""
    known: dict[str | None, tuple[str, Server]] = {}
    for name, entry in config.policies.items():
        place = f"policies.{name}.server"
        if (entry.engine == "server") != (entry.server is not None):
            yield (
                f"{place}: missing; give the address of the server, for example {{url: http://127.0.0.1:8000/v1}}"
                if entry.server is None
                else f"{place}: goes with engine: server, and the engine is {entry.engine}"
            )
        elif entry.server is not None:
            model = entry.trained or entry.model
            first, server = known.setdefault(f"{model}@{entry.revision}", (name, entry.server))
            if server != entry.server:
                yield f"{place}: is another than that of policies.{first}, which is the same model"


def checkpoint_faults(
    place: str, model: str | None, revision: str | None, root: Path, needed: str = "config.json"
) -> Iterator[str]:
    """Faults of where a checkpoint is: a folder with the file `needed`, or a hub id at a commit."""
    if model is None:
        return
    if not is_local(model, root):
        if revision is None:
            yield (
                f"{place}.revision: the hub model {model!r} must be pinned to {COMMIT} "
                "(or give the path of a folder)"
            )
        return
    if not (located(model, root) / needed).is_file():
        yield f"{place}.model: {model!r} is not a folder with a {needed} (seen from where snakemake runs)"
    elif revision is not None:
        yield f"{place}.revision: {model!r} is a local folder, which has no revision; leave it out"


def _trained(config: Config, place: str, entry: Policy | Verifier, kind: str) -> Iterator[str]:
    if entry.trained is None:
        return
    if entry.trained not in config.training:
        yield unknown_entry(f"{place}.trained", entry.trained, "training", config.training)
    elif config.training[entry.trained].kind != kind:
        found = config.training[entry.trained].kind
        yield f"{place}.trained: {entry.trained!r} trains a {found}; a {kind} is needed here"
    elif isinstance(entry, RunningVerifier) and not VERIFIERS[entry.kind].learnt_here:
        *most, last = (name for name, traits in VERIFIERS.members.items() if traits.learnt_here)
        yield f"{place}.trained: {entry.trained!r} is of kind {', '.join(most)} or {last}, as trained here"


def _training(config: Config) -> Iterator[str]:
    above: list[str] = []
    for name, training in config.training.items():
        place = f"training.{name}"
        yield from _start(config, place, training.init, above, training.kind)
        data = training.data
        if isinstance(training, PolicyTraining) and training.data.dataset is not None:
            for key, dataset in (("dataset", data.learned), ("held_out", data.held_out)):
                yield from _solved(config, f"{place}.data.{key}", dataset)
        else:
            sections: dict[str, Collection[str]] = {
                "labels": config.labels, "chain_labels": config.chain_labels, "revisions": config.revisions
            }  # fmt: skip
            section = next(key for key in sections if getattr(data, key, None) is not None)
            for key, entry in ((section, data.learned), ("held_out", data.held_out)):
                if entry not in sections[section]:
                    yield unknown_entry(f"{place}.data.{key}", entry, section, sections[section])
        above.append(name)


def _start(config: Config, place: str, init: Init, above: Collection[str], kind: str) -> Iterator[str]:
    if init.trained is None:
        return
    if init.trained not in above:
        hint = "an entry further down" if init.trained in config.training else "not an entry"
        yield (
            f"{place}.init.trained: {init.trained!r} is {hint}; only entries of training above this one "
            f"can be a start (here: {', '.join(above) or 'none'}){suggest(init.trained, above)}"
        )
    elif kind == "policy" and config.training[init.trained].kind != "policy":
        yield f"{place}.init.trained: {init.trained!r} trains a prm; a policy starts from a policy"


def _solved(config: Config, place: str, name: str) -> Iterator[str]:
    """A data set that exists and has solutions to learn."""
    if name not in config.datasets:
        yield unknown_entry(place, name, "datasets", config.datasets)
        return
    dataset = config.datasets[name]
    if isinstance(dataset, CountedSource):
        yield f"{place}: {name!r} has no texts to learn; name another data set"
    elif not isinstance(dataset, WordproblemsSource) and dataset.fields.solution is None:
        yield f"{place}: {name!r} has no solutions to learn; set datasets.{name}.fields.solution"


def _labels(config: Config) -> Iterator[str]:
    for name, label in config.labels.items():
        if label.problems not in config.datasets:
            yield unknown_entry(f"labels.{name}.problems", label.problems, "datasets", config.datasets)
        for policy in (*label.policies, label.completer):
            if policy not in config.policies:
                key = "completer" if policy == label.completer else "policies"
                yield unknown_entry(f"labels.{name}.{key}", policy, "policies", config.policies)
        yield from repeated(f"labels.{name}.policies", label.policies)


def _revision_data(config: Config) -> Iterator[str]:
    """What revision models and verifiers of revisions learn from."""
    for section, entries in (("revisions", config.revisions), ("chain_labels", config.chain_labels)):
        for name, entry in entries.items():
            place = f"{section}.{name}"
            if entry.problems not in config.datasets:
                yield unknown_entry(f"{place}.problems", entry.problems, "datasets", config.datasets)
            if entry.policy not in config.policies:
                yield unknown_entry(f"{place}.policy", entry.policy, "policies", config.policies)
            elif not config.policies[entry.policy].runs:
                yield f"{place}.policy: {entry.policy!r} has no checkpoint, so it cannot write answers"
