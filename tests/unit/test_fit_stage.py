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

from isoflop.curves import CreditsInput, Curve, FitSpec, Resampling, build_curves
from isoflop.errors import UserError
from isoflop.fit_draws import DRAWS
from isoflop.differences import DIFFERENCES_COLUMNS
from isoflop.fit_tables import FITS_COLUMNS, fit_all
from isoflop.stages.common import read_table, write_table
from isoflop.stages.fit import main
from isoflop.tables import CREDITS, CURVES_COLUMNS

PROBLEMS = 60
BUDGETS = (1, 2, 4, 8, 16, 32, 64)
SIZES = {"small": 100_000, "middle": 300_000, "large": 900_000}
# Odds of a right sample, and the size of its tokens: larger policies are better and dearer.
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


def specification(policies: list[str], draws: int = 200) -> str:
    inputs = [{"dataset": "toy", "policy": policy, "generator": "sampling"} for policy in policies]
    return json.dumps({"experiment": "demo", "inputs": inputs, "draws": draws, "seed": 1, "code": "x"})


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("fit")
    inputs = []
    for policy, parameters in SIZES.items():
        inputs.append(folder / f"{policy}.parquet")
        write_credits(inputs[-1], credits_frame(policy), parameters)
    names = {
        "curves": "curves.csv",
        "fits": "fits.csv",
        "differences": "differences.csv",
        "draws": "d.parquet",
    }
    found = {name: folder / file for name, file in names.items()} | {"folder": folder}
    main([specification(list(SIZES)), *map(str, inputs), *(str(found[name]) for name in names)])
    return found


def test_curves_are_the_mean_credit(outputs: dict[str, Path]) -> None:
    rows = rows_of(outputs["curves"])
    assert tuple(rows[0]) == CURVES_COLUMNS
    # 3 policies, 6 strategies, all and 3 levels, 7 budgets; the limit is no budget.
    assert len(rows) == 3 * 6 * 4 * 7
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
        "coverage_power_law", "optimal_size",
    }  # fmt: skip


def test_the_exponential_approach_is_found_and_meets_the_pool(outputs: dict[str, Path]) -> None:
    rows = [
        row
        for row in rows_of(outputs["fits"])
        if (row["fit"], row["policy"]) == ("exponential_saturation", "small")
        and (row["selector"], row["step_aggregation"]) == ("weighted", "last")
    ]
    found = {row["parameter"]: row for row in rows}
    assert float(found["c"]["value"]) == pytest.approx(1.15, rel=1e-4)
    [pool] = [
        row
        for row in rows_of(outputs["fits"])
        if (row["fit"], row["policy"]) == ("limit", "small")
        and (row["selector"], row["step_aggregation"]) == ("weighted", "last")
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
        and (row["selector"], row["step_aggregation"]) == ("weighted", "min")
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
        "weighted - majority", "best_of_n - majority", "best_of_n - weighted", "largest budget - one sample",
        "policy - next smaller policy",
    }  # fmt: skip
    for row in rows:
        right_budget = "1" if row["comparison"] == "largest budget - one sample" else row["budget"]
        expected = curves[row["left"], row["budget"]] - curves[row["right"], right_budget]
        assert float(row["difference"]) == pytest.approx(expected, abs=2e-6)
        assert float(row["ci_low"]) <= float(row["difference"]) <= float(row["ci_high"])
    policies = [
        (r["left"].split("/")[0], r["right"].split("/")[0])
        for r in rows
        if r["comparison"].startswith("policy")
    ]
    assert policies == [("middle", "small"), ("large", "middle")]


def test_draws_follow_the_curves_and_the_document(outputs: dict[str, Path]) -> None:
    curves = rows_of(outputs["curves"])
    draws = read_table(outputs["draws"], DRAWS).to_pandas()
    head = draws.iloc[: len(curves)]
    assert set(head["kind"]) == {"accuracy"}
    assert head["row"].tolist() == list(range(len(curves)))
    assert np.allclose(head["y"], [float(row["accuracy"]) for row in curves], atol=1e-6)
    assert head["draws"].map(len).eq(200).all()
    assert set(draws["kind"]) == {
        "accuracy", "limit", "fit", "residual", "optimal_size", "optimal_size_fit", "best_policy", "pareto",
        "pareto_all",
    }  # fmt: skip
    probability = draws[draws["kind"] == "best_policy"].groupby(
        ["selector", "verifier", "step_aggregation", "cost_model", "x"]
    )["y"]
    assert np.allclose(probability.sum(), 1.0)
    front = draws[(draws["kind"] == "pareto_all") & (draws["cost_model"] == "flops_total")]
    assert "pass" not in set(front["selector"])
    front = front.sort_values("x")
    assert (np.diff(front["y"]) <= 0).all()
    for row in front.itertuples():
        assert 1.0 - float(curves[row.row]["accuracy"]) == pytest.approx(row.y, abs=1e-6)


def test_the_same_input_gives_the_same_bytes(outputs: dict[str, Path], tmp_path: Path) -> None:
    folder = outputs["folder"]
    inputs = [str(folder / f"{policy}.parquet") for policy in SIZES]
    again = [tmp_path / name for name in ("curves.csv", "fits.csv", "differences.csv", "draws.parquet")]
    main([specification(list(SIZES)), *inputs, *map(str, again)])
    for name, path in zip(("curves", "fits", "differences", "draws"), again, strict=True):
        assert path.read_bytes() == outputs[name].read_bytes()


def test_draws_are_shared_within_a_data_set_and_fixed_by_the_seed() -> None:
    def build(policy: str, seed: int) -> list[Curve]:
        about = CreditsInput(dataset="toy", policy=policy, generator="sampling")
        return build_curves(credits_frame(policy), about, 10, Resampling(50, seed), level=0.9, source="x")

    small, large, other = build("small", 1), build("large", 1), build("small", 2)
    assert np.array_equal(small[0].weights, large[0].weights)
    assert not np.array_equal(small[0].weights, other[0].weights)


def test_a_greedy_curve_has_a_row_but_no_fit(tmp_path: Path) -> None:
    frame = credits_frame("small", (1,))
    frame = frame[(frame["selector"] == "majority") & (frame["budget"] == 1)].assign(selector="none")
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
    out = [str(tmp_path / name) for name in ("a", "b", "c", "d")]
    cases = [
        (["{}", str(good), *out], "experiment: this key is missing"),
        ([specification(["small", "large"]), str(good), *out], "names 2 credits tables, 1 are given"),
        ([specification(["small"]), str(bare), *out], "no valid shape of the policy"),
        ([specification(["small"])], "usage:"),
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
        FitSpec.model_validate_json(specification(["small", "small"]))
