"""Every recipe of docs/how-to/replay-published-samples.md: its file is read by its config as it says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from isoflop.config.loading import build_config
from isoflop.files import read_table, write_table
from isoflop.pipeline.plan import Plan
from isoflop.stages import replay
from isoflop.tables import CANDIDATES, PROBLEMS

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "replay-published-samples.md"
RECIPE = re.compile(
    r"^### (.+?)\n\n```json (\S+)\n(.+?)```\n\n```yaml\n(.+?)# (\d+) solutions?\n```", re.M | re.S
)
RECIPES = RECIPE.findall(PAGE.read_text(encoding="utf-8"))
SIZE = {"parameters": 8000, "layers": 2, "attention_width": 16}


def study(entry: dict[str, Any]) -> dict[str, Any]:
    """The page's study with what a recipe changes of it; a verifier only where the recipe has one."""
    runs: dict[str, Any] = {
        "kind": "import",
        "format": "table",
        "dataset": "sums",
        "characters_per_token": 3.5,
        "sources": [{"policy": "my-model", "files": [{"path": "runs.jsonl"}]}],
    } | entry
    used = [runs["verifier"]] if "verifier" in runs else [*runs.get("verifiers", ())]
    return {
        "experiment": "e",
        "seed": 1,
        "datasets": {
            "sums": {
                "source": "file",
                "path": "sums.jsonl",
                "fields": {"prompt": "q", "answer": "a"},
                "grader": "number",
            }
        },
        "policies": {"my-model": {"size": SIZE}},
        "verifiers": {
            name: {"kind": "imported", "size": SIZE}
            | ({"outcome": True, "scale": "unbounded"} if name == "my-orm" else {})
            for name in used
        },
        "generators": {"runs": runs},
        "budgets": [] if "budgets" in runs else [1, 2] if "at_most" in runs else [1],
        "selectors": ["majority"],
        "step_aggregations": ["last"],
        "headline": {"selector": "majority"},
    }


@pytest.mark.parametrize(("title", "name", "rows", "text", "count"), RECIPES, ids=[one[0] for one in RECIPES])
def test_a_recipe_reads_its_file(
    title: str, name: str, rows: str, text: str, count: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sums.jsonl").write_text("")
    Path(name).write_text(rows)
    columns: dict[str, list[object]] = {
        "problem_id": ["p1", "p2"], "prompt": ["What is 2 + 3?", "What is 4 + 4?"], "answer": ["5", "8"],
        "level": [None] * 2, "subject": [None] * 2, "solution": [None] * 2,
    }  # fmt: skip
    write_table(Path("problems.parquet"), columns, PROBLEMS, {})
    plan = Plan(build_config(study(yaml.safe_load(text)), title, Path()))
    outputs = ["out.parquet", "out.json"]
    outputs += [f"{one}.{kind}" for one in plan.pools.verifiers("runs") for kind in ("parquet", "json")]
    replay.main([plan.replay("my-model", "runs"), "problems.parquet", *outputs])
    found = read_table(Path("out.parquet"), CANDIDATES).to_pylist()
    assert len(found) == int(count)
    first = "".join(found[0]["steps"])
    assert first.rstrip().endswith(("It is 5.", "\\boxed{5}."))
    # Where the file has a number of tokens, it is the one that is used.
    told = [int(one) for one in re.findall(r'"(?:tokens|out|output_tokens)": (\d+)', rows)]
    assert found[0]["tokens"] in (told or [found[0]["tokens"]])


def test_the_page_has_recipes() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(RECIPES) == page.count("```json ") >= 10
    for _, _, rows, _, _ in RECIPES:
        assert all(json.loads(line) for line in rows.splitlines())
