"""Run a whole study with tiny random models in the place of its own, before a GPU-hour is spent.

A folder gets a checkpoint of the right architecture for every policy, verifier and training, a few problems
for every data set, and `override.yaml`, which puts them in place. Then snakemake runs with both files.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from isoflop.config.check_models import is_local
from isoflop.config.datasets import CountedSource, FileSource, WordproblemsSource
from isoflop.config.loading import load_config
from isoflop.config.study import Config
from isoflop.config.verifiers import RunningVerifier
from isoflop.data.loading import load_wordproblems
from isoflop.errors import UserError
from isoflop.files import located
from isoflop.rehearsal.overlay import architecture, file_override, override
from isoflop.rehearsal.problems import PROBLEMS, Filed, file_content, problem_rows, sentences
from isoflop.seeds import derive_seed
from isoflop.stages.shared.warm import warm

OVERRIDE = "override.yaml"
_POSITIONS = 4096


def prepare(config: Config, folder: Path, engine: str) -> Path:
    """Write checkpoints, problems and the override under `folder`; the override's path.

    Raises UserError where the config cannot be rehearsed.
    """
    mirror = folder / "mirror"
    files = {
        name: _problems(name, entry, folder, mirror)
        for name, entry in config.datasets.items()
        if not isinstance(entry, WordproblemsSource | CountedSource)
    }
    # Before the first model, which is slow: whether it can be rehearsed at all.
    override(config, {}, files, engine)
    folders = _models(config, folder / "models")
    changed = override(config, folders, files, engine)
    if files:
        mirror.mkdir(parents=True, exist_ok=True)
        changed["mirror"] = str(mirror)
    path = folder / OVERRIDE
    path.write_text(yaml.safe_dump(changed, sort_keys=False, allow_unicode=True, width=100), encoding="utf-8")
    return path


def _problems(name: str, entry: Filed, folder: Path, mirror: Path) -> dict[str, Any]:
    rows = problem_rows(name, entry)
    if isinstance(entry, FileSource):
        path = folder / "problems" / f"{name}{Path(entry.path).suffix}"
        _write(path, file_content(entry.path, rows))
        return file_override(entry, str(path), [])
    # Data sets may share a repository and a file, of which each reads columns of its own.
    listed = []
    for number, file in enumerate(entry.files):
        part = rows[number :: len(entry.files)]
        path_in_repo = f"{name}/{file.path}"
        content = file_content(file.path, part)
        _write(mirror / entry.repo / path_in_repo, content)
        listed.append({"path": path_in_repo, "sha256": hashlib.sha256(content).hexdigest()})
    return file_override(entry, None, listed)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _models(config: Config, folder: Path) -> dict[str, str]:
    """A checkpoint for every model that is loaded from somewhere, by its place in the config."""
    from isoflop.rehearsal.tiny_policies import save_policy  # noqa: PLC0415  heavy
    from isoflop.rehearsal.tiny_verifiers import save_verifier  # noqa: PLC0415  heavy

    graders = [entry.grader for entry in config.datasets.values()]
    separators = list(dict.fromkeys(policy.step_separator for policy in config.policies.values())) or ["\n"]
    answers = _answers(config)
    positions = max([_POSITIONS, *(entry.max_length for entry in config.training.values())])
    starts: dict[str, str | None] = {}
    for name, entry in config.policies.items():
        if entry.trained is not None:
            start = config.training[entry.trained].init
            starts[f"training.{entry.trained}"] = start.model or start.package
        else:
            starts[f"policies.{name}"] = entry.model or entry.package
    starts |= {
        f"training.{name}": entry.init.model or entry.init.package for name, entry in config.training.items()
    }
    made: dict[str, str] = {}
    # Sizes rise in the order of the policies, as those of the study do.
    for growth, (key, model) in enumerate(starts.items()):
        if model is not None:
            kind = architecture(model, _model_type(model))
            name = key.removeprefix("policies.")
            tag = config.policies[name].step_tag if name != key else None
            said = sentences(separators, graders, answers, tag)
            made[key] = save_policy(
                folder / key, kind, said, _seed(key), positions, growth, _trained_marks(config)
            )
            print(f"rehearsal: {key}: {model} as a random {kind} model", file=sys.stderr)
    for name, judge in config.verifiers.items():
        if isinstance(judge, RunningVerifier) and judge.trained is None:
            key = f"verifiers.{name}"
            marks = [
                mark
                for setting in ("step_tag", "good_token", "bad_token")
                if (mark := getattr(judge, setting, None))
            ]
            made[key] = save_verifier(folder / key, judge.kind, _seed(key), marks, positions)
            print(
                f"rehearsal: {key}: {judge.model or judge.package} as a random {judge.kind}", file=sys.stderr
            )
    return made


def _answers(config: Config) -> list[str]:
    """Right answers to the generated problems that revision models and their verifiers learn from."""
    answers = []
    learnt = [entry.problems for entry in config.revisions.values()]
    learnt += [entry.problems for entry in config.chain_labels.values()]
    for entry in (config.datasets[name] for name in dict.fromkeys(learnt)):
        if isinstance(entry, WordproblemsSource):
            problems, _ = load_wordproblems(entry.model_copy(update={"size": PROBLEMS}))
            answers += [problem.answer for problem in problems]
    return answers


def _trained_marks(config: Config) -> list[str]:
    """What verifiers that are trained here read and say; each is one token of what they start from."""
    return list(
        dict.fromkeys(
            mark
            for entry in config.training.values()
            if entry.kind == "prm"
            for mark in (entry.step_tag, entry.good_token, entry.bad_token)
        )
    )


def _seed(key: str) -> int:
    return derive_seed("rehearsal", key) % 2**31


def _model_type(model: str) -> str | None:
    """What a local checkpoint says that it is."""
    path = located(model) / "config.json"
    if not is_local(model, Path()) or not path.is_file():
        return None
    try:
        model_type = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as a checkpoint's config ({error})") from error
    return str(model_type) if model_type else None


def prepare_checked(config_file: str, folder: str | None, engine: str) -> Path:
    """Prepare the rehearsal of a config file; the path of its override.

    `folder`: None for results/rehearsal-<experiment>/made. Raises UserError where it cannot be rehearsed.
    """
    config = load_config([config_file], unpinned=True)
    override_file = prepare(config, Path(folder or f"results/rehearsal-{config.experiment}/made"), engine)
    load_config([config_file, override_file])
    return override_file


def rehearse(snakemake: Sequence[str], override_file: Path) -> None:
    """Run the command of a prepared rehearsal. Raises UserError where it fails."""
    with warm() as environment:
        done = subprocess.run(snakemake, env=os.environ | environment, check=False)
    if done.returncode:
        raise UserError(f"the rehearsal failed; {override_file} is its override of the config")
