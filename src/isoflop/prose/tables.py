"""Look-ups of cells in committed tables, for texts: by the values of other columns, in exactly one row."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from isoflop.errors import UserError


class Number(float):
    """A cell that holds a number, with its interval where the next two columns are `..._low`, `..._high`.

    `text` is the cell as the table has it; NaN bounds stand for no interval.
    """

    text: str
    low: float
    high: float

    def __new__(cls, text: str, low: float = math.nan, high: float = math.nan) -> Self:
        """The number that `text` reads as; raises ValueError where it reads as none."""
        number = super().__new__(cls, text)
        number.text, number.low, number.high = text, low, high
        return number

    def __str__(self) -> str:
        return self.text


Cell = Number | str


class Row:
    """One row of a table: its cells by column, numbers as `Number`, all else as text."""

    def __init__(self, table: str, cells: Mapping[str, str]) -> None:
        self._table, self._cells = table, cells

    def __getitem__(self, column: str) -> Cell:
        """The cell of a column; raises UserError where the table has no such column."""
        _known(self._table, self._cells, [column])
        value = number_in(self._cells[column])
        if value is None:
            return self._cells[column]
        names = list(self._cells)
        after = names[names.index(column) + 1 :][:2]
        if [name.rpartition("_")[2] for name in after] != ["low", "high"]:
            return Number(self._cells[column])
        bounds = (number_in(self._cells[name]) for name in after)
        return Number(self._cells[column], *(math.nan if bound is None else bound for bound in bounds))


class Table:
    """A committed table, looked up by the values of its columns. `name` is for errors."""

    def __init__(self, name: str, rows: Sequence[Mapping[str, str]]) -> None:
        self._name, self._rows = name, rows

    def where(self, **wanted: object) -> "Table":
        """The table of the rows whose columns have these values (a list: any of them).

        Raises UserError where there is none, or no such column.
        """
        found = self._matching(wanted)
        if not found:
            raise UserError(f"{self._name}: no row has {_said(wanted)}")
        return Table(f"{self._name} where {_said(wanted)}", found)

    def rows(self, **wanted: object) -> list[Row]:
        """The rows with these values, in the table's order; raises UserError as `where` does."""
        name = self._name.partition(" where ")[0]
        return [Row(name, cells) for cells in self.where(**wanted)._rows]

    def row(self, **wanted: object) -> Row:
        """The only row with these values; raises UserError where there is none, or more than one."""
        found = self.rows(**wanted)
        if len(found) > 1:
            raise UserError(f"{self._name}: {len(found)} rows have {_said(wanted)}; name more columns")
        return found[0]

    def has(self, **wanted: object) -> bool:
        """Whether any row has these values."""
        return bool(self._matching(wanted))

    def _matching(self, wanted: Mapping[str, object]) -> list[Mapping[str, str]]:
        if self._rows:
            _known(self._name, self._rows[0], wanted)
        return [
            cells
            for cells in self._rows
            if all(_matches(cells[column], value) for column, value in wanted.items())
        ]


def read_csv(text: str, name: str) -> Table:
    """A table from its CSV; raises UserError where a row has more or fewer cells than the header."""
    lines = csv.reader(io.StringIO(text))
    header = next(lines, [])
    rows = []
    for number, cells in enumerate(lines, start=2):
        if len(cells) != len(header):
            raise UserError(f"{name}, row {number}: {len(cells)} cells, but {len(header)} columns")
        rows.append(dict(zip(header, cells, strict=True)))
    return Table(name, rows)


def _known(table: str, cells: Mapping[str, str], columns: Iterable[str]) -> None:
    for column in columns:
        if column not in cells:
            raise UserError(f"{table}: no column {column!r}; there are {', '.join(cells)}")


def _matches(cell: str, wanted: object) -> bool:
    if isinstance(wanted, list | tuple):
        return any(_matches(cell, value) for value in wanted)
    if isinstance(wanted, bool):
        return cell.lower() == str(wanted).lower()
    if isinstance(wanted, int | float):
        return number_in(cell) == wanted
    return cell == wanted


def _said(wanted: Mapping[str, object]) -> str:
    return ", ".join(f"{column} = {value}" for column, value in wanted.items()) or "anything"


def number_in(text: str) -> float | None:
    """The number that a cell reads as; None for text and for NaN."""
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value
