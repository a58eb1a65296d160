"""Tables of the report, as data for its template."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One table cell."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class HtmlTable:
    """A table of the report; `text_columns` leading columns are left-aligned, the others are numbers."""

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    text_columns: int = 1
    folded: bool = False
