"""Results of an earlier version, whose ledgers and cards held measured times, are kept."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from isoflop.errors import UserError
from isoflop.files import read_ledger
from isoflop.growth.measured import Times, read_times
from isoflop.stages.shared import former
from isoflop.stages.shared.former import check_not_former, former_work, split_former
from isoflop.stages.shared.ledgers import write_ledger

MACHINE = {"cores": 2, "platform": "Linux"}
SAMPLED: dict[str, Any] = {"candidates": 3, "generated_tokens": 12, "model": {"layers": 2}}
MEASURED = {"seconds": 1.5, "machine": MACHINE, "ended": "2026-01-01T00:00:00+00:00"}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """One former ledger of samples, of a search and of an import, a trained model, and a ledger of today."""
    for name, content in {
        "sample/d/p/s.ledger.json": SAMPLED | MEASURED,
        "search/d/p/rebase/4.ledger.json": SAMPLED
        | MEASURED
        | {"scoring_seconds": 0.5, "driver_seconds": 0.1},
        "sample/d/p/import.ledger.json": SAMPLED | {"machine": MACHINE, "ended": "x"},
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        os.utime(path, (1_000_000, 1_000_000))
    card = tmp_path / "train" / "policy-0.1M" / "README.md"
    card.parent.mkdir(parents=True)
    card.write_text("# policy\n\nTook 2.5 minutes. python 3.11.\n")
    write_ledger(str(tmp_path / "score/d/p/s/v.ledger.json"), {"seconds": 4.0, "verifier_tokens": 7}, None)
    return tmp_path


def test_former_ledgers_are_split_and_nothing_else_changes(results: Path) -> None:
    today = (results / "score/d/p/s/v.ledger.json").read_bytes()
    with pytest.raises(
        UserError, match=r"import\.ledger\.json and 3 more: from an earlier .*isoflop upgrade"
    ):
        check_not_former(results)
    assert split_former(results) == 4
    for name in ("sample/d/p/s", "search/d/p/rebase/4", "sample/d/p/import"):
        path = results / f"{name}.ledger.json"
        assert read_ledger(path) == SAMPLED
        for one in (path, results / f"{name}.times.json"):
            assert one.stat().st_mtime == 1_000_000
    found = read_times(results / "search/d/p/rebase/4.ledger.json")
    assert found == Times(
        seconds=1.5, scoring_seconds=0.5, driver_seconds=0.1, machines=(MACHINE,), ended=MEASURED["ended"]
    )
    assert read_times(results / "sample/d/p/import.parquet").seconds is None
    assert read_times(results / "train/policy-0.1M").seconds == 150.0
    assert (results / "score/d/p/s/v.ledger.json").read_bytes() == today
    check_not_former(results)
    assert former_work(results) == []
    assert split_former(results) == 0


@pytest.mark.parametrize("write", [1, 2, 3, 4])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_upgrade_is_finished_by_the_next(
    results: Path, monkeypatch: pytest.MonkeyPatch, write: int, when: str
) -> None:
    """Killed before or after any of the files of a ledger is written: all have their times and dates."""
    real, written = former.write_json, itertools.count(1)

    def killed(path: Path, content: dict[str, Any]) -> None:
        last = next(written) == write
        if not last or when == "after":
            real(path, content)
        if last:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(former, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            split_former(results)
    split_former(results)
    for name in ("sample/d/p/s", "search/d/p/rebase/4", "sample/d/p/import"):
        path = results / f"{name}.ledger.json"
        assert read_ledger(path) == SAMPLED
        for one in (path, results / f"{name}.times.json"):
            assert one.stat().st_mtime == 1_000_000
    assert read_times(results / "sample/d/p/s.ledger.json").seconds == 1.5
    assert former_work(results) == []
    assert not list(results.rglob("*.upgrade"))


def test_a_split_ledger_is_what_is_written_today(results: Path) -> None:
    split_former(results)
    path = results / "today.ledger.json"
    totals = {name: value for name, value in SAMPLED.items() if name != "model"}
    write_ledger(str(path), totals, SAMPLED["model"])
    assert path.read_bytes() == (results / "sample/d/p/s.ledger.json").read_bytes()
