"""The stages of counts: coverage of every policy from its own rows, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isoflop.errors import UserError
from isoflop.files import read_table, table_metadata, write_table
from isoflop.stages import counts
from isoflop.tables import COUNTS, CREDITS, PROBLEMS

SIZES = {
    # In an order that is neither that of the alphabet nor of the file.
    "m-70M": {"parameters": 70_000_000, "layers": 6, "attention_width": 512},
    "m-1B": {"parameters": 1_000_000_000, "layers": 16, "attention_width": 2048},
    "m-160M": {"parameters": 160_000_000, "layers": 12, "attention_width": 768},
}
CORRECT = {"m-70M": [0, 1], "m-1B": [8, 4], "m-160M": [2, 2]}
COLUMNS = {"problem": "Idx", "samples": "Total", "correct": "Right"}


def table(folder: Path, rows: list[dict[str, Any]] | None = None) -> None:
    """Counts of all models and, as published ones have, a row per number k."""
    if rows is None:
        rows = [
            {"Model": model, "Idx": 10 + place, "Total": 8, "Right": float(right), "k": k}
            for model, column in sorted(CORRECT.items())
            for place, right in enumerate(column)
            for k in (1, 2)
        ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "counts.parquet")


def spec(folder: Path, texts: bool = False, budgets: tuple[int, ...] = (1, 2, 8, 16), **rest: Any) -> str:
    sources = [
        {
            "policy": name,
            "files": [{"path": str(folder / "counts.parquet")}],
            "where": {"Model": name, "k": 1},
        }
        for name in SIZES
    ]
    generator = {
        "kind": "import", "format": "counts", "dataset": "d", "columns": COLUMNS, "tokens_per_sample": 100.0,
        "ignore": ["k", "Tokens"],
        "sources": sources,
    }  # fmt: skip
    policies = [{"name": name, "size": size} for name, size in SIZES.items()]
    content = {"generator": generator | rest, "policies": policies, "texts": texts, "budgets": budgets}
    return json.dumps(content | {"mirror": None, "code": "c"})


def run(folder: Path, specification: str) -> list[pa.Table]:
    """The counts, then the credits of every policy."""
    made = [str(folder / f"{name}.parquet") for name in ("out", *SIZES)]
    problems = [str(folder / "problems.parquet")] if json.loads(specification)["texts"] else []
    counts.main([specification, *problems, *made])
    return [read_table(path, schema) for path, schema in zip(made, [COUNTS, *[CREDITS] * 3], strict=True)]


def test_every_policy_has_the_coverage_of_its_own_rows(tmp_path: Path) -> None:
    table(tmp_path)
    out, *credits = run(tmp_path, spec(tmp_path))
    assert out["policy"].to_pylist() == [name for name in SIZES for _ in range(2)]
    assert table_metadata(out) == {"dataset": "d", "unequal": []}
    for name, found in zip(SIZES, credits, strict=True):
        assert found["problem_id"].to_pylist() == ["10", "11"] * 3
        assert found["budget"].to_pylist() == [1, 1, 2, 2, 8, 8]
        first, second = CORRECT[name]
        assert found["credit"].to_pylist()[:2] == pytest.approx([first / 8, second / 8])
        assert found["credit"].to_pylist()[4:] == [float(first > 0), float(second > 0)]
        flops = 2 * SIZES[name]["parameters"] * 100
        expected = np.repeat([flops, 2 * flops, 8 * flops], 2)
        assert found["flops_wu2024"].to_pylist() == pytest.approx(expected)
        assert set(found["selector"].to_pylist()) == {"pass"}
        assert table_metadata(found)["policy"]["parameters"] == SIZES[name]["parameters"]  # type: ignore[index]


def test_prompts_are_paid_once_where_they_are_known(tmp_path: Path) -> None:
    table(tmp_path)
    without, paid = (run(tmp_path, spec(tmp_path, **more))[1] for more in ({}, {"prompt_tokens": 50}))
    gap = paid["flops_total"].to_numpy() - without["flops_total"].to_numpy()
    parameters = SIZES["m-70M"]["parameters"]
    assert (gap > 2 * parameters * 50).all()
    assert (gap < 2 * parameters * 50 * 1.2).all()
    assert paid["flops_wu2024"].equals(without["flops_wu2024"])


def test_tokens_of_the_file_are_each_problems_own(tmp_path: Path) -> None:
    rows = [
        {"Model": name, "Idx": place, "Total": 4, "Right": 1, "k": 1, "Tokens": 10.0 * (1 + place)}
        for name in SIZES
        for place in range(2)
    ]
    table(tmp_path, rows)
    named = {"columns": COLUMNS | {"tokens": "Tokens"}, "tokens_per_sample": None}
    _, first, *_ = run(tmp_path, spec(tmp_path, budgets=(1, 2), **named))
    assert first["tokens"].to_pylist() == [10.0, 20.0, 20.0, 40.0]


def test_a_data_sets_problems_have_its_order_and_levels(tmp_path: Path) -> None:
    table(tmp_path)
    columns: dict[str, list[object]] = {
        "problem_id": ["11", "10"], "prompt": ["a", "b"], "answer": ["1", "2"], "level": [4, None],
        "subject": [None] * 2, "solution": [None] * 2,
    }  # fmt: skip
    write_table(tmp_path / "problems.parquet", columns, PROBLEMS, {})
    _, first, *_ = run(tmp_path, spec(tmp_path, texts=True, budgets=(1,)))
    assert first["problem_id"].to_pylist() == ["11", "10"]
    assert first["level"].to_pylist() == [4, None]
    assert first["credit"].to_pylist() == pytest.approx([1 / 8, 0.0])


def unequal(folder: Path) -> None:
    rows = [
        {"Model": name, "Idx": place, "Total": 4 * (1 + place), "Right": 1, "k": 1}
        for name in SIZES
        for place in range(2)
    ]
    table(folder, rows)


def test_unequal_numbers_of_samples_are_refused_unless_they_are_meant(tmp_path: Path) -> None:
    unequal(tmp_path)
    with pytest.raises(UserError) as caught:
        run(tmp_path, spec(tmp_path))
    assert "counts.parquet, row 2: problem '1' of policy m-70M has 8 samples, problem '0' has 4" in str(
        caught.value
    )
    out, first, *_ = run(tmp_path, spec(tmp_path, unequal_samples=True))
    assert table_metadata(out)["unequal"] == sorted(SIZES, key=list(SIZES).index)
    # Up to what every problem has.
    assert first["budget"].to_pylist() == [1, 1, 2, 2]
    assert first["credit"].to_pylist() == pytest.approx([1 / 4, 1 / 8, 1 / 2, 1 / 4])


def test_a_smallest_budget_that_nobody_has_is_refused(tmp_path: Path) -> None:
    table(tmp_path)
    with pytest.raises(
        UserError, match="budgets: the smallest, 9, is more than the 8 samples that every problem"
    ):
        run(tmp_path, spec(tmp_path, budgets=(9,)))


def test_values_of_where_that_stand_nowhere_are_refused(tmp_path: Path) -> None:
    table(tmp_path)
    sources = json.loads(spec(tmp_path))["generator"]["sources"]
    sources[1]["where"]["Model"] = "m-2B"
    with pytest.raises(UserError, match=r"where: keeps none of 12 rows; Model is m-160M, m-1B, m-70M"):
        run(tmp_path, spec(tmp_path, sources=sources))


def test_as_many_tables_as_policies(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="3 policies have as many tables of credits"):
        counts.main([spec(tmp_path), "out.parquet", "one.parquet"])
