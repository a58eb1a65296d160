"""Tables as data, for the report's template and as Markdown."""

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


def markdown(table: HtmlTable) -> str:
    """The table in Markdown, under its title and before its note."""
    alignment = [":--" if column < table.text_columns else "--:" for column in range(len(table.header))]
    rows = [[_marked(cell) for cell in row] for row in table.rows]
    lines = [f"| {' | '.join(cells)} |" for cells in ([*table.header], alignment, *rows)]
    return "\n".join([f"## {table.title}", "", *lines, "", table.note, ""])


def _marked(cell: Cell) -> str:
    text = cell.text.replace("|", "\\|")
    return f"**{text}**" if cell.bold and text else text
