"""The fit stage on synthetic credits: the contract of its tables, their bytes, and its refusals."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from isoflop.errors import UserError
from isoflop.files import read_table, table_metadata, write_table
from isoflop.fits.bootstrap import Resampling, accuracy_interval
from isoflop.fits.curves import CreditsInput, Curve, FitSpec, build_curves
from isoflop.fits.differences import DIFFERENCES_COLUMNS, EQUAL_COMPUTE, GREEDY
from isoflop.fits.draws import DRAWS
from isoflop.fits.evidence_table import parameters, read_evidence
from isoflop.fits.tables import FITS_COLUMNS, fit_all
from isoflop.stages.fit import main
from isoflop.strategy import Strategy
from isoflop.tables import CREDITS, CURVES_COLUMNS, MEASURED

PROBLEMS = 60
BUDGETS = (1, 2, 4, 8, 16, 32, 64)
SIZES = {"small": 100_000, "middle": 300_000, "large": 900_000}
# Odds of a right sample, and the size of its tokens: larger policies are better and more expensive.
SKILL = {"small": -0.5, "middle": 0.4, "large": 1.3}


def credits_frame(policy: str, budgets: tuple[int, ...] = BUDGETS, problems: int = PROBLEMS) -> pd.DataFrame:
    """Credits in which voting approaches each problem's limit exponentially, as Theorem 1 has it."""
    # Common difficulty, so that policies are paired.
    difficulty = np.random.default_rng(5).normal(0, 1.3, problems)
    right = 1 / (1 + np.exp(-(SKILL[policy] + difficulty)))
    gain = {"none": 0.0, "weighted": 0.15, "best_of_n": 0.1, "majority": 0.0}
    strategies = [("none", "majority", "none"), ("none", "pass", "none")]
    strategies += [
        ("prm", selector, aggregation)
        for selector in ("weighted", "best_of_n")
        for aggregation in ("last", "min")
    ]
    frames = []
    for verifier, selector, aggregation in strategies:
        for budget in (*budgets, 0):
            if selector == "pass":
                credit = 1 - (1 - right) ** budget if budget else np.ones(problems)
            else:
                limit = (right + gain[selector] > 0.5).astype(float)
                credit = limit - (limit - right) * (1.15 ** -(budget - 1) if budget else 0.0)
            tokens = 50.0 * budget + np.arange(problems) % 7 if budget else np.zeros(problems)
            flops = 2 * SIZES[policy] * tokens
            frames.append(
                pd.DataFrame(
                    {
                        "problem_id": [f"p{i:03d}" for i in range(problems)],
                        "level": np.arange(problems) % 3 + 1,
                        "verifier": verifier,
                        "selector": selector,
                        "step_aggregation": aggregation,
                        "half": 0,
                        "budget": budget,
                        "credit": credit,
                        "standard_error": 0.0,
                        "limit_low": credit if budget == 0 else None,
                        "limit_high": np.ones(problems) if budget == 0 else None,
                        "tokens": tokens,
                        "flops_wu2024": flops,
                        "flops_kaplan": 1.5 * flops,
                        "flops_total": 2 * flops + 1e6,
                        "seconds": 0.01 * tokens,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def write_credits(path: Path, frame: pd.DataFrame, parameters: int) -> None:
    shape = {"parameters": parameters, "embedding_parameters": 0, "layers": 2, "attention_width": 64}
    columns = {name: frame[name].tolist() for name in CREDITS.names}
    write_table(path, columns, CREDITS, {"policy": shape})


def greedy_frame(policy: str) -> pd.DataFrame:
    """One greedy answer a problem: right where most samples are."""
    frame = credits_frame(policy, (1,))
    frame = frame[(frame["selector"] == "majority") & (frame["budget"] == 1)]
    return frame.assign(selector="none", credit=frame["credit"].round())


def search_frame(policy: str) -> pd.DataFrame:
    """A search at three budgets: as many samples' credits, a little better."""
    frame = credits_frame(policy, (4, 16, 64))
    frame = frame[frame["budget"] > 0]
    return frame.assign(credit=np.minimum(frame["credit"] + 0.05, 1.0))


POOLS = [(policy, generator) for generator in ("greedy", "sampling", "rebase") for policy in SIZES]


def specification(pools: list[tuple[str, str]], draws: int = 200) -> str:
    inputs = [{"dataset": "toy", "policy": policy, "generator": generator} for policy, generator in pools]
    spec = {"experiment": "demo", "inputs": inputs, "searches": ["rebase"], "draws": draws, "seed": 1}
    return json.dumps(spec | {"code": "x"})


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("fit")
    makers = {"greedy": greedy_frame, "sampling": credits_frame, "rebase": search_frame}
    for policy, generator in POOLS:
        write_credits(folder / f"{policy}-{generator}.parquet", makers[generator](policy), SIZES[policy])
    found = {name: folder / file for name, file in OUTPUTS.items()} | {"folder": folder}
    main([specification(POOLS), *inputs_of(folder), *(str(found[name]) for name in OUTPUTS)])
    return found


OUTPUTS = {
    "curves": "curves.csv",
    "fits": "fits.csv",
    "differences": "differences.csv",
    "draws": "d.parquet",
    "credits": "c.parquet",
}


def inputs_of(folder: Path) -> list[str]:
    return [str(folder / f"{policy}-{generator}.parquet") for policy, generator in POOLS]


def test_curves_are_the_mean_credit(outputs: dict[str, Path]) -> None:
    rows = rows_of(outputs["curves"])
    assert tuple(rows[0]) == CURVES_COLUMNS
    # 3 policies, all and 3 levels; 6 strategies at 7 budgets, 6 of a search at 3, greedy; no limit.
    assert len(rows) == 3 * 4 * (6 * 7 + 6 * 3 + 1)
    assert "0" not in {row["budget"] for row in rows}
    frame = credits_frame("middle")
    for subset in ("all", "2"):
        chosen = frame[
            (frame["selector"] == "best_of_n")
            & (frame["step_aggregation"] == "min")
            & (frame["budget"] == 8)
            & ((subset == "all") | (frame["level"].astype(str) == subset))
        ]
        (row,) = [
            row
            for row in rows
            if row["policy"] == "middle"
            and row["generator"] == "sampling"
            and row["selector"] == "best_of_n"
            and row["step_aggregation"] == "min"
            and row["budget"] == "8"
            and row["subset"] == subset
        ]
        assert float(row["accuracy"]) == pytest.approx(chosen["credit"].mean(), abs=5.1e-7)
        assert float(row["ci_low"]) < float(row["accuracy"]) < float(row["ci_high"])
        assert float(row["flops_kaplan"]) == pytest.approx(chosen["flops_kaplan"].mean(), rel=1e-5)
        assert float(row["tokens_per_problem"]) == pytest.approx(chosen["tokens"].mean(), rel=1e-5)
        assert int(row["problems"]) == len(chosen)
        assert int(row["policy_params"]) == SIZES["middle"]


def test_fits_hold_no_nan_and_their_intervals_contain_order(outputs: dict[str, Path]) -> None:
    text = outputs["fits"].read_text()
    assert "nan" not in text.lower()
    assert ",inf" not in text.lower()
    rows = rows_of(outputs["fits"])
    assert tuple(rows[0]) == FITS_COLUMNS
    for row in rows:
        assert row["status"]
        if row["ci_low"]:
            assert float(row["ci_low"]) <= float(row["ci_high"])
    fits = {row["fit"] for row in rows}
    assert fits == {
        "limit", "power_law_with_floor", "power_law", "exponential_in_compute", "exponential_saturation",
        "coverage_power_law", "optimal_size", "optimal_size_or_greedy",
    }  # fmt: skip
    assert {row["parameter"] for row in rows} >= {"backtest"}


def test_the_exponential_approach_is_found_and_meets_the_pool(outputs: dict[str, Path]) -> None:
    rows = [
        row
        for row in rows_of(outputs["fits"])
        if (row["fit"], row["policy"]) == ("exponential_saturation", "small")
        and (row["generator"], row["selector"], row["step_aggregation"]) == ("sampling", "weighted", "last")
    ]
    found = {row["parameter"]: row for row in rows}
    assert float(found["c"]["value"]) == pytest.approx(1.15, rel=1e-4)
    [pool] = [
        row
        for row in rows_of(outputs["fits"])
        if (row["fit"], row["policy"]) == ("limit", "small")
        and (row["generator"], row["selector"], row["step_aggregation"]) == ("sampling", "weighted", "last")
        and row["subset"] == "all"
    ]
    assert float(found["limit"]["value"]) == pytest.approx(float(pool["value"]), abs=1e-5)
    assert float(pool["ci_high"]) == 1.0
    assert pool["status"] == "undetermined"
    assert {row["status"] for row in rows} == {"ok"}


def test_akaike_weights_prefer_the_true_form_and_add_up(outputs: dict[str, Path]) -> None:
    shares = {
        row["fit"]: float(row["value"])
        for row in rows_of(outputs["fits"])
        if (row["parameter"], row["policy"]) == ("akaike_weight", "large")
        and (row["generator"], row["selector"], row["step_aggregation"]) == ("sampling", "weighted", "min")
        and row["cost_model"] == "flops_wu2024"
    }
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)
    assert shares["exponential_in_compute"] > 0.99


def test_differences_are_paired_and_exact(outputs: dict[str, Path]) -> None:
    rows = rows_of(outputs["differences"])
    assert tuple(rows[0]) == DIFFERENCES_COLUMNS
    names = ("policy", "generator", "verifier", "selector", "step_aggregation")
    curves = {
        ("/".join(row[name] for name in names), row["budget"]): float(row["accuracy"])
        for row in rows_of(outputs["curves"])
        if row["subset"] == "all"
    }
    comparisons = {row["comparison"] for row in rows}
    assert comparisons == {
        "strategy - greedy", "strategy - greedy of the next size", "search - sampling, equal budget",
        "search - sampling, equal compute", "weighted - majority", "best_of_n - majority",
        "best_of_n - weighted", "largest budget - one sample", "policy - next smaller policy",
    }  # fmt: skip
    for row in rows:
        assert float(row["ci_low"]) <= float(row["difference"]) <= float(row["ci_high"])
        left = curves[row["left"], row["budget"]]
        if row["comparison"] == EQUAL_COMPUTE:
            assert float(row[f"cost_ratio_{row['cost_model']}"]) == pytest.approx(1.0, abs=1e-5)
            assert row["left"].split("/")[1] == "rebase"
            continue
        right = curves[row["right"], row["right_budget"]]
        assert float(row["difference"]) == pytest.approx(left - right, abs=2e-6)
        assert row["cost_model"] == ""
    single = [row for row in rows if row["comparison"] == GREEDY]
    # Every selector in use of both generators, at every budget, with what it costs.
    assert len(single) == len(SIZES) * 5 * (len(BUDGETS) + 3)
    assert {row["right"].split("/")[1] for row in single} == {"greedy"}
    costs = {
        (row["policy"], row["generator"], row["budget"]): float(row["flops_total"])
        for row in rows_of(outputs["curves"])
        if row["subset"] == "all" and row["selector"] in ("majority", "none")
    }
    for row in single:
        policy, generator = row["left"].split("/")[:2]
        ratio = costs[policy, generator, row["budget"]] / costs[policy, "greedy", "1"]
        assert float(row["cost_ratio_total"]) == pytest.approx(ratio, rel=1e-4)
    following = [row for row in rows if row["comparison"] == "strategy - greedy of the next size"]
    pairs = {(row["left"].split("/")[0], row["right"].split("/")[0]) for row in following}
    assert pairs == {("small", "middle"), ("middle", "large")}
    sizes = [row for row in rows if row["comparison"].startswith("policy")]
    policies = {(row["left"].split("/")[0], row["right"].split("/")[0]) for row in sizes}
    assert policies == {("middle", "small"), ("large", "middle")}


def test_at_equal_compute_sampling_is_read_between_its_budgets(outputs: dict[str, Path]) -> None:
    rows = [row for row in rows_of(outputs["differences"]) if row["comparison"] == EQUAL_COMPUTE]
    [row] = [
        row
        for row in rows
        if row["left"] == "small/rebase/prm/weighted/last"
        and (row["budget"], row["cost_model"]) == ("16", "total")
    ]
    # The search's cost is that of 16 samples here, so its difference is that at an equal number.
    [same] = [
        other
        for other in rows_of(outputs["differences"])
        if other["comparison"] == "search - sampling, equal budget"
        and (other["left"], other["budget"]) == (row["left"], "16")
    ]
    assert float(row["right_budget"]) == pytest.approx(16, rel=1e-3)
    assert float(row["difference"]) == pytest.approx(float(same["difference"]), abs=1e-6)


def test_sizes_are_compared_inside_a_family(outputs: dict[str, Path], tmp_path: Path) -> None:
    spec = json.loads(specification(POOLS)) | {"families": {"small": "a", "middle": "a", "large": "b"}}
    paths = [str(tmp_path / name) for name in OUTPUTS.values()]
    main([json.dumps(spec), *inputs_of(outputs["folder"]), *paths])
    rows = rows_of(Path(paths[1]))
    assert {row["policy"] for row in rows if row["fit"] == "optimal_size"} == {"a"}
    following = [
        row for row in rows_of(Path(paths[2])) if row["comparison"] == "strategy - greedy of the next size"
    ]
    assert {row["left"].split("/")[0] for row in following} == {"small"}


def test_draws_follow_the_document(outputs: dict[str, Path]) -> None:
    curves = rows_of(outputs["curves"])
    draws = read_table(outputs["draws"], DRAWS).to_pandas()
    assert set(draws["kind"]) == {
        "limit", "fit", "residual", "optimal_size", "best_policy", "entry_price", "pareto", "pareto_all",
    }  # fmt: skip
    probability = draws[draws["kind"] == "best_policy"].groupby(
        ["generator", "selector", "verifier", "step_aggregation", "cost_model", "x"]
    )["y"]
    assert np.allclose(probability.sum(), 1.0)
    for kind, fit in (("pareto_all", "none"), ("pareto", "greedy")):
        front = draws[(draws["kind"] == kind) & (draws["cost_model"] == "flops_total")]
        assert fit in set(front["fit"])
        for row in front.itertuples():
            assert 1.0 - float(curves[row.row]["accuracy"]) == pytest.approx(row.y, abs=1e-6)
    front = draws[(draws["kind"] == "pareto_all") & (draws["cost_model"] == "flops_total")].sort_values("x")
    assert "pass" not in set(front["selector"])
    assert (np.diff(front["y"]) <= 0).all()


def test_the_entry_price_of_a_size_is_what_its_least_budget_costs(outputs: dict[str, Path]) -> None:
    draws = read_table(outputs["draws"], DRAWS).to_pandas()
    entries = draws[(draws["kind"] == "entry_price") & (draws["generator"] == "sampling")]
    entries = entries[(entries["selector"] == "majority") & (entries["cost_model"] == "flops_wu2024")]
    costs = {
        row["policy"]: float(row["flops_wu2024"])
        for row in rows_of(outputs["curves"])
        if (row["generator"], row["selector"], row["budget"], row["subset"])
        == ("sampling", "majority", "1", "all")
    }
    assert dict(zip(entries["policy"], entries["x"], strict=True)) == pytest.approx(costs, rel=1e-5)
    assert dict(zip(entries["policy"], entries["y"], strict=True)) == SIZES


def test_evidence_is_what_the_curves_were_made_of(outputs: dict[str, Path]) -> None:
    """Whoever has the credits can compute every accuracy, interval and difference again."""
    table = read_table(outputs["credits"], MEASURED)
    evidence = read_evidence(table, table_metadata(table), "credits.parquet")["toy"]
    assert parameters(table) == SIZES
    assert evidence.weights.shape == (200, PROBLEMS)
    assert evidence.levels is not None
    for row in rows_of(outputs["curves"]):
        if row["subset"] != "all":
            continue
        how = (row[name] for name in ("generator", "selector", "verifier", "step_aggregation"))
        series = evidence.get(row["policy"], Strategy(*how))
        assert series is not None
        credits = series.at_budget(int(row["budget"]))
        assert credits is not None
        low, high = accuracy_interval(credits, evidence.weights)
        for name, value in (("accuracy", credits.mean()), ("ci_low", low), ("ci_high", high)):
            assert float(row[name]) == pytest.approx(value, abs=5.1e-7)


def test_the_limit_of_a_few_samples_is_no_limit(tmp_path: Path) -> None:
    path = tmp_path / "credits.parquet"
    write_credits(path, credits_frame("small", (1, 2, 4, 8)), 10)
    paths = [str(tmp_path / name) for name in OUTPUTS.values()]
    main([specification([("small", "sampling")]), str(path), *paths])
    limits = [row for row in rows_of(Path(paths[1])) if row["fit"] == "limit"]
    assert {row["status"] for row in limits} == {"too few samples"}


def test_the_same_input_gives_the_same_bytes(outputs: dict[str, Path], tmp_path: Path) -> None:
    again = [tmp_path / name for name in OUTPUTS.values()]
    main([specification(POOLS), *inputs_of(outputs["folder"]), *map(str, again)])
    for name, path in zip(OUTPUTS, again, strict=True):
        assert path.read_bytes() == outputs[name].read_bytes()


def test_draws_are_shared_within_a_data_set_and_fixed_by_the_seed() -> None:
    def build(policy: str, seed: int) -> list[Curve]:
        about = CreditsInput(dataset="toy", policy=policy, generator="sampling")
        return build_curves(credits_frame(policy), about, 10, Resampling(50, seed), level=0.9, source="x")

    small, large, other = build("small", 1), build("large", 1), build("small", 2)
    assert np.array_equal(small[0].weights, large[0].weights)
    assert not np.array_equal(small[0].weights, other[0].weights)


def test_a_greedy_curve_has_a_row_but_no_fit(tmp_path: Path) -> None:
    frame = greedy_frame("small")
    about = CreditsInput(dataset="toy", policy="small", generator="greedy")
    curves = build_curves(frame, about, 10, Resampling(50, 1), level=0.9, source="x")
    assert [curve.budgets.tolist() for curve in curves] == [[1]] * 4
    assert fit_all(curves, 0.9, {}).fits == []


def broken(change: str) -> pd.DataFrame:
    frame = credits_frame("middle")
    if change == "missing":
        return frame.drop(index=3)
    if change == "doubled":
        return pd.concat([frame, frame.iloc[[3]]])
    if change == "other problems":
        return frame.assign(problem_id="x" + frame["problem_id"])
    if change == "credit":
        return frame.assign(credit=frame["credit"].where(frame.index != 7, np.nan))
    if change == "cost":
        return frame.assign(flops_total=frame["flops_total"].where(frame.index != 7, -1.0))
    return frame.iloc[:0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", "every problem exactly once"),
        ("doubled", "every problem exactly once"),
        ("other problems", "differ from those of first.parquet"),
        ("credit", "row 7: credit is nan"),
        ("cost", "row 7: flops_total is -1"),
        ("empty", "no rows"),
    ],
)
def test_wrong_credits_are_refused_by_file(change: str, message: str) -> None:
    resampling = Resampling(20, 1)
    first = CreditsInput(dataset="toy", policy="small", generator="sampling")
    build_curves(credits_frame("small"), first, 10, resampling, level=0.9, source="first.parquet")
    about = CreditsInput(dataset="toy", policy="middle", generator="sampling")
    with pytest.raises(UserError, match=f"^second.parquet: .*{message}"):
        build_curves(broken(change), about, 10, resampling, level=0.9, source="second.parquet")


def test_wrong_command_lines_are_refused_without_a_traceback(tmp_path: Path) -> None:
    good = tmp_path / "credits.parquet"
    write_credits(good, credits_frame("small"), 10)
    bare = tmp_path / "bare.parquet"
    pq.write_table(pq.read_table(good).replace_schema_metadata({}), bare)
    out = [str(tmp_path / name) for name in ("a", "b", "c", "d", "e")]
    cases = [
        (["{}", str(good), *out], "experiment: this key is missing"),
        (
            [specification([("small", "sampling"), ("large", "sampling")]), str(good), *out],
            "names 2 credits tables, 1 are given",
        ),
        ([specification([("small", "sampling")]), str(bare), *out], "no valid shape of the policy"),
        ([specification([("small", "sampling")])], "usage:"),
    ]
    for arguments, message in cases:
        with pytest.raises(UserError, match=message):
            main(arguments)
    run = subprocess.run(
        [sys.executable, "-m", "isoflop.stages.fit", "{}", str(good), *out],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr.startswith("error: fit specification: experiment")
    assert not any(Path(path).exists() for path in out)


def test_the_stage_imports_no_torch() -> None:
    code = "import sys, isoflop.stages.fit; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_specification_names_no_input_twice() -> None:
    with pytest.raises(ValueError, match="named twice"):
        FitSpec.model_validate_json(specification([("small", "sampling")] * 2))
