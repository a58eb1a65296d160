"""Tables of any number of shards are the same bytes; ledgers add up; parts that do not belong are refused."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problem_tables import write_problems

from isoflop.costs import ModelShape
from isoflop.errors import UserError
from isoflop.growth.measured import Times
from isoflop.pipeline.shards import merged_ledger, shard_names, shard_of, shard_pattern, useful_shards
from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.stages import merge, revise, sample, score, search
from isoflop.stages.shared.chunks import Chunks, write_measured
from isoflop.stages.shared.ledgers import summed
from isoflop.tables import SCORES

SHAPE = ModelShape(parameters=10, embedding_parameters=2, layers=1, attention_width=4)
ABOUT = {"model": SHAPE.model_dump()}


@given(st.integers(0, 300), st.integers(1, 40), st.integers(1, 30))
def test_shards_are_whole_chunks_one_after_another_and_share_fairly(items: int, size: int, of: int) -> None:
    shares = [shard_of(f"x{name}.parquet", size).chunks(items) for name in shard_names(of, size)]
    chunks = [number for share in shares for number in share]
    assert chunks == list(range(len(range(0, items, size))))
    lengths = [len(share) for share in shares]
    assert max(lengths) - min(lengths) <= 1


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 30))
def test_no_shard_is_without_a_chunk_where_the_number_of_problems_is_known(
    items: int, size: int, asked: int
) -> None:
    useful = useful_shards(asked, size, items)
    shares = [shard_of(f"x{name}.parquet", size).chunks(items) for name in shard_names(useful, size)]
    assert all(shares)
    # One more would have none, or was not asked for.
    assert useful == asked or not all(
        shard_of(f"x{name}.parquet", size).chunks(items) for name in shard_names(useful + 1, size)
    )
    assert useful_shards(asked, size, None) == asked


@given(st.integers(1, 200), st.integers(1, 500))
def test_a_parts_name_says_what_it_holds(of: int, size: int) -> None:
    names = shard_names(of, size)
    assert len(set(names)) == of
    for number, name in enumerate(names, start=1):
        assert re.fullmatch(shard_pattern([of + 7, of], size), name)
        assert re.fullmatch(shard_pattern([of + 1], size), name) is None
        shard = shard_of(f"a/b-0.1M{name}.parquet", 7)
        assert shard == (Path("a/b-0.1M.parquet"), number, of, size)


@pytest.mark.parametrize("name", ["0-of-2-by-5", "3-of-2-by-5", "1-of-2-by-0"])
def test_there_is_no_such_part(name: str) -> None:
    with pytest.raises(UserError, match=name):
        shard_of(f"x.shards/{name}.parquet", 5)


def test_what_only_looks_like_a_part_is_a_whole_table() -> None:
    assert shard_of("pool/3-of-8-by-50.parquet", 5) == (Path("pool/3-of-8-by-50.parquet"), 1, 1, 5)
    assert shard_of("x.shards/prm.parquet", 5) == (Path("x.shards/prm.parquet"), 1, 1, 5)


def test_ledgers_add_up() -> None:
    first = {"candidates": 3, "model": {"layers": 2}}
    second = first | {"candidates": 4, "too_long": 1}
    assert merged_ledger([{}, first, second, {}]) == {"candidates": 7, "too_long": 1, "model": {"layers": 2}}


def test_times_add_up() -> None:
    first = Times(seconds=1.5, scoring_seconds=0.5, machines=({"cores": 2},), ended="a")
    second = Times(seconds=2.0, machines=({"cores": 4},), ended="c")
    whole = summed([Times(), first, second, first])
    assert whole == Times(seconds=5.0, scoring_seconds=1.0, machines=({"cores": 2}, {"cores": 4}), ended="c")
    assert summed([Times(), Times()]) == Times()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_problems(tmp_path_factory.mktemp("problems") / "problems.parquet", "dev", 11, seed=9))


def _specs(model: str) -> dict[ModuleType, dict[str, Any]]:
    verifier = {"kind": "math-shepherd", "model": model, "prompt": "{problem}\n"}
    common = {"policy": {"model": model}, "seed": 5, "version": 1}
    sampling = {"kind": "sampling", "samples": 3, "max_tokens": 20}
    rebase = {"kind": "rebase", "budgets": [3], "max_tokens": 20, "max_step_tokens": 8}
    chains = {"kind": "revisions", "chains": 2, "length": 3, "largest": 3, "max_tokens": 20}
    return {
        sample: common | {"generator": sampling},
        score: {"verifier": verifier, "version": 1},
        search: common | {"generator": rebase, "verifier": verifier},
        revise: common | {"generator": chains},
    }


def _in_shards(stage: ModuleType, arguments: Sequence[str], folder: Path, of: int) -> Path:
    """The table that `of` shards and a merge make of the stage's inputs, with its ledger beside it."""
    stem = folder / "table"
    names = shard_names(of, 2) if of > 1 else [""]
    parts = [f"{stem}{name}.{ending}" for name in names for ending in ("parquet", "ledger.json")]
    for part, ledger in zip(parts[::2], parts[1::2], strict=True):
        stage.main(["--runtime", '{"chunk_problems": 2}', *arguments, part, ledger])
    if of > 1:
        merge.main([*parts, f"{stem}.parquet", f"{stem}.ledger.json"])
    return stem.with_suffix(".parquet")


@pytest.mark.parametrize("stage", [sample, score, search, revise])
def test_any_number_of_shards_makes_the_same_bytes(
    stage: ModuleType, model: str, problems: str, tmp_path: Path
) -> None:
    specs = _specs(model)
    arguments = [json.dumps(specs[stage]), problems]
    if stage is score:
        arguments.append(str(_in_shards(sample, [json.dumps(specs[sample]), problems], tmp_path / "c", 1)))
    whole = _in_shards(stage, arguments, tmp_path / "1", 1)
    for of in (2, 4, 6, 9):
        table = _in_shards(stage, arguments, tmp_path / str(of), of)
        assert table.read_bytes() == whole.read_bytes(), of
        ledgers = [one.with_suffix(".ledger.json").read_bytes() for one in (table, whole)]
        assert ledgers[0] == ledgers[1], of
        assert not list(table.parent.glob(".*.chunks"))


def test_a_shard_without_chunks_starts_no_model(
    model: str,
    problems: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for stage, opener in ((sample, "open_policy"), (search, "open_both")):
        monkeypatch.setattr(stage, opener, lambda *_: pytest.fail("a model was loaded"))
        out = tmp_path / stage.__name__ / "t.shards" / "1-of-20-by-5.parquet"
        spec = json.dumps(_specs(model)[stage])
        stage.main([spec, problems, str(out), str(out.with_suffix(".ledger.json"))])
        assert pq.read_table(out).num_rows == 0
        assert "part 1 of 20 has nothing to do" in capsys.readouterr().err


def _text_work(done: list[int]) -> Any:
    def work(chunk: Sequence[int]) -> tuple[pa.Table, dict[str, float]]:
        done.extend(chunk)
        # Long and varied, so that columns have several pages and a dictionary that overflows.
        rows = [(item, place) for item in chunk for place in range(2000)]
        columns = {
            "problem_id": [f"{item}-{place}-" + "x" * (place % 50) for item, place in rows],
            "candidate": [place for _, place in rows],
            "step_scores": [[place / 7, float(item)] for item, place in rows],
            "verifier_tokens": [item for item, _ in rows],
        }
        return pa.table(columns, schema=SCORES), {"rows": len(rows)}

    return work


def _chunked(folder: Path, name: str, items: int, done: list[int]) -> None:
    out = folder / f"big{name}.parquet"
    chunks = Chunks(out, "work", 3)
    table, totals = chunks.run(range(items), _text_work(done), lambda _: None)
    write_measured(str(out), str(folder / f"big{name}.ledger.json"), table, SCORES, totals, ABOUT)


def _merged(folder: Path, of: int) -> bytes:
    names = [f"{folder}/big{name}" for name in shard_names(of, 3)]
    parts = [f"{name}.{ending}" for name in names for ending in ("parquet", "ledger.json")]
    merge.main([*parts, f"{folder}/big.parquet", f"{folder}/big.ledger.json"])
    return (folder / "big.parquet").read_bytes()


def test_no_seam_shows_in_large_tables(tmp_path: Path) -> None:
    _chunked(tmp_path, "", 60, [])
    whole = (tmp_path / "big.parquet").read_bytes()
    assert (
        pq.ParquetFile(tmp_path / "big.parquet").metadata.row_group(0).column(0).total_uncompressed_size
        > 2**21
    )
    for of in (2, 7):
        folder = tmp_path / str(of)
        for name in shard_names(of, 3):
            _chunked(folder, name, 60, [])
        assert _merged(folder, of) == whole


def test_work_begun_in_one_number_of_shards_is_finished_in_another(tmp_path: Path) -> None:
    done: list[int] = []
    for name in shard_names(4, 3)[:3]:
        _chunked(tmp_path, name, 24, done)
    assert done == list(range(18))
    for name in shard_names(2, 3):
        _chunked(tmp_path, name, 24, done)
    assert done == list(range(24)), "only the chunks that the fourth shard had left"
    _merged(tmp_path, 2)
    assert sorted(path.name for path in (tmp_path / "big.shards").iterdir()) == [
        "1-of-2-by-3.ledger.json", "1-of-2-by-3.parquet", "1-of-2-by-3.times.json",
        "2-of-2-by-3.ledger.json", "2-of-2-by-3.parquet", "2-of-2-by-3.times.json",
    ]  # fmt: skip


def test_a_shard_that_stops_keeps_its_chunks(tmp_path: Path) -> None:
    done: list[int] = []
    [_, second] = shard_names(2, 3)

    def stops(chunk: Sequence[int]) -> tuple[pa.Table, dict[str, float]]:
        if 18 in chunk:
            raise InterruptedError
        table, tally = _text_work(done)(chunk)
        return table, tally

    skipped: list[int] = []
    with pytest.raises(InterruptedError):
        Chunks(tmp_path / f"big{second}.parquet", "work", 3).run(range(24), stops, skipped.append)
    assert (done, skipped) == ([12, 13, 14, 15, 16, 17], [12])
    _chunked(tmp_path, second, 24, done)
    assert done == list(range(12, 24))


def test_parts_that_are_not_all_of_one_table_are_refused(tmp_path: Path) -> None:
    for of in (2, 3):
        for name in shard_names(of, 3):
            _chunked(tmp_path, name, 12, [])
    parts = {
        (number, of): [
            f"{tmp_path}/big{shard_names(of, 3)[number - 1]}.{e}" for e in ("parquet", "ledger.json")
        ]
        for of in (2, 3)
        for number in range(1, of + 1)
    }
    out = [f"{tmp_path}/big.parquet", f"{tmp_path}/big.ledger.json"]
    for listed in ([(1, 2)], [(2, 2), (1, 2)], [(1, 2), (1, 2)], [(1, 3), (2, 2)]):
        with pytest.raises(UserError, match=r"is not part \d of the \d parts of"):
            merge.main([*(path for key in listed for path in parts[key]), *out])
    with pytest.raises(UserError, match="is not part 1"):
        merge.main([*parts[1, 2], *parts[2, 2], f"{tmp_path}/other.parquet", out[1]])
    shutil.copy(Path(__file__), parts[2, 2][0])
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        merge.main([*parts[1, 2], *parts[2, 2], *out])
    with pytest.raises(UserError, match="usage"):
        merge.main(parts[1, 2])
    assert not Path(out[0]).exists()


def test_parts_of_other_tables_are_refused(tmp_path: Path) -> None:
    part = tmp_path / "big.shards" / "1-of-1-by-3.parquet"
    part.parent.mkdir()
    pq.write_table(pa.table({"x": [1]}), part)
    paths = [part, part.with_suffix(".ledger.json"), tmp_path / "big.parquet", tmp_path / "big.ledger.json"]
    with pytest.raises(UserError, match="neither candidates nor scores nor trees"):
        merge.main([*map(str, paths)])


def test_parts_of_other_models_are_refused(tmp_path: Path) -> None:
    for name, shape in zip(shard_names(2, 3), (SHAPE, SHAPE.model_copy(update={"layers": 2})), strict=True):
        out = tmp_path / f"big{name}.parquet"
        chunks = Chunks(out, "work", 3)
        table, totals = chunks.run(range(12), _text_work([]), lambda _: None)
        write_measured(
            str(out),
            str(out.with_suffix(".ledger.json")),
            table,
            SCORES,
            totals,
            {"model": shape.model_dump()},
        )
    with pytest.raises(UserError, match="made by other models"):
        _merged(tmp_path, 2)
