"""Shards: which of a table's chunks one of several jobs makes, and what makes their parts one table again.

A part is named after all that decides which problems it holds: `X.shards/3-of-8-by-50.parquet` is the third
of eight parts of `X.parquet`, in chunks of 50 problems. Shards are whole chunks, since where chunks end can
decide the last bits of a score.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from isoflop.errors import UserError

_FOLDER = ".shards"
_NAME = re.compile(r"(\d+)-of-(\d+)-by-(\d+)\.parquet")


class Shard(NamedTuple):
    """The part `number`, from 1, of `of` parts of the table `whole`, in chunks of `size` problems."""

    whole: Path
    number: int
    of: int
    size: int

    def chunks(self, items: int) -> range:
        """The numbers of its chunks, of those that `items` problems make; none if there are too few."""
        count = -(-items // self.size)
        return range(count * (self.number - 1) // self.of, count * self.number // self.of)


def shard_of(out: str | Path, size: int) -> Shard:
    """What the table `out` holds: a part, or else all of it in chunks of `size` problems.

    Raises UserError where the name is that of a part there cannot be.
    """
    path = Path(out)
    found = _NAME.fullmatch(path.name)
    if found is None or path.parent.suffix != _FOLDER:
        return Shard(path, 1, 1, size)
    number, of, own_size = map(int, found.groups())
    if not (1 <= number <= of and own_size):
        raise UserError(f"{out}: there is no part {number} of {of} in chunks of {own_size}")
    return Shard(path.parent.with_suffix(path.suffix), number, of, own_size)


def useful_shards(asked: int, size: int, problems: int | None) -> int:
    """How many of the shards that are asked for get a chunk of `size` problems; all where nobody knows."""
    return asked if problems is None else max(1, min(asked, -(-problems // size)))


def shard_names(shards: int, size: int) -> list[str]:
    """What follows a table's stem in the names of its parts, in their order."""
    return [f"{_FOLDER}/{number}-of-{shards}-by-{size}" for number in range(1, shards + 1)]


def shard_pattern(counts: Iterable[int], size: int) -> str:
    """A pattern for `shard_names` of any of these numbers of shards."""
    several = "|".join(str(count) for count in sorted(set(counts)))
    return rf"{re.escape(_FOLDER)}/[1-9]\d*-of-(?:{several})-by-{size}"


def merged_ledger(ledgers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One ledger of several jobs' work: numbers are summed; else the first with work is quoted."""
    totals: dict[str, Any] = {}
    for ledger in ledgers:
        for name, value in ledger.items():
            if isinstance(value, int | float):
                totals[name] = totals.get(name, 0) + value
            else:
                totals.setdefault(name, value)
    return totals
