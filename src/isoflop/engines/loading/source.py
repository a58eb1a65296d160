"""Where a checkpoint's files are, and what can be told of them before they are loaded."""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from isoflop.checkpoint_files.folder import check_weights, weight_files
from isoflop.checkpoint_files.gguf_header import read_gguf_header
from isoflop.checkpoint_files.note import check_sums, known_sum
from isoflop.checkpoint_files.packages import packaged_file
from isoflop.config.models import Model
from isoflop.errors import UserError


class Source(NamedTuple):
    """A folder or hub id, its commit, and its file where the checkpoint is one GGUF file."""

    model: str
    revision: str | None = None
    gguf_file: str | None = None


def source_of(entry: Model) -> Source:
    """Where an entry's checkpoint is. Raises UserError where its GGUF file is not here or another one."""
    source = Source(str(entry.model), entry.revision, entry.gguf_file)
    if entry.package is not None:
        assert entry.gguf_file is not None  # checked with the config
        path = packaged_file(entry.package, entry.gguf_file)
        source = Source(str(path.parent), None, path.name)
    if entry.sha256 is not None:
        path = gguf_path(source)
        found = known_sum(path)
        if found != entry.sha256:
            raise UserError(
                f"model {entry.checkpoint!r}: {path.name} has the SHA-256 {found}, and sha256 says "
                f"{entry.sha256}; get that file, or write the sum of this one where it is the right one"
            )
    return source


def gguf_path(source: Source) -> Path:
    """The GGUF file, fetched where it is on the hub. Raises UserError where there is none."""
    assert source.gguf_file is not None
    if Path(source.model).is_dir():
        path = Path(source.model) / source.gguf_file
        if not path.is_file():
            raise UserError(f"model {source.model!r}: there is no file {source.gguf_file!r} in this folder")
        return path
    from transformers.utils import cached_file  # noqa: PLC0415  heavy

    try:
        return Path(str(cached_file(source.model, source.gguf_file, revision=source.revision)))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"model {source.model!r}: {source.gguf_file} cannot be fetched: {reason}") from error


def check_files(source: Source) -> None:
    """Refuse files that are damaged or not those that were trained; headers are read, of local ones sums too.

    Raises UserError with one line that names the file.
    """
    if source.gguf_file is not None:
        need_gguf()
        read_gguf_header(gguf_path(source))
    elif Path(source.model).is_dir():
        check_sums(Path(source.model))
        check_weights(Path(source.model))


def check_numbers(source: Source) -> None:
    """Read the weights of a local folder, for an engine that loads them itself.

    Raises UserError naming the tensors that hold NaN or infinite numbers.
    """
    if not Path(source.model).is_dir():
        return
    from safetensors import safe_open  # noqa: PLC0415

    from isoflop.engines.loading.checks import check_finite  # noqa: PLC0415  torch

    for path in weight_files(Path(source.model)):
        with safe_open(path, framework="pt") as tensors:
            check_finite(source.model, ((name, tensors.get_tensor(name)) for name in list(tensors.keys())))


def need_gguf() -> None:
    """Raises UserError where the package is missing that reads GGUF files."""
    if find_spec("gguf") is None:
        raise UserError(
            "gguf_file: GGUF files need the package gguf, which is not installed; pip install gguf"
        )
