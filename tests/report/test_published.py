"""Published numbers beside measured ones: what is compared, what is said of the rest, bad files by row."""

from pathlib import Path

import pandas as pd
import pytest
from synthetic_results import write_results

from isoflop.config.loading import load_config
from isoflop.errors import UserError
from isoflop.report.lookup import Tables
from isoflop.report.published import (
    COLUMNS,
    compare,
    published_csv,
    published_html,
    published_markdown,
    read_published,
)
from isoflop.report.spec import PublishedTables, ReportSpec
from isoflop.stages import report as stage
from isoflop.stages.report import main
from isoflop.stages.shared.study_tables import read_tables

ROOT = Path(__file__).parents[2]
ROWS = [
    ("Small", "Words", "sampling", "weighted", 16, 2e9, 40.0),
    ("Small", "Words", "greedy", "none", 1, 1e8, 25.5),
    ("Small", "Words", "rebase", "best_of_n", 16, None, 50.0),
    ("Small", "Words", "rebase", "weighted", 32, 4e9, 60.0),
    ("Small", "Words", "beam", "weighted", 16, 4e9, 60.0),
    ("Huge", "Words", "sampling", "weighted", 16, 4e9, 60.0),
    ("Small", "GSM8K", "sampling", "weighted", 16, 4e9, 60.0),
    ("Large", "Words", "sampling", "pass", 256, 4e9, 100.0),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReportSpec]:
    folder = tmp_path_factory.mktemp("results")
    file = folder / "paper_table9.csv"
    pd.DataFrame(ROWS, columns=list(COLUMNS)).to_csv(file, index=False)
    mapped = PublishedTables(
        files=(str(file),),
        policies={"Small": "policy-0.1M", "Large": "policy-2.7M"},
        datasets={"Words": "wordproblems"},
        generators={"sampling": "sampling", "greedy": "greedy", "rebase": "rebase"},
    )
    return folder, write_results(folder).model_copy(update={"published": mapped})


@pytest.fixture(scope="module")
def tables(results: tuple[Path, ReportSpec]) -> Tables:
    return read_tables(*results)


def rows_of(results: tuple[Path, ReportSpec]) -> pd.DataFrame:
    assert results[1].published is not None
    [path] = results[1].published.files
    return read_published(path, pd.read_csv(path))


def test_a_difference_is_measured_minus_published_and_its_interval_the_measured_one_shifted(
    results: tuple[Path, ReportSpec], tables: Tables
) -> None:
    compared = compare(tables.curves, results[1], rows_of(results))
    assert len(compared) == len(ROWS)
    row = compared.iloc[0]
    line = tables.curves[
        (tables.curves["policy"] == "policy-0.1M")
        & (tables.curves["generator"] == "sampling")
        & (tables.curves["selector"] == "weighted")
        & (tables.curves["step_aggregation"] == "min")  # the headline's
        & (tables.curves["subset"] == "all")
        & (tables.curves["budget"] == 16)
    ]
    [accuracy], [low], [high], [flops] = (
        line[name] for name in ("accuracy", "ci_low", "ci_high", "flops_wu2024")
    )
    assert (row["source"], row["strategy"], row["note"]) == ("paper_table9", "sampling+wv", "")
    assert row["difference"] == pytest.approx(accuracy - 0.4)
    assert row["difference_low"] == pytest.approx(low - 0.4)
    assert row["difference_high"] == pytest.approx(high - 0.4)
    assert row["flops_ratio"] == pytest.approx(flops / 2e9)
    assert compared.iloc[1]["note"] == ""
    no_cost = compared.iloc[2]
    assert no_cost["note"] == ""
    assert pd.isna(no_cost["published_flops"])
    assert pd.isna(no_cost["flops_ratio"])
    assert no_cost["flops"] > 0


def test_what_cannot_be_compared_keeps_its_row_and_says_why(
    results: tuple[Path, ReportSpec], tables: Tables
) -> None:
    compared = compare(tables.curves, results[1], rows_of(results))
    assert compared["note"].tolist()[3:7] == [
        "measured at 4, 16, 64 samples only",
        "beam is not in this study",
        "Huge is not in this study",
        "GSM8K is not in this study",
    ]
    assert compared["accuracy"].isna().tolist() == [bool(note) for note in compared["note"]]
    assert compared.loc[3:6, "published_accuracy"].tolist() == [0.6] * 4
    unmeasured = tables.curves[tables.curves["selector"] != "pass"]
    [note] = compare(unmeasured, results[1], rows_of(results).tail(1))["note"]
    assert note == "sampling+pass was not measured for policy-2.7M on wordproblems"


def test_the_tables_show_every_number_and_bold_what_is_apart(
    results: tuple[Path, ReportSpec], tables: Tables
) -> None:
    compared = compare(tables.curves, results[1], rows_of(results))
    text = published_csv(compared)
    assert text.splitlines()[0].startswith("source,model,policy,dataset,strategy,samples,published_accuracy")
    assert "nan" not in text
    assert len(published_markdown(compared).splitlines()) == len(ROWS) + 2
    shown = published_html(compared)
    for cells, (_, row) in zip(shown.rows, compared.iterrows(), strict=True):
        apart = not row["note"] and (row["difference_low"] > 0 or row["difference_high"] < 0)
        assert [cell.bold for cell in cells].count(True) == int(apart)
    assert "without an interval" in shown.note


def test_the_publish_stage_writes_the_tables_and_the_report_shows_them(
    results: tuple[Path, ReportSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, spec = results
    # Figures are drawn and not saved: only tables and texts are looked at.
    monkeypatch.setattr(stage, "_saved", lambda *_: b'<svg width="100pt"></svg>')
    main([spec.model_dump_json(), str(folder), str(tmp_path)])
    written = pd.read_csv(tmp_path / "tables/published.csv")
    assert len(written) == len(ROWS)
    assert (tmp_path / "tables/published.md").read_text().count("\n") == len(ROWS) + 2
    report = (tmp_path / "report.html").read_text()
    assert "Published and measured" in report
    assert "Huge is not in this study" in report


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"accuracy": 101.0}, r"x\.csv, row 1: accuracy cannot be '101"),
        ({"accuracy": "?"}, r"x\.csv, row 1: accuracy cannot be '\?'"),
        ({"samples": 0}, r"x\.csv, row 1: samples cannot be '0'"),
        ({"flops": -1.0}, r"x\.csv, row 1: flops cannot be '-1"),
        ({"flops": "many"}, r"x\.csv, row 1: flops cannot be 'many'"),
        ({"selector": "wv"}, r"x\.csv, row 1: selector 'wv' is not one of none, majority"),
    ],
)
def test_bad_rows_are_named(change: dict[str, object], says: str) -> None:
    row = dict(zip(COLUMNS, ROWS[0], strict=True)) | change
    with pytest.raises(UserError, match=says):
        read_published("x.csv", pd.DataFrame([row]))
    with pytest.raises(UserError, match=r"x\.csv: has no column samples"):
        read_published("x.csv", pd.DataFrame([row]).drop(columns="samples"))


def test_every_published_row_of_wu2024_has_a_place_in_its_study() -> None:
    config = load_config([ROOT / "configs/wu2024.yaml"], root=ROOT, unpinned=True)
    assert config.published is not None
    rows = pd.concat([read_published(path, pd.read_csv(ROOT / path)) for path in config.published.files])
    assert rows["source"].value_counts().to_dict() == {
        "wu2024_table1": 6,
        "wu2024_table3": 8,
        "wu2024_table4": 56,
    }
    assert set(rows["model"]) == set(config.published.policies)
    assert set(rows["dataset"]) == set(config.published.datasets)
    assert set(rows["generator"]) == set(config.published.generators)
