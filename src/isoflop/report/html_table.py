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
    rows = [[_marked(cell) for cell in row] for row in table.rows]
    return f"## {table.title}\n\n{pipe_table(table.header, rows, table.text_columns)}\n{table.note}\n"


def pipe_table(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int) -> str:
    """Cells of Markdown as a table; `text_columns` as in `HtmlTable`."""
    alignment = [":--" if column < text_columns else "--:" for column in range(len(header))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (header, alignment, *rows))


def _marked(cell: Cell) -> str:
    text = cell.text.replace("|", "\\|")
    return f"**{text}**" if cell.bold and text else text
