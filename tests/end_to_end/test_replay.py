"""Published solutions as a study: a small one of our own, and the two shipped replays on the real files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from snakemake_runs import ROOT, study

DATA = ROOT.parent / "shared" / "data"
SIZE = {"parameters": 8_000_000, "layers": 4, "attention_width": 64}


def small_study(folder: Path) -> str:
    """Eight sums, four solutions each; the first half of them is right, and scored higher."""
    sums = [(number, number + 3) for number in range(11, 19)]
    (folder / "sums.jsonl").write_text(
        "".join(
            json.dumps({"id": f"s{a}", "question": f"What is {a} + {b}?", "answer": a + b}) + "\n"
            for a, b in sums
        )
    )
    rows = [
        {
            "problem_id": f"s{a}",
            "steps": [f"Add {a} and {b}, try {number}.\n", f"The answer is {a + b + wrong}."],
            "step_scores": [0.75, 0.5 - 0.4 * bool(wrong)],
        }
        for a, b in sums
        for number, wrong in enumerate([0, 0, 1, 2] if a % 2 else [0, 1, 1, 2])
    ]
    (folder / "runs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    # A smaller model, right once in four at best.
    worse = [
        row | {"steps": [row["steps"][0], "The answer is 7."]} if n % 4 else row for n, row in enumerate(rows)
    ]
    (folder / "worse.jsonl").write_text("".join(json.dumps(row) + "\n" for row in worse))
    config: dict[str, Any] = {
        "experiment": "small",
        "seed": 1,
        "datasets": {
            "sums": {
                "source": "file",
                "path": "sums.jsonl",
                "fields": {"prompt": "question", "answer": "answer", "id": "id"},
                "grader": "number",
            }
        },
        "policies": {"less": {"size": SIZE | {"parameters": 1_000_000}}, "theirs": {"size": SIZE}},
        "verifiers": {"judge": {"kind": "imported", "size": SIZE, "assumed": True}},
        "generators": {
            "runs": {
                "kind": "import",
                "format": "table",
                "dataset": "sums",
                "verifier": "judge",
                "characters_per_token": 4.0,
                "at_least": 4,
                "sources": [
                    {"policy": "theirs", "files": [{"path": "runs*.jsonl"}]},
                    {"policy": "less", "files": [{"path": "worse.jsonl"}]},
                ],
            }
        },
        "budgets": [1, 2, 4],
        "selectors": ["majority", "weighted", "best_of_n", "pass"],
        "step_aggregations": ["last"],
        "headline": {"selector": "weighted"},
        "bootstrap": {"draws": 200},
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return str(folder / "small.yaml")


def hosted_study(folder: Path) -> str:
    """The same, the smaller model and the judge hosted: prices of all, and sizes of some."""
    config = yaml.safe_load(Path(small_study(folder)).read_text())
    policies = config["policies"]
    policies["less"] = {"hosted": True, "prices": {"input": 0.25, "cached": 0.025, "output": 2.0}}
    policies["theirs"]["prices"] = {"input": 1.0, "output": 4.0}
    config["verifiers"]["judge"] = {
        "kind": "imported", "hosted": True, "prices": {"input": 0.1, "output": 0.1}
    }  # fmt: skip
    config |= {"experiment": "hosted", "costs": ["total", "tokens", "dollars"]}
    config["headline"]["cost_model"] = "dollars"
    (folder / "hosted.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return str(folder / "hosted.yaml")


def programs_study(folder: Path) -> str:
    """Two tasks, four programs each: two that are right, one that is wrong and one that never ends."""
    tasks = {"double": (2, ["2 * x", "x + x", "x"]), "triple": (3, ["3 * x", "x + x + x", "x"])}
    problems = [
        {"id": name, "text": name, "tests": [f"assert {name}({n}) == {n * factor}" for n in (1, 5)]}
        for name, (factor, _) in tasks.items()
    ]
    (folder / "tasks.jsonl").write_text("".join(json.dumps(one) + "\n" for one in problems))
    rows = [
        {"problem_id": name, "text": f"```python\ndef {name}(x):\n    {body}\n```"}
        for name, (_, results) in tasks.items()
        for body in [*(f"return {result}" for result in results), "while True: pass"]
    ]
    (folder / "programs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config: dict[str, Any] = {
        "experiment": "programs",
        "seed": 1,
        "datasets": {
            "tasks": {
                "source": "file",
                "path": "tasks.jsonl",
                "fields": {"prompt": "text", "tests": ["tests"], "id": "id"},
                "grader": "code",
            }
        },
        "policies": {"theirs": {"size": SIZE}},
        "generators": {
            "runs": {
                "kind": "import",
                "format": "table",
                "dataset": "tasks",
                "characters_per_token": 4.0,
                "at_least": 4,
                "sources": [{"policy": "theirs", "files": [{"path": "programs.jsonl"}]}],
            }
        },
        "budgets": [1, 2, 4],
        "selectors": ["majority", "pass"],
        "headline": {"selector": "majority"},
        "bootstrap": {"draws": 200},
        "engine_settings": {"allow_unsandboxed": True},
    }
    (folder / "programs.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return str(folder / "programs.yaml")


def curves(folder: Path, experiment: str) -> pd.DataFrame:
    table = pd.read_csv(folder / "results" / experiment / "tables" / "curves.csv", keep_default_na=False)
    return table[table["subset"] == "all"]


def accuracies(table: pd.DataFrame, selector: str, aggregation: str) -> list[float]:
    chosen = table[(table["selector"] == selector) & (table["step_aggregation"] == aggregation)]
    return [float(value) for value in chosen.sort_values("budget")["accuracy"]]


def test_models_of_unknown_size_are_studied_in_dollars(tmp_path: Path, warmed: Mapping[str, str]) -> None:
    outcome = study(tmp_path, hosted_study(tmp_path), warmed=warmed)
    assert outcome.code == 0, outcome.output
    tables = tmp_path / "results" / "hosted" / "tables"
    both = curves(tmp_path, "hosted").set_index(["policy", "selector", "budget"])
    hosted, sized = both.loc["less"], both.loc["theirs"]
    assert set(hosted["policy_params"]) == set(hosted["flops_wu2024"]) == set(hosted["flops_total"]) == {""}
    # Of the other model FLOPs are known where the judge of unknown size has no part.
    assert sized.loc["majority", "flops_total"].ne("").all()
    assert set(sized.loc["weighted", "flops_total"]) == {""}
    # A prompt of 4 tokens ("What is 11 + 14?"), answers of 10, and what the judge reads: 14.
    paid = hosted["dollars"].astype(float) * 1e6
    assert paid.loc["majority", 1] == pytest.approx(0.25 * 4 + 2 * 10)
    assert paid.loc["majority", 4] == pytest.approx(0.25 * 4 + 3 * 0.025 * 4 + 4 * 2 * 10)
    assert paid.loc["weighted", 4] == pytest.approx(paid.loc["majority", 4] + 4 * 0.1 * 14)
    fits = pd.read_csv(tables / "fits.csv", keep_default_na=False)
    unknown = fits[fits["status"] == "unknown cost"]
    assert set(unknown["note"]) == {
        f"flops_{name} needs the sizes of all models" for name in ("wu2024", "kaplan", "total")
    }
    assert set(fits.loc[fits["status"] == "unknown size", "note"]) == {"the size of less is not known"}
    assert {"dollars", "tokens_per_problem"} <= set(fits["cost_model"])
    claims = pd.read_csv(tables / "claims.csv", keep_default_na=False)
    assert set(claims["cost_model"]) == {"total", "tokens", "dollars", "any"}
    # The judge gives right solutions of one model, three of eight, 0.5 and wrong ones 0.1.
    told = pd.read_csv(tables / "verifiers.csv").set_index("policy")
    assert told.loc["theirs", ["auc", "auc_within", "calibration_error"]].tolist() == [1.0, 1.0, 0.25]
    assert told.loc["less", "auc"] < 1.0
    assert "How well the verifiers tell right from wrong" in (tables.parent / "report.html").read_text()
    report = (tables.parent / "report.html").read_text()
    assert "US dollars" in report
    assert "times the US dollars" in (tables / "headline.md").read_text()


def test_ones_own_solutions_become_a_report(tmp_path: Path, warmed: Mapping[str, str]) -> None:
    config = small_study(tmp_path)
    outcome = study(tmp_path, config, warmed=warmed)
    assert outcome.code == 0, outcome.output
    both = curves(tmp_path, "small")
    smaller, table = (both[both["policy"] == name] for name in ("less", "theirs"))
    assert accuracies(smaller, "pass", "none") == pytest.approx([0.25, 0.5, 1.0])
    assert set(smaller["policy_params"]) == {1_000_000}
    # Right: 2 of 4 for half of the problems, 1 of 4 for the other half; the right ones score highest.
    assert accuracies(table, "majority", "none")[0] == pytest.approx(0.375)
    assert accuracies(table, "best_of_n", "last")[-1] == 1.0
    assert set(table["tokens_estimated"]) == {"True"} or set(table["tokens_estimated"]) == {True}
    assert "seconds_per_problem" not in table
    results = tmp_path / "results" / "small"
    seconds = pd.read_csv(results / "times" / "seconds.csv", keep_default_na=False)
    assert set(seconds["seconds_per_problem"]) == {""}
    report = (results / "report.html").read_text(encoding="utf-8")
    assert "tokens estimated" in report
    assert "That imported scores are those of judge is assumed: the files do not say" in report
    assert (results / "figures" / "optimal_size.png").exists()
    assert "estimated" in (results / "tables" / "table4.md").read_text()
    assert "Nothing to be done" in study(tmp_path, config, warmed=warmed).output
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('{"problem_id": "s11", "text": "The answer is 25.", "step_scores": [2.0]}\n')
    broken = study(tmp_path, config, warmed=warmed)
    assert broken.code != 0
    assert "runs.jsonl, line 33: the score 2 is no probability" in broken.output


def test_programs_are_run_and_vote_by_what_they_do(tmp_path: Path, warmed: Mapping[str, str]) -> None:
    outcome = study(tmp_path, programs_study(tmp_path), warmed=warmed)
    assert outcome.code == 0, outcome.output
    table = curves(tmp_path, "programs")
    # Of 4: 2 right and alike, 2 wrong and unlike. A pair holds a right one in 5 of 6 cases.
    assert accuracies(table, "pass", "none") == pytest.approx([1 / 2, 5 / 6, 1.0])
    assert accuracies(table, "majority", "none") == pytest.approx([1 / 2, (1 + 4 / 2) / 6, 1.0])
    log = tmp_path / "logs/programs/grade/tasks/theirs/runs.log"
    assert "8 candidates, 8 answered, 4 correct, 2 comparisons undecided" in log.read_text()


def mirrored(folder: Path, files: dict[str, Path]) -> str:
    """A config that sets a mirror holding `files` by their paths in it."""
    for name, path in files.items():
        target = folder / "mirror" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    (folder / "mirror.yaml").write_text(f"mirror: {folder / 'mirror'}\n")
    return str(folder / "mirror.yaml")


@pytest.mark.skipif(not DATA.is_dir(), reason="the published solutions are not here")
def test_the_hundred_qwen_problems(tmp_path: Path, warmed: Mapping[str, str]) -> None:
    """Its verdicts: pass@1, 2, 4, 8 of .91, .9329, .951, .96. They call one 10{,}000, all 4:30 p.m. wrong."""
    name = "QwenLM/Qwen2.5-Math/evaluation/data/eval_rm_maj_example/math_cot_100.jsonl"
    mirror = mirrored(tmp_path, {name: DATA / "qwen2-math-rm" / "math_cot_100.jsonl"})
    outcome = study(tmp_path, str(ROOT / "configs/replay-qwen2-math-100.yaml"), mirror, warmed=warmed)
    assert outcome.code == 0, outcome.output
    table = curves(tmp_path, "replay-qwen2-math-100")
    assert not (tmp_path / "results/replay-qwen2-math-100/figures/optimal_size.png").exists()
    more = [1 / 8, 2 / 8, 4 / 8, 1.0]
    theirs = [0.91, 0.93286, 0.951, 0.96]
    expected = [value + (share + 1) / 100 for value, share in zip(theirs, more, strict=True)]
    assert accuracies(table, "pass", "none") == pytest.approx(expected, abs=1e-3)
    assert accuracies(table, "best_of_n", "last")[-1] == pytest.approx(0.94 + 0.02)


@pytest.mark.skipif(not DATA.is_dir(), reason="the published solutions are not here")
def test_llama_on_math_500(tmp_path: Path, warmed: Mapping[str, str]) -> None:
    folders = {
        "data_clean_beam_search_": "data_clean/beam_search/",
        "data_iclr_beam_search_": "data_iclr/beam_search/",
    }
    folders["data_iclr_best_of_n_"] = "data_iclr/best_of_n/"
    files = {
        "mert-cemri/search-and-learn/" + path.name.replace(prefix, folder): path
        for path in (DATA / "llama-8b-math500").iterdir()
        for prefix, folder in folders.items()
        if path.name.startswith(prefix)
    }
    assert len(files) == 9
    config = str(ROOT / "configs/replay-llama8b-math500.yaml")
    target = "results/replay-llama8b-math500/tables/curves.csv"
    outcome = study(tmp_path, config, mirrored(tmp_path, files), warmed=warmed, options=(target,))
    assert outcome.code == 0, outcome.output
    table = curves(tmp_path, "replay-llama8b-math500")
    assert set(table["problems"]) == {499}
    assert accuracies(table, "majority", "none") == pytest.approx(
        [0.418, 0.431, 0.500, 0.558, 0.600], abs=2e-3
    )
    log = tmp_path / "logs/replay-llama8b-math500/replay/math500/llama-3.1-8b/published.log"
    assert "9374 solutions to 499 problems, 118 repetitions dropped, 1 problems left out" in log.read_text()
