"""Where finished rows are looked for, also while other jobs come and go."""

import os
import shutil
from pathlib import Path

import pytest

from isoflop.growth.folders import elsewhere, former_folder, here, kept, listed, times_beside, unfinished


def touched(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_all_places_are_found_in_an_order_that_is_always_the_same(tmp_path: Path) -> None:
    table = touched(tmp_path / "results/a/sample/w/p[1]*.parquet")
    own = tmp_path / f"results/a/sample/w/.{table.name}.own.chunks"
    expected = [
        touched(path)
        for path in (
            table,
            kept(table),
            former_folder(table) / "0123.parquet",
            table.with_name(f".{table.name}.others.chunks") / "000000.parquet",
            own / "000000.parquet",
            own / "000001.parquet",
            table.with_suffix(".shards") / "1-of-2-by-5.parquet",
        )
    ]
    touched(own / "000001.parquet.tmp")
    touched(table.with_name(".q.parquet.others.chunks") / "000000.parquet")
    assert list(here(table, own)) == expected
    assert {path.name for path in unfinished(table)} == {own.name, f".{table.name}.others.chunks"}
    other = touched(tmp_path / "results/b/sample/v/q/r.parquet")
    touched(tmp_path / "results/b/search/v/q.parquet")
    assert list(elsewhere(table, "sample"))[-1] == other
    assert len(list(elsewhere(table, "sample"))) == 8


def test_times_lie_beside_tables_and_kept_tables(tmp_path: Path) -> None:
    table = tmp_path / "p.parquet"
    assert times_beside(table) == tmp_path / "p.times.json"
    assert times_beside(kept(table)) == kept(tmp_path / "p.times.json")


def test_folders_that_go_while_they_are_walked_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = touched(tmp_path / "results/a/sample/w/p.parquet")
    for number in range(3):
        touched(tmp_path / f"results/b/sample/w/{number}/.q.parquet.x.chunks/000000.parquet")
    scandir = os.scandir

    def removing(folder: Path) -> object:
        # When a folder has been listed and before what is in it is.
        if str(folder).endswith("/1"):
            shutil.rmtree(folder)
        entries = scandir(folder)
        if str(folder).endswith("/2"):
            for one in Path(folder).iterdir():
                shutil.rmtree(one)
        return entries

    monkeypatch.setattr(os, "scandir", removing)
    found = [path for path in elsewhere(table, "sample") if "/b/" in str(path)]
    assert [path.parent.parent.name for path in found] == ["0"]
    assert listed(tmp_path / "gone") == []
