"""A finished study of which one bit of one file changes: the next run and `show` name the file."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from snakemake_runs import ROOT, study
from test_replay import small_study

from isoflop import cli
from isoflop.errors import UserError

# Whether people see the file: `show` looks at these alone.
FILES = {
    "problems/sums.parquet": False,
    "sample/sums/theirs/runs.parquet": False,
    "sample/sums/theirs/runs.ledger.json": False,
    "score/sums/theirs/runs/judge.parquet": False,
    "grade/sums/theirs/runs.parquet": False,
    "select/sums/theirs/runs.parquet": False,
    "fit/credits.parquet": False,
    "tables/curves.csv": True,
    "tables/plan.csv": True,
    "figures/saturation.png": True,
    "figures/saturation.svg": True,
    "report.html": True,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, warmed: Mapping[str, str]) -> Path:
    folder = tmp_path_factory.mktemp("study")
    done = study(folder, small_study(folder), warmed=warmed)
    assert done.code == 0, done.output
    (folder / "Snakefile").symlink_to(ROOT / "Snakefile")
    return folder


@pytest.mark.parametrize("how", ["a bit", "its end"])
@pytest.mark.parametrize("name", FILES)
def test_damage_to_any_file_is_noticed(
    name: str, how: str, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bits that a disk loses leave the time of the file as it is, so that Snakemake has nothing to do."""
    monkeypatch.chdir(finished)
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: started.append(command))
    path = Path("results/small") / name
    whole, times = path.read_bytes(), path.stat()
    place = next(i for i in range(len(whole) // 2, len(whole)) if not chr(whole[i]).isspace())
    changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    path.write_bytes(changed if how == "a bit" else whole[:place])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    try:
        with pytest.raises(UserError, match=rf"^{path}: .*; delete it and run again$"):
            cli.main(["run", "small.yaml"])
        assert not started
        if FILES[name]:
            with pytest.raises(UserError, match=rf"^{path}: "):
                cli.main(["show", "small.yaml"])
        else:
            cli.main(["show", "small.yaml"])
    finally:
        path.write_bytes(whole)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    cli.main(["run", "small.yaml"])
    assert started


def test_snakemake_stops_before_it_reads_damage_and_makes_anew_what_is_deleted(
    finished: Path, tmp_path: Path, warmed: Mapping[str, str]
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(finished, folder, symlinks=True)
    tables = {"sample/sums/less/runs.parquet", "tables/fits.csv"}
    wholes = {name: (folder / "results/small" / name).read_bytes() for name in tables}
    for name, whole in wholes.items():
        (folder / "results/small" / name).write_bytes(whole[:-9] + b"!" + whole[-8:])
    stopped = study(folder, "small.yaml", warmed=warmed)
    assert stopped.code == 1
    for name in tables:
        assert f"results/small/{name}: " in stopped.output
        (folder / "results/small" / name).unlink()
    assert "Traceback" not in stopped.output
    again = study(folder, "small.yaml", warmed=warmed)
    assert again.code == 0, again.output
    assert {name: (folder / "results/small" / name).read_bytes() for name in tables} == wholes
