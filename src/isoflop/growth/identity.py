"""What decides a table's rows, apart from how many there are, as digests that are the same in every run.

The identity of a table is a digest of its specification without what only says how many rows it has (samples,
runs, chains and their lengths), how long they may get (`max_tokens` of samples, which each row is judged by),
and where things lie (a checkpoint's folder: its contents count). The template of a prompt is not in it where
the prompt itself is in the digest of every problem. What is not named here is in it, so that a new key makes
rows differ unless it is thought about.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from isoflop.checkpoint_files.note import NOTE, known_sum
from isoflop.config.check_models import is_local
from isoflop.files import located
from isoflop.specs import ReviseSpec, SampleSpec, SearchSpec

# Characters of a digest: 96 bits.
LENGTH = 16
# A model's card, pictures and isoflop's note say nothing to the model.
_NOT_THE_MODEL = (".md", ".png", ".svg")
# What only says how many rows there are, or is judged row by row.
_COUNTS = {
    SampleSpec: ("samples", "max_tokens"),
    ReviseSpec: ("chains", "length", "lengths", "largest", "max_tokens"),
    SearchSpec: ("runs",),
}


def digest(*parts: object) -> str:
    """A digest of strings, numbers and lists of them, of `LENGTH` characters."""
    text = json.dumps(parts, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:12]).decode()


def table_identity(spec: BaseModel, root: Path = Path()) -> str:
    """The identity of the table that a specification asks for.

    Parameters
    ----------
    spec
        That of `sample`, `revise`, `search` or `score`.
    root
        The folder under which local checkpoints lie.

    Returns
    -------
    A digest.
    """
    content = spec.model_dump(mode="json", exclude_defaults=True)
    content["kind"] = type(spec).__name__
    for name in ("policy", "verifier"):
        if name in content:
            content[name] = _model(content[name], root, templated=isinstance(spec, ReviseSpec))
    for name in _COUNTS.get(type(spec), ()):
        content["generator"].pop(name, None)
    return digest(json.dumps(content, sort_keys=True))


def problem_digest(problem_id: str, *prompts: str) -> str:
    """What a stage sees of a problem."""
    return digest(problem_id, *prompts)


def _model(entry: Mapping[str, Any], root: Path, *, templated: bool) -> dict[str, Any]:
    """A model's entry with its weights instead of their place; with its prompt only where it is `templated`
    into what is not in a problem's digest."""
    left_out = ("model", "revision", *(() if templated else ("prompt",)))
    kept = {key: value for key, value in entry.items() if key not in left_out}
    # What a package brings is known by its sum, which stays.
    found = {"weights": weights(entry["model"], entry.get("revision"), root)} if "model" in entry else {}
    return kept | found


def weights(model: str, revision: str | None, root: Path = Path()) -> str:
    """What tells a checkpoint from others: of a folder its files' contents, of a hub model its commit."""
    if not is_local(model, root):
        return f"{model}@{revision}"
    folder = located(model, root)
    return digest(*([path.relative_to(folder).as_posix(), known_sum(path)] for path in model_files(folder)))


def model_files(folder: Path) -> list[Path]:
    """The files of a checkpoint that say something to the model, in the order of their names.

    What is hidden, or in a hidden folder (of git, of a hub's client), does not.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.suffix not in _NOT_THE_MODEL
        and path.name != NOTE
    )
