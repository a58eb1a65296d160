"""What a folder with a checkpoint must hold for its weights to be read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isoflop.checkpoint_files.safetensors_header import read_header
from isoflop.errors import UserError

CONFIG = "config.json"
# The key of a config that names other weights.
_OTHER = "transformers_weights"
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# Formats that can hold code, which loading them runs.
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
_CONVERT = (
    "pickles can run code, so they are never read; where you trust it, save it again as safetensors: "
    'python -c "import sys, transformers as t; m = t.AutoModelForCausalLM.from_pretrained(sys.argv[1]); '
    'm.save_pretrained(sys.argv[1], safe_serialization=True)" FOLDER'
)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that a folder's weights are in.

    Raises UserError where there are none, only pickles, or fewer than the index names; where there are both
    one file and the index of several, or the config names yet another file.
    """
    _refuse_other_weights(folder)
    if not (folder / INDEX).is_file():
        if (folder / SINGLE).is_file():
            return [folder / SINGLE]
        pickles = sorted(path.name for path in _files(folder) if path.suffix in _PICKLES)
        if pickles:
            raise UserError(f"{folder}: has its weights as {pickles[0]} and no {SINGLE}; {_CONVERT}")
        raise UserError(f"{folder}: has no weights; put {SINGLE} there, or {INDEX} with the files it names")
    names = sorted(set(index_of(folder).values()))
    missing = next((name for name in names if not (folder / name).is_file()), None)
    if missing is not None:
        raise UserError(f"{folder}: {INDEX} names {missing}, which is not there; copy or download it again")
    return [folder / name for name in names]


def other_weights(config: Any) -> str | None:
    """The file that a config, parsed or as an object, gives to transformers instead of the usual ones.

    It may be a pickle, and is read whatever kinds of file were asked for; configs of parts may name one too.
    """
    waiting = [config]
    while waiting:
        one = waiting.pop()
        content = one if isinstance(one, dict) else vars(one) if hasattr(one, "model_type") else {}
        if content.get(_OTHER) is not None:
            return str(content[_OTHER])[:80]
        waiting += content.values()
    return None


def told_of_other(file: str) -> str:
    """What is wrong with a config that names other weights, and what to do."""
    return f"{CONFIG} names {file!r} as its weights ({_OTHER}); take that key out, and have {SINGLE} there"


def _refuse_other_weights(folder: Path) -> None:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        file = other_weights(config)
    except (OSError, ValueError, RecursionError):  # told by whoever needs it
        file = None
    if file is not None:
        raise UserError(f"{folder}: {told_of_other(file)}")
    if (folder / SINGLE).is_file() and (folder / INDEX).is_file():
        raise UserError(
            f"{folder}: has both {SINGLE} and {INDEX}, and programs differ in which they read; keep the one "
            "that is this model's weights"
        )


def index_of(folder: Path) -> dict[str, str]:
    """The file of every tensor, as the index of several files says. Raises UserError where it is none."""
    path = folder / INDEX
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        if not isinstance(files, dict):
            raise TypeError("weight_map is no mapping")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error}); copy or download it again") from error
    for file in files.values():
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(".safetensors"):
            raise UserError(f"{path}: names {file!r}, which is no safetensors file of this folder")
    return files


def check_weights(folder: Path) -> None:
    """Read the headers of all weights, not the weights.

    Raises UserError for a file that is damaged, a tensor in two files, and one that the index names and its
    file has not.
    """
    found: dict[str, str] = {}
    for path in weight_files(folder):
        for name in read_header(path):
            if name in found:
                raise UserError(f"{folder}: tensor {name!r} is both in {found[name]} and in {path.name}")
            found[name] = path.name
    if (folder / INDEX).is_file():
        lost = next((name for name, file in index_of(folder).items() if found.get(name) != file), None)
        if lost is not None:
            raise UserError(
                f"{folder}: {INDEX} names tensor {lost!r}, which its file has not; copy or download it again"
            )


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*") if path.is_file())
