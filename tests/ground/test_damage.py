"""Damaged files are noticed, whatever is damaged; unfinished and former ones are told from them."""

import importlib.util
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop import files
from isoflop.errors import UserError
from isoflop.files import (
    atomic_path,
    open_parquet,
    read_ledger,
    read_parquet,
    read_table,
    write_json,
    write_parquet,
    write_table,
    write_text,
)
from isoflop.results import damaged_files, damaged_results, read_result, write_result
from isoflop.sums import Seal, json_seal, parquet_seal, sealed_json, sealed_parquet
from isoflop.tables import SCORES

REPOSITORY = Path(__file__).parents[2]
TABLE = pa.table({"a": [1, 2, 3], "text": ["isoflop.sha256\x18\x40", None, "x"]}).replace_schema_metadata(
    {b"isoflop": b'{"model": 1}'}
)


def test_flips_and_cuts_of_every_kind_of_table_are_refused_by_name(tmp_path: Path) -> None:
    """A sample of what `benchmarks/damage.py` does."""
    path = REPOSITORY / "benchmarks" / "damage.py"
    spec = importlib.util.spec_from_file_location("damage", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.damage(tmp_path, flips=160, cuts=32, seed=7)
    assert len(found) == 2 * 8 + 1
    assert sum(found.values(), Counter()) == {"refused": 160 + 32 + 20}


def test_every_single_bit_of_a_table_is_covered(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_parquet(path, TABLE)
    whole = path.read_bytes()
    assert read_parquet(path).equals(TABLE)
    for place in range(len(whole)):
        for bit in (0, 3, 7):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            if parquet_seal(bytes(changed)) is Seal.ABSENT:
                # The sum's own name: only the file's metadata tell that it had one.
                path.write_bytes(changed)
                with pytest.raises(UserError, match=r"table\.parquet: (is damaged|cannot be read)"):
                    open_parquet(path)


def test_equal_tables_are_equal_bytes_and_other_readers_check_their_pages(tmp_path: Path) -> None:
    content = bytes(sealed_parquet(TABLE))
    assert content == bytes(sealed_parquet(TABLE)) == bytes(sealed_parquet(TABLE.combine_chunks()))
    assert parquet_seal(content) is Seal.WHOLE
    (tmp_path / "a.parquet").write_bytes(content)
    read = pq.read_table(tmp_path / "a.parquet", page_checksum_verification=True)
    assert read.to_pydict() == TABLE.to_pydict()
    page = bytearray(content)
    page[40] ^= 1
    (tmp_path / "a.parquet").write_bytes(page)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(tmp_path / "a.parquet", page_checksum_verification=True)


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
    ),
    st.data(),
)
def test_any_change_of_a_ledger_shows(content: dict[str, object], data: st.DataObject) -> None:
    content.pop("sha256", None)
    sealed = sealed_json(content)
    assert json_seal(sealed) is Seal.WHOLE
    assert json_seal(dict(reversed(sealed.items()))) is Seal.WHOLE
    name = data.draw(st.sampled_from(sorted(sealed)))
    other = sealed | {name: ["changed", sealed[name]]}
    assert json_seal(other) is Seal.DAMAGED
    renamed = {(key + "!" if key == "sha256" else key): value for key, value in sealed.items()}
    assert json_seal(renamed) is Seal.DAMAGED


def test_files_of_former_versions_are_read_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns: dict[str, list[object]] = {
        "problem_id": ["p"], "candidate": [0], "step_scores": [[0.5]], "verifier_tokens": [7],
    }  # fmt: skip
    path, ledger = tmp_path / "scores.parquet", tmp_path / "scores.ledger.json"
    write_table(path, columns, SCORES, {})
    table = read_table(path, SCORES)
    write_json(ledger, {"candidates": 1})
    assert capsys.readouterr().err == ""
    pq.write_table(table, path)
    ledger.write_text('{"candidates": 1}', encoding="utf-8")
    for _ in range(2):
        assert read_table(path, SCORES).to_pydict() == columns
        assert read_ledger(ledger) == {"candidates": 1}
    assert capsys.readouterr().err.splitlines() == [
        f"note: {one}: of a former version, without a sum; damage to it may not show"
        for one in (path, ledger)
    ]
    assert not list(damaged_files(tmp_path))
    assert capsys.readouterr().err == ""


def test_damaged_results_are_named_and_nothing_is_deleted(tmp_path: Path) -> None:
    for name in ("tables/curves.csv", "tables/headline.md", "report.html"):
        write_result(tmp_path / name, f"content of {name}\n")
    write_table(tmp_path / "fit" / "draws.parquet", {"a": [1]}, pa.schema([("a", pa.int64())]), {})
    write_json(tmp_path / "sample" / "a.ledger.json", {"seconds": 1.0})
    (tmp_path / "fit" / ".x.chunks").mkdir()
    (tmp_path / "fit" / ".x.chunks" / "000000.parquet").write_bytes(b"of a killed job")
    assert not list(damaged_files(tmp_path))
    check = ["sha256sum", "--check", "--quiet", ".sums/curves.csv.sha256", ".sums/headline.md.sha256"]
    subprocess.run(check, cwd=tmp_path / "tables", check=True)
    names = ["report.html", "tables/curves.csv", "fit/draws.parquet", "sample/a.ledger.json"]
    for name in names:
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-3])
    assert [line.partition(": ")[0] for line in damaged_files(tmp_path)] == [
        str(tmp_path / one) for one in names
    ]
    assert len(list(damaged_results(tmp_path))) == 2
    with pytest.raises(UserError, match=r"curves\.csv: is damaged, or changed by another program.*delete it"):
        read_result(tmp_path / "tables/curves.csv")
    for name in names:
        (tmp_path / name).unlink()
    # What is deleted is made anew; it is no damage.
    assert not list(damaged_files(tmp_path))


def test_temporary_files_of_killed_jobs_go_and_those_of_others_stay(tmp_path: Path) -> None:
    machine, own = files._machine(), os.getpid()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    alive = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    names = {
        f".a.csv.{machine}.{gone.pid}.tmp": False,
        f".a.csv.{machine}.{alive.pid}.tmp": True,
        f".a.csv.{machine}.{own}1234567.tmp": False,
        f".a.csv.0badcafe.{gone.pid}.tmp": True,
        ".a.csv.0badcafe.7.tmp": False,
        f".a.csv.{gone.pid}.tmp": True,
        ".a.csv.8.tmp": False,
        f".b.csv.{machine}.{gone.pid}.tmp": True,
        f".ab.csv.{machine}.{gone.pid}.tmp": True,
    }
    try:
        for name in names:
            (tmp_path / name).write_text("half", encoding="utf-8")
        for name in (".a.csv.0badcafe.7.tmp", ".a.csv.8.tmp"):
            os.utime(tmp_path / name, (0, 0))
        write_text(tmp_path / "a.csv", "whole")
    finally:
        alive.kill()
        alive.wait()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"a.csv"} | {name for name, stays in names.items() if stays}


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_path(tmp_path / "deep" / "a.csv") as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise InterruptedError(4, "stopped")

    with pytest.raises(UserError, match=r"a\.csv: cannot be written \(stopped\)"):
        write()
    assert not list((tmp_path / "deep").iterdir())
    (tmp_path / "file").write_text("", encoding="utf-8")
    for path in (tmp_path / "file" / "a.csv", tmp_path / "deep", tmp_path / ("x" * 300)):
        with pytest.raises(UserError, match=r"cannot be written \((File exists|Is a dir|File name too)"):
            write_text(path, "whole")
