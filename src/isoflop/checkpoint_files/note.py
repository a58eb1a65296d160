"""What isoflop keeps beside a checkpoint: the sums of its files, and how a verifier was trained to be read.

The note is one JSON file in the checkpoint's folder. Folders without one load all the same.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from isoflop.errors import UserError

NOTE = "isoflop.json"
# Kinds of files that loading may read; a card and pictures say nothing to the model.
_READ = (".json", ".jinja", ".safetensors", ".model", ".txt", ".bin", ".pt", ".pth", ".pkl", ".ckpt", ".gguf")
# Where tokenizers keep further chat templates.
_TEMPLATES = "additional_chat_templates"
_LONGEST = 10_000_000

Sum = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Convention(BaseModel):
    """The texts that a verifier was trained with, and what it judges.

    `outcome`: a whole solution instead of its steps. `history`: whether it is shown the answers before; None
    where that is not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    prompt: str
    step_tag: str
    good_token: str
    bad_token: str
    outcome: bool = False
    history: bool | None = None


class Note(BaseModel):
    """The SHA-256 of every file that loading reads, by name, and a verifier's convention."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    files: Mapping[str, Sum]
    convention: Convention | None = None


def write_note(folder: Path, convention: Convention | None = None) -> None:
    """Write the note of a finished checkpoint."""
    files = {name: file_sum(folder / name) for name in _read_files(folder)}
    note = Note(files=files, convention=convention)
    text = json.dumps(note.model_dump(exclude_defaults=True), indent=2, sort_keys=True, ensure_ascii=False)
    (folder / NOTE).write_text(text + "\n", encoding="utf-8")


def read_note(folder: Path) -> Note | None:
    """The note of a folder, None where there is none. Raises UserError where it cannot be read."""
    path = folder / NOTE
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _LONGEST:
            raise ValueError("it is too long")
        return Note.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise UserError(
            f"{path}: cannot be read ({what}); take it from where the checkpoint came from, or remove it"
        ) from error


def check_sums(folder: Path) -> None:
    """Compare the files that the note names, where there is one; sums are found once in a process.

    Raises UserError naming the first file that is missing, changed, or of a kind that loading may read and
    not in the note.
    """
    note = read_note(folder)
    if note is None:
        return
    there = set(_read_files(folder))
    added = min(there - set(note.files), default=None)
    if added is not None:
        raise UserError(
            f"{folder / added}: was not there when the model was trained, and may be read with it; take it "
            f"away, or put its SHA-256 (sha256sum) among the files of {NOTE} if it is to be there"
        )
    for name, wanted in note.files.items():
        if name not in there:
            raise UserError(f"{folder}: {name} is missing; copy it again from where the checkpoint came from")
        if known_sum(folder / name) != wanted:
            raise UserError(
                f"{folder / name}: is not the file that was trained (its SHA-256 differs from the one in "
                f"{NOTE}); copy it again, or put its own (sha256sum) there if you changed it on purpose"
            )


def file_sum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sum(path: Path) -> str:
    """SHA-256 of a file, found once in a process as long as the file does not change."""
    found = path.stat()
    return _sum(path, found.st_size, found.st_mtime_ns, found.st_ino)


@lru_cache(4096)
def _sum(path: Path, size: int, changed: int, inode: int) -> str:
    return file_sum(path)


def _read_files(folder: Path) -> list[str]:
    """The names of the files in a folder that loading may read, without the note."""
    found = [path for path in folder.glob("*") if path.suffix in _READ and path.name != NOTE]
    found += (folder / _TEMPLATES).glob("*.jinja")
    names = (path.relative_to(folder).as_posix() for path in found if path.is_file())
    return sorted(name for name in names if not name.startswith("."))
