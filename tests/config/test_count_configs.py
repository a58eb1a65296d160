"""Configs of studies of counts: what goes with them, and what does not."""

import copy
from pathlib import Path
from typing import Any

import pytest

from isoflop.config.loading import build_config
from isoflop.errors import UserError
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_report import ReportPlan

SIZE = {"parameters": 1000, "layers": 1, "attention_width": 8}
GOOD: dict[str, Any] = {
    "experiment": "counted",
    "seed": 1,
    "datasets": {"d": {"source": "counted"}},
    "policies": {"p": {"size": SIZE}},
    "generators": {
        "samples": {
            "kind": "import",
            "format": "counts",
            "dataset": "d",
            "tokens_per_sample": 100,
            "sources": [{"policy": "p", "files": [{"path": "counts.csv"}], "where": {"model": ["p"]}}],
        }
    },
    "budgets": [1, 2, 100],
    "selectors": ["pass"],
    "headline": {"selector": "pass"},
}


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    content = copy.deepcopy(GOOD)
    for place, value in changes.items():
        *path, last = place.split(".")
        inner = content
        for key in path:
            inner = inner[key]
        if value is None:
            del inner[last]
        else:
            inner[last] = value
    return content


def build(tmp_path: Path, changes: dict[str, Any]) -> Any:
    (tmp_path / "counts.csv").write_text("model,problem,samples,correct\np,a,100,3\n")
    return build_config(changed(changes), "c.yaml", tmp_path)


def test_a_study_of_counts_needs_no_texts_and_no_headline_but_coverage(tmp_path: Path) -> None:
    config = build(tmp_path, {})
    plan = Plan(config, tmp_path)
    assert plan.pools.all() == []
    assert [tuple(pool) for pool in plan.pools.picked()] == [("d", "p", "samples")]
    assert ReportPlan(plan).figures() == ("coverage_by_size", "coverage_forecast")


SAMPLING = {"kind": "sampling", "samples": 4, "max_tokens": 8}
IMPORTED = {
    "kind": "import", "format": "table", "dataset": "d", "characters_per_token": 4.0,
    "sources": [{"policy": "p", "files": [{"path": "counts.csv"}]}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"generators.samples.tokens_per_sample": None},
            "give one of tokens_per_sample (an estimate) and columns",
        ),
        (
            {"generators.samples.columns": {"tokens": "t"}},
            "give one of tokens_per_sample (an estimate) and columns",
        ),
        ({"generators.samples.columns": {"solved": "t"}}, "columns: format counts reads no 'solved'"),
        (
            {"generators.samples.characters_per_token": 4.0},
            "characters_per_token does not go with format counts",
        ),
        ({"generators.samples.verifier": "v"}, "verifier does not go with format counts"),
        ({"selectors": ["majority", "pass"]}, "selectors: majority pick among answers, and counts have none"),
        ({"selectors": ["majority"], "headline.selector": "majority"}, "which have coverage alone; add pass"),
        ({"generators.more": IMPORTED}, "'d' has no texts; format counts alone goes with that"),
        ({"generators.more": SAMPLING}, "generators.more needs texts; source counted has only identifiers"),
        ({"generators.more": IMPORTED}, "headline.selector: 'pass' knows the reference answer"),
        ({"difficulty": {"generator": "samples"}}, "difficulty.generator: 'samples' imports counts, without"),
        (
            {"coverage": {"pretraining": {"tokens": {"q": 1e9}, "problems": [10]}}},
            "coverage.pretraining.tokens: 'q' is not an entry of the policies with counts",
        ),
        ({"coverage": {"fitted_to": 2}}, "coverage.fitted_to: 2 is not allowed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_go_with_counts_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        build(tmp_path, changes)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tokens_per_sample": 3.0}, "tokens_per_sample does not go with format table"),
        ({"unequal_samples": True}, "unequal_samples does not go with format table"),
    ],
    ids=str,
)
def test_what_is_of_counts_goes_with_nothing_else(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        build(tmp_path, {"generators.samples": IMPORTED | more})
    assert said in str(caught.value)
