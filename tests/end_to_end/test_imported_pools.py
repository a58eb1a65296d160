"""A study of foreign files from the config to the report: nested rows of two models in one file, of which one
has fewer solutions and problems, two verifiers, an empty solution, and a published beam search with two runs.
"""

import json
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from direct_runs import run_study

from isoflop.config.loading import build_config
from isoflop.errors import UserError

SIZE = {"parameters": 8_000_000, "layers": 4, "attention_width": 64}
SUMS = [(number, number + 3) for number in range(11, 31)]
SAMPLES = {"big": 18, "small": 3}
RUNS, BUDGETS = (0, 1), (2, 4)


def write_files(folder: Path) -> dict[tuple[str, int], list[bool]]:
    """The files, and which solutions are right, by model and sum."""
    chance = random.Random(1)
    question = "What is {} + {}?"
    (folder / "sums.jsonl").write_text(
        "".join(
            json.dumps({"id": f"s{a}", "question": question.format(a, b), "answer": a + b}) + "\n"
            for a, b in SUMS
        )
    )
    right: dict[tuple[str, int], list[bool]] = {}
    rows = []
    for a, b in SUMS:
        for model, count in SAMPLES.items():
            if (model, a) == ("small", 12):
                continue
            own = [chance.random() < (0.7 if model == "big" else 0.4) for _ in range(count)]
            own[1] &= a != 13
            texts = [
                f"Add {a} and {b}, try {k}. The answer is {a + b + (not ok)}." for k, ok in enumerate(own)
            ]
            rows.append(
                {
                    "q": question.format(a, b),
                    "gold": a + b,
                    "model": {"name": model},
                    "samples": [
                        {"text": "" if (k, a) == (1, 13) else text, "n": 20} for k, text in enumerate(texts)
                    ],
                    "prm": [0.5 + 0.4 * ok for ok in own],
                    "orm": [3.0 * ok - 1 for ok in own],
                }
            )
            right[model, a] = own
    (folder / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for budget in BUDGETS:
        for run in RUNS:
            found = []
            for a, b in SUMS:
                own = [chance.random() < 0.6 for _ in range(budget)]
                right[f"beam {budget} {run}", a] = own
                found.append(
                    {
                        "problem": question.format(a, b),
                        "answer": str(a + b),
                        "unique_id": f"s{a}",
                        "completions": [f"Add.\n\nThe answer is {a + b + (not ok)}." for ok in own],
                        "scores": [[0.5, 0.5 + 0.1 * k] for k in range(budget)],
                        "completion_tokens": [12] * budget,
                    }
                )
            (folder / f"beam_{budget}_{run}.jsonl").write_text(
                "".join(json.dumps(row) + "\n" for row in found)
            )
    return right


def study(**rest: Any) -> dict[str, Any]:
    common = {"kind": "import", "dataset": "sums", "characters_per_token": 4.0}
    return {
        "experiment": "pools",
        "seed": 1,
        "datasets": {
            "sums": {
                "source": "file",
                "path": "sums.jsonl",
                "fields": {"prompt": "question", "answer": "answer", "id": "id"},
                "grader": "number",
            }
        },
        "policies": {"small": {"size": SIZE | {"parameters": 1_000_000}}, "big": {"size": SIZE}},
        "verifiers": {
            "prm": {"kind": "imported", "size": SIZE},
            "orm": {"kind": "imported", "size": SIZE, "scale": "unbounded", "outcome": True},
        },
        "generators": {
            "runs": common
            | {
                "format": "table",
                "columns": {
                    "problem": "q", "reference": "gold", "text": "samples.*.text", "tokens": "samples.*.n",
                },
                "verifiers": {"prm": "prm", "orm": "orm"},
                "at_most": {"small": 3},
                "sources": [
                    {"policy": name, "where": {"model.name": name}, "files": [{"path": "many.jsonl"}]}
                    for name in SAMPLES
                ],
            },
            "beam": common
            | {
                "format": "search-and-learn",
                "verifier": "prm",
                "budgets": list(BUDGETS),
                "sources": [
                    {
                        "policy": "big",
                        "files": [
                            {"path": f"beam_{budget}_{run}.jsonl", "budget": budget, "run": run}
                            for budget in BUDGETS
                            for run in RUNS
                        ],
                    }
                ],
            },
        },
        "budgets": [1, 2, 18],
        "selectors": ["majority", "best_of_n", "pass"],
        "step_aggregations": ["last"],
        "headline": {"selector": "best_of_n"},
        "bootstrap": {"draws": 100},
    } | rest  # fmt: skip


def test_foreign_files_from_the_config_to_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="`problems: common` in the config takes those that all have"):
        run_study(build_config(study(), "c", Path()))
    results = run_study(build_config(study(problems="common"), "c", Path()))
    curves = pd.read_csv(results / "tables" / "curves.csv", keep_default_na=False)
    assert set(curves["problems"]) == {19}

    def accuracy(policy: str, generator: str, selector: str, budget: int, verifier: str = "none") -> float:
        chosen = curves.query(
            "policy == @policy and generator == @generator and selector == @selector and budget == @budget "
            "and verifier == @verifier"
        )
        return float(chosen["accuracy"].iloc[0])

    sums = [a for a, _ in SUMS if a != 12]
    for model, count in SAMPLES.items():
        shares = [sum(right[model, a]) / count for a in sums]
        assert accuracy(model, "runs", "pass", 1) == pytest.approx(sum(shares) / len(sums), abs=1e-6)
    # Both verifiers know what is right: the best of all is right where any is.
    for verifier in ("prm", "orm"):
        best = [any(right["big", a]) for a in sums]
        assert accuracy("big", "runs", "best_of_n", 18, verifier) == pytest.approx(
            sum(best) / len(sums), abs=1e-6
        )
    budgets = curves.groupby(["policy", "generator"])["budget"].agg(lambda own: sorted(set(own)))
    assert budgets.to_dict() == {
        ("big", "beam"): [2, 4],
        ("big", "runs"): [1, 2, 18],
        ("small", "runs"): [1, 2],
    }
    for budget in BUDGETS:
        found = [any(right[f"beam {budget} {run}", a]) for a in sums for run in RUNS]
        assert accuracy("big", "beam", "pass", budget) == pytest.approx(sum(found) / len(found), abs=1e-6)
        # The beam's verifier scores the last solution highest.
        last = [right[f"beam {budget} {run}", a][-1] for a in sums for run in RUNS]
        assert accuracy("big", "beam", "best_of_n", budget, "prm") == pytest.approx(
            sum(last) / len(last), abs=1e-6
        )
    beam = curves[curves["generator"] == "beam"]
    assert set(beam["tokens_per_problem"]) == {24, 48}
    assert beam["tokens_estimated"].astype(bool).all()
    differences = pd.read_csv(results / "tables" / "differences.csv", keep_default_na=False)
    searched = differences[differences["comparison"].str.startswith("search")]
    assert set(searched["comparison"]) == {"search - sampling, equal budget"}
    headline = (results / "tables" / "headline.md").read_text()
    said = "Accuracies are over the 19 problems that all pools have. By pool: small (runs) 19, big (runs) 20"
    assert said in headline
    report = (results / "report.html").read_text()
    for note in (
        "sums/small/runs: 1 of 20 problems were left out",
        "sums/big/runs: 1 solution is empty, which counts as wrong.",
        "sums/big/runs: 20 of 39 rows were kept (where).",
        "sums/big/beam: Costs are those of the solutions that were published: less than the search took.",
    ):
        assert note in report
    assert "replay: 20 of 39 rows were kept (where)." in capsys.readouterr().err
