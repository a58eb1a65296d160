"""What a format of published solutions is, and how one is looked up by its name in the config.

A format is one object in a module of its own in `isoflop.data.formats`, or one that an entry point of the
group `isoflop.import_formats` refers to.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from isoflop.data.rows import Row
from isoflop.data.solutions import Solution
from isoflop.registries import IMPORT_FORMATS, FormatTraits


@dataclass(frozen=True, kw_only=True)
class ImportFormat(FormatTraits):
    """A format. `read`: the solutions in a file's rows, each row with where it stands.

    `read` raises UserError naming the row at fault.
    """

    read: Callable[[Iterable[Row]], Iterator[Solution]]


def import_format(name: str) -> ImportFormat:
    """A format by its name. Raises UserError for a name that nothing has."""
    found = IMPORT_FORMATS[name]
    assert isinstance(found, ImportFormat)  # every module and entry point has one
    return found
