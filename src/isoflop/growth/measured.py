"""How long work took and where, in a file beside what it made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from isoflop.files import read_ledger_as, times_of

_Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Times(BaseModel):
    """How long work took, all seconds of wall-clock time, and on what.

    `seconds`: None where nobody measured, as for imported work. Of a search, `scoring_seconds` are the
    verifier's part of them and `driver_seconds` what was spent on trees; of one at several budgets,
    `by_budget` are the seconds of each, its verifier's included. `settled`: choices of tokens that rounding
    could have changed and that were made again in float64; which are looked at again is rounding's too.
    `machines`: where it ran, each once. `ended`: when its last part was done.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: _Seconds | None = None
    scoring_seconds: _Seconds | None = None
    driver_seconds: _Seconds | None = None
    by_budget: Mapping[str, _Seconds] = {}
    settled: Annotated[int, Field(ge=0)] | None = None
    machines: tuple[Mapping[str, str | int], ...] = ()
    ended: str | None = None


def is_measured(name: str) -> bool:
    """Whether a number in a job's tally differs from run to run, and goes to its measured times."""
    return name.endswith("seconds") or name == "settled"


def read_times(path: str | Path) -> Times:
    """The measured times beside a table, usage, ledger or folder.

    Raises UserError where they are not there or cannot be read.
    """
    return read_times_file(times_of(str(path)))


def read_times_file(path: str | Path) -> Times:
    """The measured times in a file of them; raises UserError as above."""
    return read_ledger_as(Times, path)
