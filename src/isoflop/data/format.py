"""What a format of published solutions is, and how one is looked up by its name in the config.

A format is one object in a module of its own in `isoflop.data.formats`, or one that an entry point of the
group `isoflop.import_formats` refers to.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from isoflop.config.generators import ImportSource
from isoflop.data.problems import Row
from isoflop.data.solutions import Solution
from isoflop.registries import IMPORT_FORMATS, Registered


@dataclass(frozen=True, kw_only=True)
class ImportFormat(Registered):
    """A format. `read`: the solutions in a file's rows, each row with where it stands.

    `open`: the name and rows of every part of a source's files, of which it is given names and paths; None
    where each file is read by its ending. Both raise UserError naming the file and row at fault.
    """

    read: Callable[[Iterable[Row]], Iterator[Solution]]
    open: Callable[[ImportSource, Sequence[tuple[str, Path]]], Iterator[tuple[str, Iterable[Row]]]] | None = (
        None
    )


def import_format(name: str) -> ImportFormat:
    """A format by its name. Raises UserError for a name that nothing has."""
    found = IMPORT_FORMATS[name]
    assert isinstance(found, ImportFormat)  # every module and entry point has one
    return found
