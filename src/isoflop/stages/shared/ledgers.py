"""What a job did, in its ledger, and how long that took where, in the file of measured times beside it.

The ledger is the same bytes whenever and wherever the job runs; what a clock has measured is not, and stays
out of all that results are made of.
"""

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from isoflop.files import read_json, read_ledger, times_of, write_json

_ENDING = "seconds"
_Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Times(BaseModel):
    """How long work took, all seconds of wall-clock time, and on what.

    `seconds`: None where nobody measured, as for imported work. Of a search, `scoring_seconds` are the
    verifier's part of them and `driver_seconds` what was spent on trees; of one at several budgets,
    `by_budget` are the seconds of each, its verifier's included. `machines`: where it ran, each once.
    `ended`: when its last part was done.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: _Seconds | None = None
    scoring_seconds: _Seconds | None = None
    driver_seconds: _Seconds | None = None
    by_budget: Mapping[str, _Seconds] = {}
    machines: tuple[Mapping[str, str | int], ...] = ()
    ended: str | None = None


def write_ledger(
    path: str,
    totals: Mapping[str, float],
    model: object,
    notes: Sequence[str] = (),
    *,
    here: bool = True,
) -> None:
    """Write a ledger, and beside it the measured times: those totals whose names end in `seconds`.

    `model`: its sizes. `notes`: for readers. `here`: whether the work was done on this machine, and not
    imported.
    """
    counts = {name: int(value) for name, value in totals.items() if not name.endswith(_ENDING)}
    told = {"notes": list(notes)} if notes else {}
    write_json(path, {**counts, **told, "model": model})
    seconds = {name: value for name, value in totals.items() if name.endswith(_ENDING)}
    write_times(path, Times.model_validate(seconds | (_here() if here else {})))


def write_times(path: str, times: Times) -> None:
    """Write the measured times of the work whose table, ledger or folder is `path`, beside it."""
    write_json(times_of(path), times.model_dump(mode="json", exclude_defaults=True))


def read_times(path: str | Path) -> Times:
    """The measured times beside a table, usage, ledger or folder.

    Raises UserError where they are not there or cannot be read.
    """
    source = times_of(str(path))
    return read_json(Times, json.dumps(read_ledger(source)), source)


def summed(parts: Sequence[Times]) -> Times:
    """The times of several parts of one job's work."""
    return Times(
        seconds=_sum(part.seconds for part in parts),
        scoring_seconds=_sum(part.scoring_seconds for part in parts),
        driver_seconds=_sum(part.driver_seconds for part in parts),
        machines=tuple({_text(one): one for part in parts for one in part.machines}.values()),
        ended=max((part.ended for part in parts if part.ended is not None), default=None),
    )


def trained_here(seconds: float) -> Times:
    """The times of a training on this machine."""
    return Times.model_validate({"seconds": seconds} | _here())


def _sum(values: Iterable[float | None]) -> float | None:
    """The sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _here() -> dict[str, Any]:
    machine = {
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count(),
        "python": platform.python_version(),
    }
    return {"machines": [machine], "ended": datetime.now(UTC).isoformat(timespec="seconds")}


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"
