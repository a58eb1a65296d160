"""Counts as a study: a small one of our own, and the two shipped ones of Pythia on the published counts."""

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from snakemake_runs import ROOT, study

from isoflop.specs import Backtest, CoverageSpec, canonical
from isoflop.stages.coverage import main as coverage_stage

DATA = Path(os.environ.get("ISOFLOP_DATA") or ROOT.parent / "shared" / "data") / "monkeys-pythia"
REPOSITORY = "RylanSchaeffer/KoyejoLab-Large-How-Do-Language-Monkey-Power-Get-Their-Power"


def small_study(folder: Path, **changed: Any) -> str:
    """Twelve problems; the small model is right on a few often, the large one on more of them."""
    with (folder / "counts.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["model", "problem", "n", "c", "level"])
        for place in range(12):
            rows.writerow(["small", f"p{place}", 64, max(0, 20 - 3 * place), 1 + place // 4])
            rows.writerow(["large", f"p{place}", 16, max(0, 12 - place), 1 + place // 4])
    sources = [
        {"policy": name, "files": [{"path": "counts.csv"}], "where": {"model": [name]}}
        for name in ("small", "large")
    ]
    config: dict[str, Any] = {
        "experiment": "counted",
        "seed": 1,
        "datasets": {"twelve": {"source": "counted"}},
        "policies": {
            "small": {"size": {"parameters": 1_000_000, "layers": 2, "attention_width": 64}},
            "large": {"size": {"parameters": 10_000_000, "layers": 4, "attention_width": 128}},
        },
        "generators": {
            "samples": {
                "kind": "import",
                "format": "counts",
                "dataset": "twelve",
                "columns": {"samples": "n", "correct": "c", "level": "level"},
                "tokens_per_sample": 50,
                "sources": sources,
            }
        },
        "budgets": [1, 2, 4, 8, 16, 32, 64],
        "selectors": ["pass"],
        "coverage": {"fitted_to": 4},
        "headline": {"selector": "pass", "cost_model": "wu2024"},
        "bootstrap": {"draws": 200},
    }
    (folder / "counted.yaml").write_text(yaml.safe_dump(config | changed, sort_keys=False))
    return str(folder / "counted.yaml")


def coverage(folder: Path, experiment: str) -> pd.DataFrame:
    table = pd.read_csv(folder / "results" / experiment / "tables" / "curves.csv", keep_default_na=False)
    return table[table["subset"] == "all"]


def at(table: pd.DataFrame, policy: str, *budgets: int) -> list[float]:
    own = table[table["policy"] == policy].set_index("budget")["accuracy"]
    return [float(own.loc[budget]) for budget in budgets]


def told_of_samples(results: Path, out: Path) -> str:
    """The backtest that the same right samples have where they are drawn here: from the credits alone."""
    spec = CoverageSpec(
        experiment="counted",
        generators=(),
        sampled={
            "samples": {
                "small": Backtest(known=4, samples=64),
                "large": Backtest(known=4, samples=16),
            }
        },
        families={},
        costs=("wu2024",),
        fitted_to=100,
        seed=1,
        code="",
    )
    coverage_stage([canonical(spec), str(results / "fit" / "credits.parquet"), str(out)])
    return out.read_text()


def test_counts_become_a_report_that_says_what_they_are(tmp_path: Path, warmed: Mapping[str, str]) -> None:
    config = small_study(tmp_path)
    outcome = study(tmp_path, config, warmed=warmed)
    assert outcome.code == 0, outcome.output
    table = coverage(tmp_path, "counted")
    assert at(table, "small", 1)[0] == pytest.approx((20 + 17 + 14 + 11 + 8 + 5 + 2) / 64 / 12, abs=1e-6)
    assert at(table, "small", 64) == pytest.approx([7 / 12], abs=1e-6)
    assert at(table, "large", 1, 16) == pytest.approx([78 / 16 / 12, 1.0], abs=1e-6)
    assert sorted(table.loc[table["policy"] == "large", "budget"]) == [1, 2, 4, 8, 16]
    results = tmp_path / "results" / "counted"
    report = (results / "report.html").read_text(encoding="utf-8")
    assert "Nobody has that answer in practice without a verifier that finds it" in report
    assert "This study has counts of right samples, without their texts" in report
    assert "no sample to show" not in report
    assert "steps aggregated" not in report
    assert "is about answers that are picked, and this study has coverage alone" in report
    figures = {path.stem for path in (results / "figures").glob("*.png")}
    assert figures == {"coverage_by_size", "optimal_size", "coverage_forecast", "accuracy_by_level"}
    told = pd.read_csv(results / "tables" / "coverage_forecast.csv")
    assert set(told["policy"]) == {"small", "large", "all"}
    assert set(told["fitted_to"]) == {4}
    counted = (results / "tables" / "coverage_forecast.csv").read_text()
    of_samples = told_of_samples(results, tmp_path / "told.csv")
    assert sorted(of_samples.splitlines()) == sorted(counted.splitlines())
    assert not (results / "sample").exists()
    assert "Nothing to be done" in study(tmp_path, config, warmed=warmed).output


def test_a_bad_row_stops_the_study_by_its_name(tmp_path: Path, warmed: Mapping[str, str]) -> None:
    config = small_study(tmp_path)
    with (tmp_path / "counts.csv").open("a") as file:
        file.write("large,p11,16,17,3\n")
    outcome = study(tmp_path, config, warmed=warmed)
    assert outcome.code != 0
    assert "counts.csv, line 26: 17 right ones of 16 samples" in outcome.output


def mirrored(folder: Path, name: str, path: Path) -> str:
    target = folder / "mirror" / REPOSITORY / name
    target.parent.mkdir(parents=True)
    target.symlink_to(path)
    (folder / "mirror.yaml").write_text(f"mirror: {folder / 'mirror'}\n")
    return str(folder / "mirror.yaml")


@pytest.mark.skipif(not DATA.is_dir(), reason="the published counts are not here")
def test_pythia_on_math(tmp_path: Path, warmed: Mapping[str, str]) -> None:
    """Values calculated by others from the same file, and those that stand in it."""
    name = "large_language_monkeys_original_pass_at_k.parquet"
    mirror = mirrored(tmp_path, f"data/processed_data/{name}", DATA / name)
    outcome = study(tmp_path, str(ROOT / "configs/pythia-math.yaml"), mirror, warmed=warmed)
    assert outcome.code == 0, outcome.output
    table = coverage(tmp_path, "pythia-math")
    assert set(table["problems"]) == {128}
    expected = {
        "70M": [0.0006, 0.036, 0.266], "160M": [0.0027, 0.162, 0.570], "410M": [0.0062, 0.227, 0.656],
        "1B": [0.0083, 0.274, 0.742], "2.8B": [0.0203, 0.422, 0.812], "6.9B": [0.0186, 0.431, 0.836],
        "12B": [0.0232, 0.483, 0.875],
    }  # fmt: skip
    published = pd.read_parquet(DATA / name).groupby(["Model", "Scaling Parameter"])["Score"].mean()
    for size, values in expected.items():
        found = at(table, f"pythia-{size}", 1, 100, 10_000)
        # That of 6.9B at 100 is 0.43165, and was cut.
        assert found == pytest.approx(values, abs=7e-4)
        theirs = [float(published.loc[f"Pythia {size}", k]) for k in (1, 100, 10_000)]
        assert found == pytest.approx(theirs, abs=1e-6)
    crossings = pd.read_csv(tmp_path / "results/pythia-math/tables/coverage_crossings.csv")
    pair = crossings[
        (crossings["small"] == "pythia-160M")
        & (crossings["large"] == "pythia-2.8B")
        & (crossings["cost_model"] == "wu2024")
    ].iloc[0]
    assert pair["outcome"] == "curves cross"
    assert 2700 < pair["small_samples"] < 3100


@pytest.mark.skipif(not DATA.is_dir(), reason="the published counts are not here")
def test_pythia_on_gsm8k(tmp_path: Path, warmed: Mapping[str, str]) -> None:
    """Coverage with 128 samples, calculated by others from the same file."""
    name = "gsm8k_pass_at_k.parquet"
    mirror = mirrored(tmp_path, f"data/raw_data/large_language_monkeys/{name}", DATA / name)
    outcome = study(tmp_path, str(ROOT / "configs/pythia-gsm8k.yaml"), mirror, warmed=warmed)
    assert outcome.code == 0, outcome.output
    table = coverage(tmp_path, "pythia-gsm8k")
    values = [0.021, 0.070, 0.070, 0.462, 0.542, 0.597, 0.547, 0.563]
    sizes = ["14M", "70M", "160M", "410M", "1.4B", "2.8B", "6.9B", "12B"]
    assert [at(table, f"pythia-{size}", 128)[0] for size in sizes] == pytest.approx(values, abs=1e-3)
    most = table.groupby("policy")["budget"].max()
    assert {size: int(most[f"pythia-{size}"]) for size in sizes} == dict(
        zip(sizes, [10_112, 7_936, 384, 256, 512, 256, 128, 128], strict=True)
    )


@pytest.mark.skipif(not DATA.is_dir(), reason="the published counts are not here")
def test_pretraining_and_samples_of_pythia_on_one_axis(tmp_path: Path, warmed: Mapping[str, str]) -> None:
    """Few problems: a small model, trained for short; many: one that was trained for longer."""
    name = "gsm8k_pass_at_k.parquet"
    mirror = mirrored(tmp_path, f"data/raw_data/large_language_monkeys/{name}", DATA / name)
    target = "results/pythia-gsm8k-pretraining/tables/coverage_pretraining.csv"
    outcome = study(
        tmp_path,
        str(ROOT / "configs/pythia-gsm8k-pretraining.yaml"),
        mirror,
        warmed=warmed,
        options=(target,),
    )
    assert outcome.code == 0, outcome.output
    table = pd.read_csv(tmp_path / target)
    table = table[table["cost_model"] == "wu2024"]
    assert sorted(table["problems"].unique()) == [1e4, 1e7, 1e10]
    half = table[table["coverage"] >= 0.5].groupby("problems").first()
    assert half.loc[1e4, "policy"] == "pythia-70M-6B"
    assert half.loc[1e7, "policy"] == "pythia-160M-60B"
    assert half.loc[1e10, "policy"] == "pythia-410M-200B"
    assert (table["flops"] >= 6 * table["parameters"] * table["tokens"]).all()
