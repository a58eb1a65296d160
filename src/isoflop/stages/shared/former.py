"""Results of earlier versions, whose ledgers held measured times: split without computing anything again."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from isoflop.errors import UserError
from isoflop.files import read_ledger, times_of, write_json
from isoflop.growth.measured import Times

# Entries of former ledgers that a clock or the machine decided.
_MEASURED = ("seconds", "scoring_seconds", "driver_seconds", "machine", "ended")
_TOOK = re.compile(r"^Took ([\d.]+) minutes\. ", re.MULTILINE)


def former_work(results: Path) -> list[Path]:
    """The ledgers under an experiment's folder that hold measured times, and the models trained then."""
    return [*_former_ledgers(results), *_former_models(results)]


def check_not_former(results: Path) -> None:
    """Raises UserError, with what to do, where results are of an earlier version."""
    found = former_work(results)
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise UserError(
            f"{found[0]}{more}: from an earlier version, which kept measured times in it; `isoflop upgrade "
            f"CONFIG` moves them beside it and keeps what was computed (or delete {results})"
        )


def split_former(results: Path) -> int:
    """Move the measured times of former work into files of their own; how many that is.

    Files keep their times of change, so that nothing is taken for changed.
    """
    ledgers, models = list(_former_ledgers(results)), list(_former_models(results))
    for path in ledgers:
        content, changed = read_ledger(path, quiet=True), path.stat()
        machine = content.get("machine")
        times: dict[str, Any] = {name: content[name] for name in _MEASURED if content.get(name) is not None}
        times.pop("machine", None)
        if isinstance(machine, dict):
            times["machines"] = [machine]
        kept = {name: value for name, value in content.items() if name not in _MEASURED}
        # Times first: a ledger that has given its own up is not known for a former one. Those that are there
        # already, of an upgrade that was killed here, are kept.
        beside = Path(times_of(str(path)))
        if beside.exists():
            os.utime(beside, ns=(changed.st_atime_ns, changed.st_mtime_ns))
        else:
            _write_dated(beside, _told(Times.model_validate(times)), changed)
        _write_dated(path, kept, changed)
    for folder in models:
        took = _TOOK.search((folder / "README.md").read_text(encoding="utf-8"))
        measured = Times(seconds=None if took is None else 60 * float(took[1]))
        _write_dated(Path(times_of(str(folder))), _told(measured), folder.stat())
    return len(ledgers) + len(models)


def _told(times: Times) -> dict[str, Any]:
    return times.model_dump(mode="json", exclude_defaults=True)


def _write_dated(path: Path, content: Mapping[str, Any], date: os.stat_result) -> None:
    """Write JSON that has its date from the moment it is there, so that no kill leaves it with another."""
    aside = path.with_name(f".{path.name}.upgrade")
    write_json(aside, content)
    os.utime(aside, ns=(date.st_atime_ns, date.st_mtime_ns))
    aside.replace(path)


def _former_ledgers(results: Path) -> Iterator[Path]:
    for path in sorted(results.rglob("*.ledger.json")):
        if {"seconds", "machine"} & read_ledger(path, quiet=True).keys():
            yield path


def _former_models(results: Path) -> Iterator[Path]:
    for card in sorted(results.glob("train/*/README.md")):
        if not Path(times_of(str(card.parent))).exists() and _TOOK.search(card.read_text(encoding="utf-8")):
            yield card.parent
