"""A results folder of invented numbers, shaped like a real one, for tests of what is published from it.

The problems and correct solutions are the generator's own; every accuracy, score and cost follows from a
formula below, so the same arguments give the same files. None of it is a measurement.
"""

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from isoflop.publishing import Headline, PublishSpec
from isoflop.stages.common import write_table
from isoflop.tables import CANDIDATES, CURVES_COLUMNS, GRADES, PROBLEMS, SCORES
from isoflop.wordproblems import generate_problems

SIZES = {"policy-0.1M": 112_384, "policy-0.3M": 310_528, "policy-0.9M": 905_472, "policy-2.7M": 2_709_504}
BUDGETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
AGGREGATIONS = ("last", "min")
VERIFIER = "prm"
HOSTILE = '<script>alert("x")</script><img src="http://evil.example/a.png" onerror=alert(1)> & done'
HALF = 0.031
TOKENS = 46.0

FITS_COLUMNS = (
    "experiment", "dataset", "policy", "generator", "verifier", "selector", "step_aggregation", "subset",
    "cost_model", "fit", "parameter", "value", "ci_low", "ci_high", "status", "points", "r_squared", "aicc",
    "note",
)  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """What the folder holds."""

    datasets: tuple[str, ...] = ("wordproblems",)
    policies: tuple[str, ...] = tuple(SIZES)
    with_levels: bool = True
    regression: str = "ok"


def spec(shape: Shape | None = None) -> PublishSpec:
    shape = shape or Shape()
    return PublishSpec(
        experiment="synthetic",
        title="Test data: invented numbers",
        datasets=shape.datasets,
        policies=shape.policies,
        generators=("greedy", "sampling"),
        verifiers=(VERIFIER,),
        headline=Headline(selector="weighted", step_aggregation="min", cost_model="total"),
        config_yaml="experiment: synthetic\ntitle: <b>&amp; not markup</b>\n",
        seed=7,
        code="0" * 16,
    )


def accuracy(dataset: int, policy: str, selector: str, budget: float, level: int | None = None) -> float:
    """Rises from pass@1 to a limit; verifier-based selectors and pass@k have higher limits."""
    size = list(SIZES).index(policy)
    first = (0.17, 0.33, 0.52, 0.70)[size] - 0.12 * dataset
    if selector == "none":
        return first + 0.05
    gain = {"majority": 0.10, "best_of_n": 0.14, "weighted": 0.18, "pass": 0.26}[selector]
    rate = {"majority": 0.16, "best_of_n": 0.5, "weighted": 0.3, "pass": 0.2}[selector]
    top = min(first + gain * (1.25 - 0.2 * size) + 0.02, 0.99)
    value = top - (top - first) * math.exp(-rate * (budget - 1) ** 0.8)
    if level is not None:
        value = value + 0.09 * (3 - level)
    return min(max(value, 0.01), 0.995)


def cost(policy: str, selector: str, budget: int) -> dict[str, float]:
    """FLOPs under the three models, tokens and seconds per problem."""
    params = SIZES[policy]
    generated = TOKENS * budget
    wu = 2.0 * params * generated
    verifier = 2.0 * 900_000 * 110 * budget if selector in {"weighted", "best_of_n"} else 0.0
    return {
        "tokens_per_problem": generated,
        "flops_wu2024": wu,
        "flops_kaplan": wu * 1.21,
        "flops_total": wu * 1.21 + 2.0 * params * 60 + verifier,
        "seconds_per_problem": generated / 20_000,
    }


def curves(shape: Shape) -> pd.DataFrame:
    rows = []
    for place, dataset in enumerate(shape.datasets):
        subsets: list[int | None] = [None, *range(1, 6)] if shape.with_levels else [None]
        for policy in shape.policies:
            for generator, verifier, selector, aggregation in _strategies():
                for subset in subsets:
                    for budget in (1,) if generator == "greedy" else BUDGETS:
                        value = accuracy(place, policy, selector, budget, subset)
                        half = HALF if subset is None else 2 * HALF
                        key = (
                            "synthetic", dataset, policy, SIZES[policy], generator, verifier, selector,
                            aggregation, "all" if subset is None else str(subset), budget,
                            500 if subset is None else 100, value, max(value - half, 0.0),
                            min(value + half, 1.0),
                        )  # fmt: skip
                        rows.append((*key, *cost(policy, selector, budget).values()))
    return pd.DataFrame(rows, columns=list(CURVES_COLUMNS))


def _strategies() -> list[tuple[str, str, str, str]]:
    found = [("greedy", "none", "none", "none"), ("sampling", "none", "majority", "none")]
    found.append(("sampling", "none", "pass", "none"))
    for selector in ("best_of_n", "weighted"):
        found += [("sampling", VERIFIER, selector, aggregation) for aggregation in AGGREGATIONS]
    return found


def fits_and_draws(table: pd.DataFrame, shape: Shape) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fits that follow the invented curves, and the points that figures draw of them."""
    fits: list[tuple[object, ...]] = []
    draws: list[dict[str, object]] = []
    for row, line in table.reset_index(drop=True).iterrows():
        draws.append(
            _draw(
                line, "accuracy", line["budget"], line["accuracy"], line["ci_low"], line["ci_high"], row=row
            )
        )
    keys = ["dataset", "policy", "generator", "verifier", "selector", "step_aggregation", "subset"]
    sampled = table[(table["generator"] == "sampling") & (table["subset"] == "all")]
    for names, line in sampled.groupby(keys, sort=False):
        place = shape.datasets.index(str(names[0]))
        top = accuracy(place, str(names[1]), str(names[4]), 1e6)
        first = line.iloc[0]
        fits.append(_fit(first, "none", "limit", "accuracy", top, HALF))
        draws.append(_draw(first, "limit", None, top, top - HALF, top + HALF))
        status = "undetermined" if names[1] == shape.policies[0] else "ok"
        for parameter, value in (("floor", 1 - top), ("a", 900.0), ("b", 0.42)):
            fits.append(
                _fit(
                    first, "flops_total", "power_law_with_floor", parameter, value, 0.1 * value, status=status
                )
            )
        low, high = float(line["flops_total"].min()), float(line["flops_total"].max())
        for step in range(60):
            x = low * (high / low) ** (step / 59)
            y = (1 - top) + (top - float(first["accuracy"])) * (low / x) ** 0.55
            draws.append(_draw(first, "fit", x, y, None, None, "flops_total", "power_law_with_floor"))
        if names[4] == "pass":
            continue
        fits.append(_fit(first, "samples", "exponential_saturation", "limit", top, HALF))
        fits.append(_fit(first, "samples", "exponential_saturation", "c", 1.18, 0.03))
        fits.append(_fit(first, "samples", "exponential_saturation", "limit_minus_pool", -0.004, 0.01))
        for step in range(60):
            n = 256 ** (step / 59)
            y = top - (top - float(first["accuracy"])) * 1.18 ** -(n - 1)
            draws.append(_draw(first, "fit", n, y, None, None, "samples", "exponential_saturation"))
    for dataset in shape.datasets:
        here = table[table["dataset"] == dataset]
        _pareto(here, draws)
        _optimal(here, shape, fits, draws)
    return pd.DataFrame(fits, columns=list(FITS_COLUMNS)), pd.DataFrame(draws)


def _pareto(table: pd.DataFrame, draws: list[dict[str, object]]) -> None:
    rows = table[(table["selector"] == "weighted") & (table["subset"] == "all")]
    rows = rows[rows["step_aggregation"] == "min"].sort_values("flops_total")
    best = 0.0
    for row, line in rows.iterrows():
        if line["accuracy"] > best:
            best = line["accuracy"]
            draws.append(
                _draw(line, "pareto", line["flops_total"], 1 - best, None, None, "flops_total", row=row)
            )


def _optimal(
    table: pd.DataFrame, shape: Shape, fits: list[tuple[object, ...]], draws: list[dict[str, object]]
) -> None:
    first = table[table["selector"] == "weighted"].query("step_aggregation == 'min'").iloc[0].copy()
    first["policy"] = "all"
    values = {"alpha": 1.31, "beta": 0.4}
    if shape.regression == "too few sizes":
        values = {"alpha": math.nan, "beta": math.nan}
    for parameter, value in values.items():
        fits.append(
            _fit(first, "flops_total", "optimal_size", parameter, value, 0.2, status=shape.regression)
        )
    sizes = [SIZES[policy] for policy in shape.policies]
    for step in range(72):
        x = 2e7 * 10 ** (step / 20)
        index = min(int(step / 72 * len(sizes)), len(sizes) - 1)
        near = index + (1 if step % 18 > 14 and index + 1 < len(sizes) else 0)
        point = _draw(
            first, "optimal_size", x, sizes[index], sizes[index], sizes[near], "flops_total", "optimal_size"
        )
        draws.append({**point, "policy": shape.policies[index]})
    if shape.regression == "ok":
        for x in (2e7, 8e10):
            y = 10 ** ((math.log10(x) - 0.4) / 1.31 - 0.3)
            draws.append(_draw(first, "optimal_size_fit", x, y, None, None, "flops_total", "optimal_size"))


def _fit(  # noqa: PLR0917
    line: pd.Series, x: str, fit: str, parameter: str, value: float, half: float, status: str = "ok"
) -> tuple[object, ...]:
    key = tuple(line[name] for name in FITS_COLUMNS[:8])
    return (*key, x, fit, parameter, value, value - half, value + half, status, 9, 0.98, -61.2, "")


def _draw(  # noqa: PLR0917
    line: pd.Series,
    kind: str,
    x: float | None,
    y: float,
    low: float | None,
    high: float | None,
    cost_model: str = "none",
    fit: str = "none",
    row: int = -1,
) -> dict[str, object]:
    names = ("dataset", "policy", "generator", "verifier", "selector", "step_aggregation", "subset")
    point = {"kind": kind, "row": row, **{name: line[name] for name in names}}
    return point | {
        "cost_model": cost_model,
        "fit": fit,
        "x": x,
        "y": y,
        "low": low,
        "high": high,
        "draws": [],
    }


def differences(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    whole = table[(table["subset"] == "all") & (table["generator"] == "sampling")]
    keys = ["dataset", "policy", "verifier", "selector", "step_aggregation"]
    for (dataset, policy, verifier, selector, aggregation), line in whole.groupby(keys, sort=False):
        name = f"{policy}/sampling/{verifier}/{selector}/{aggregation}"
        gain = float(line["accuracy"].iloc[-1] - line["accuracy"].iloc[0])
        rows.append((dataset, "largest budget - one sample", name, name, BUDGETS[-1], gain))
        if selector == "weighted":
            other = f"{policy}/sampling/none/majority/none"
            majority = whole[(whole["dataset"] == dataset) & (whole["policy"] == policy)]
            majority = majority[majority["selector"] == "majority"]
            pairs = zip(line["budget"], line["accuracy"], majority["accuracy"], strict=True)
            rows += [
                (dataset, "weighted - majority", name, other, budget, float(left - right))
                for budget, left, right in pairs
            ]
    columns = ["dataset", "comparison", "left", "right", "budget", "difference"]
    found = pd.DataFrame(rows, columns=columns)
    found.insert(0, "experiment", "synthetic")
    found.insert(2, "subset", "all")
    return found.assign(ci_low=found["difference"] - 0.018, ci_high=found["difference"] + 0.018)


def write_results(folder: Path, shape: Shape | None = None) -> PublishSpec:
    """Write every input of the publish stage under `folder`; returns the specification."""
    shape = shape or Shape()
    table = curves(shape)
    fits, draws = fits_and_draws(table, shape)
    (folder / "tables").mkdir(parents=True)
    (folder / "fit").mkdir()
    table.to_csv(folder / "tables" / "curves.csv", index=False)
    fits.to_csv(folder / "tables" / "fits.csv", index=False)
    differences(table).to_csv(folder / "tables" / "differences.csv", index=False)
    pq.write_table(pa.Table.from_pandas(draws, preserve_index=False), folder / "fit" / "draws.parquet")
    for dataset in shape.datasets:
        _write_samples(folder, dataset, shape)
    return spec(shape)


def _write_samples(folder: Path, dataset: str, shape: Shape) -> None:
    problems = generate_problems("test", 20, 3)
    columns = {
        "problem_id": [p.problem_id for p in problems],
        "prompt": [p.prompt for p in problems],
        "answer": [p.answer for p in problems],
        "level": [p.level if shape.with_levels else None for p in problems],
        "subject": [None for _ in problems],
        "solution": [p.solution for p in problems],
    }
    write_table(folder / "problems" / f"{dataset}.parquet", columns, PROBLEMS, {})
    for policy in shape.policies:
        rng = random.Random(policy)
        rows = []
        for problem in problems:
            for candidate in range(8):
                steps = problem.solution.splitlines(keepends=True)
                correct = rng.random() < 0.5
                fooled = problem is problems[4] and candidate == 2
                scores = [round(rng.uniform(0.7, 0.99), 3) for _ in steps]
                answer: str | None = problem.answer
                if fooled or not correct:
                    correct = False
                    answer = str(int(problem.answer) + 7)
                    steps = [*steps[:-1], f"The answer is {answer}.\n"]
                    scores = [0.998 if fooled else round(rng.uniform(0.02, 0.6), 3) for _ in steps]
                if problem is problems[1]:
                    steps = [*steps[:-1], HOSTILE + "\n", steps[-1]]
                    scores = [*scores, scores[-1]]
                rows.append((problem.problem_id, candidate, steps, answer, correct, scores))
        base = f"{dataset}/{policy}/sampling"
        ids, numbers = [r[0] for r in rows], [r[1] for r in rows]
        columns = {
            "problem_id": ids,
            "candidate": numbers,
            "steps": [r[2] for r in rows],
            "step_tokens": [[12] * len(r[2]) for r in rows],
            "finish": ["stop"] * len(rows),
            "prompt_tokens": [60] * len(rows),
            "tokens": [12 * len(r[2]) for r in rows],
            "logprob": [-3.5] * len(rows),
        }
        write_table(folder / "sample" / f"{base}.parquet", columns, CANDIDATES, {})
        columns = {
            "problem_id": ids,
            "candidate": numbers,
            "answer": [r[3] for r in rows],
            "answer_class": [0 if r[4] else 1 for r in rows],
            "correct": [r[4] for r in rows],
        }
        write_table(folder / "grade" / f"{base}.parquet", columns, GRADES, {})
        columns = {
            "problem_id": ids,
            "candidate": numbers,
            "step_scores": [r[5] for r in rows],
            "verifier_tokens": [110] * len(rows),
        }
        write_table(folder / "score" / f"{base}" / f"{VERIFIER}.parquet", columns, SCORES, {})
        shape_of = {
            "parameters": SIZES[policy],
            "embedding_parameters": 9000,
            "layers": 4,
            "attention_width": 64,
        }
        machine = {"cpus": 2, "platform": "Linux-x86_64"}
        ledger = {
            "seconds": 12.5,
            "prompt_tokens": 1200,
            "generated_tokens": 1_500_000,
            "model": {"name": policy, **shape_of},
            "machine": machine,
            "started": "2025-01-01T00:00:00+00:00",
        }
        (folder / "sample" / f"{base}.ledger.json").write_text(json.dumps(ledger))
        scored = {k: v for k, v in ledger.items() if k not in {"prompt_tokens", "generated_tokens"}}
        scored |= {"verifier_tokens": 3_200_000, "seconds": 30.0}
        (folder / "score" / base / f"{VERIFIER}.ledger.json").write_text(json.dumps(scored))
