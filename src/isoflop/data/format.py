"""What a format of published work is, solutions or counts, and how one is looked up by its name.

A format is one object in a module of its own in `isoflop.data.formats`, or one that an entry point of the
group `isoflop.import_formats` refers to.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from isoflop.config.imports.entries import ImportSource
from isoflop.data.counts import ProblemCount
from isoflop.data.rows import Row
from isoflop.data.solutions import Solution
from isoflop.registries import IMPORT_FORMATS, FormatTraits


@dataclass(frozen=True, kw_only=True)
class ImportFormat(FormatTraits):
    """A format of solutions. `read`: the solutions in a file's rows, each row with where it stands.

    `open`: the name and rows of every part of a source's files, of which it is given names and paths; None
    where each file is read by its ending. Both raise UserError naming the file and row at fault.
    """

    read: Callable[[Iterable[Row]], Iterator[Solution]]
    open: Callable[[ImportSource, Sequence[tuple[str, Path]]], Iterator[tuple[str, Iterable[Row]]]] | None = (
        None
    )

    @property
    def opens(self) -> bool:
        """Whether it opens the files itself."""
        return self.open is not None


@dataclass(frozen=True, kw_only=True)
class CountFormat(FormatTraits):
    """A format of counts. `read`: the counts in a file's rows, each row with where it stands.

    `read` raises UserError naming the row at fault.
    """

    counted: bool = True
    read: Callable[[Iterable[Row]], Iterator[ProblemCount]]


def count_format(name: str) -> CountFormat:
    """A format of counts by its name. Raises UserError for a name that nothing has."""
    found = IMPORT_FORMATS[name]
    assert isinstance(found, CountFormat)  # what is counted is one
    return found


def import_format(name: str) -> ImportFormat:
    """A format of solutions by its name. Raises UserError for a name that nothing has."""
    found = IMPORT_FORMATS[name]
    assert isinstance(found, ImportFormat)  # every module and entry point has one
    return found
