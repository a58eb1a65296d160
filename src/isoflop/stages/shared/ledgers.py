"""What a job did, in its ledger, and how long that took where, in the file of measured times beside it.

The ledger is the same bytes whenever and wherever the job runs; what a clock has measured is not, and stays
out of all that results are made of.
"""

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from isoflop.files import times_of, write_json
from isoflop.growth.measured import Times, is_measured

NOTES = "notes"
_Number = TypeVar("_Number", int, float)


def write_ledger(
    path: str,
    totals: Mapping[str, float],
    model: object,
    notes: Sequence[str] = (),
    *,
    here: bool = True,
) -> None:
    """Write a ledger, and beside it what was measured (isoflop.growth.measured.is_measured).

    `model`: its sizes. `notes`: for readers. `here`: whether the work was done on this machine, and not
    imported.
    """
    counts = {name: int(value) for name, value in totals.items() if not is_measured(name)}
    write_json(path, {**counts, **noted(notes), "model": model})
    seconds = {name: value for name, value in totals.items() if is_measured(name)}
    write_times(path, Times.model_validate(seconds | (_here() if here else {})))


def write_times(path: str, times: Times) -> None:
    """Write the measured times of the work whose table, ledger or folder is `path`, beside it."""
    write_json(times_of(path), times.model_dump(mode="json", exclude_defaults=True))


def noted(notes: Sequence[str]) -> dict[str, list[str]]:
    """What a table's metadata or a ledger tells readers; nothing where there is nothing to tell."""
    return {NOTES: list(notes)} if notes else {}


def notes_of(*metadata: Mapping[str, Any]) -> list[str]:
    """What tables tell readers in their metadata, each once; those of earlier versions tell nothing."""
    return list(dict.fromkeys(note for one in metadata for note in one.get(NOTES, ())))


def summed(parts: Sequence[Times]) -> Times:
    """The times of several parts of one job's work."""
    return Times(
        seconds=_sum(part.seconds for part in parts),
        scoring_seconds=_sum(part.scoring_seconds for part in parts),
        driver_seconds=_sum(part.driver_seconds for part in parts),
        settled=_sum(part.settled for part in parts),
        machines=tuple({_text(one): one for part in parts for one in part.machines}.values()),
        ended=max((part.ended for part in parts if part.ended is not None), default=None),
    )


def trained_here(seconds: float) -> Times:
    """The times of a training on this machine."""
    return Times.model_validate({"seconds": seconds} | _here())


def _sum(values: Iterable[_Number | None]) -> _Number | None:
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
