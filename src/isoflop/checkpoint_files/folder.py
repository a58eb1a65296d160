"""What a folder with a checkpoint must hold for its weights to be read."""

import json
from collections.abc import Iterator
from pathlib import Path

from isoflop.checkpoint_files.safetensors_header import read_header
from isoflop.errors import UserError

CONFIG = "config.json"
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

    Raises UserError where there are none, only pickles, or fewer than the index names.
    """
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
