"""Files that people read: tables, texts, figures and the report, each with its sum beside it.

A CSV or a figure has no room for a sum of its own, so it is in the folder `.sums` beside it, as `sha256sum
--check` reads it.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from isoflop.errors import UserError
from isoflop.files import atomic_path, damaged, open_parquet, read_ledger, write_text

_FOLDER, _ENDING = ".sums", ".sha256"


@contextmanager
def result_path(path: str | Path) -> Iterator[Path]:
    """As `isoflop.files.atomic_path`, and its sum is written beside it."""
    beside = _sum_of(Path(path))
    with atomic_path(path) as temporary:
        yield temporary
        digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
        # A job that is killed in between leaves a file without a sum, never one with a wrong one.
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    write_text(beside, f"{digest}  {Path(path).name}\n")


def write_result(path: str | Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all, and its sum beside it."""
    with result_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_result(path: str | Path) -> bytes:
    """The content of a file, of which the sum must be right where there is one beside it.

    Raises UserError naming the file where it cannot be read or is damaged.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); run the stage that writes it") from error
    try:
        expected = _sum_of(Path(path)).read_bytes()[:64]
    except OSError:
        return content
    if hashlib.sha256(content).hexdigest().encode() != expected:
        raise damaged(path)
    return content


def damaged_results(folder: Path) -> Iterator[str]:
    """A line for each damaged file under `folder` that has its sum beside it."""
    for beside in sorted(folder.rglob(f"{_FOLDER}/*{_ENDING}")):
        path = beside.parent.parent / beside.name.removesuffix(_ENDING)
        if path.exists():
            yield from _faults(read_result, path)


def damaged_files(folder: Path) -> Iterator[str]:
    """A line for each damaged file under `folder`: of all that have a sum, and Parquet that cannot be read.

    Unfinished work is left out: whoever goes on with it looks at it.
    """
    yield from damaged_results(folder)
    readers: tuple[tuple[str, Callable[[Path], object]], ...] = (
        (".parquet", partial(open_parquet, quiet=True)),
        (".ledger.json", partial(read_ledger, quiet=True)),
        (".times.json", partial(read_ledger, quiet=True)),
    )
    for ending, reader in readers:
        for path in sorted(folder.rglob(f"*{ending}")):
            if not any(part.startswith(".") for part in path.relative_to(folder).parts):
                yield from _faults(reader, path)


def _faults(reader: Callable[[Path], object], path: Path) -> Iterator[str]:
    try:
        reader(path)
    except UserError as error:
        yield str(error)


def _sum_of(path: Path) -> Path:
    return path.parent / _FOLDER / f"{path.name}{_ENDING}"
