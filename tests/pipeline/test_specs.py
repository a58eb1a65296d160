"""A specification holds what decides a job's output and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from planned_study import with_revisions

from isoflop.config.loading import build_config
from isoflop.forecast.study_work import comparison_spec
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_report import ReportPlan
from isoflop.pipeline.plan_revisions import RevisionPlan
from isoflop.pipeline.plan_verifiers import VerifierPlan
from isoflop.specs import (
    GradeSpec,
    ProblemsSpec,
    SampleSpec,
    ScoreSpec,
    SearchSpec,
    StepLabelsSpec,
    TrainSpec,
)


def _all_specs(plan: Plan) -> dict[str, str]:
    return {
        "problems": plan.problems("words"),
        "train": plan.train("base"),
        "step_labels": plan.step_labels("rollouts"),
        "greedy sample": plan.sample("small", "greedy"),
        "sample": plan.sample("small", "sampling"),
        "score": plan.score("small", "prm"),
        "grade": plan.grade("words", "small", "sampling"),
        "greedy select": plan.select("small", "greedy"),
        "select": plan.select("small", "sampling"),
        "fit": plan.fit(),
        "verifier_quality": VerifierPlan(plan).quality(),
        "report": ReportPlan(plan).report(),
        "plan": comparison_spec(plan),
    }


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], set[str]]] = {
    "nothing": (lambda raw: None, set()),
    "a default written out": (lambda raw: raw.update(bootstrap={"draws": 1000, "level": 0.95}), set()),
    "batch size": (lambda raw: raw.update(engine_settings={"batch_size": 3}), set()),
    "chunk size": (lambda raw: raw.update(engine_settings={"chunk_problems": 3}), set()),
    "threads": (lambda raw: raw.update(engine_settings={"threads": 2}), set()),
    "seed": (
        lambda raw: raw.update(seed=8),
        {
            "step_labels",
            "greedy sample",
            "sample",
            "greedy select",
            "select",
            "fit",
            "verifier_quality",
            "report",
        },
    ),
    "budgets": (lambda raw: raw.update(budgets=[1, 4]), {"select", "report", "plan"}),
    "selectors": (lambda raw: raw["selectors"].append("pass"), {"select", "report"}),
    "aggregations": (
        lambda raw: raw["step_aggregations"].append("mean"),
        {"select", "verifier_quality", "report"},
    ),
    "temperature": (
        lambda raw: raw["generators"]["sampling"].update(temperature=0.5),
        {"sample", "report", "plan"},
    ),
    "greedy length": (
        lambda raw: raw["generators"]["greedy"].update(max_tokens=9),
        {"greedy sample", "report", "plan"},
    ),
    "prompt": (
        lambda raw: raw["policies"]["small"].update(prompt="Q: {problem}"),
        {"step_labels", "greedy sample", "sample", "report"},
    ),
    "step tag": (
        lambda raw: raw["verifiers"]["prm"].update(step_tag=" *", convention="any"),
        {"score", "report"},
    ),
    "the policy's step tag": (
        lambda raw: raw["policies"]["small"].update(step_tag=" ки"),
        {"step_labels", "score", "grade", "report"},
    ),
    "grader": (
        lambda raw: raw["datasets"]["words"].update(grader="math"),
        {"problems", "grade", "report"},
    ),
    "problems": (lambda raw: raw["datasets"]["words"].update(size=5), {"problems", "report"}),
    "bootstrap": (lambda raw: raw.update(bootstrap={"draws": 200}), {"fit", "verifier_quality", "report"}),
    "headline": (lambda raw: raw.update(headline={"selector": "majority"}), {"report", "plan"}),
    "planning": (lambda raw: raw.update(planning={"gpu": "L4", "steps": 3}), {"plan"}),
    "title": (lambda raw: raw.update(title="New"), {"report"}),
    "learning rate": (lambda raw: raw["training"]["base"].update(learning_rate=0.01), {"train", "report"}),
    "rollouts": (lambda raw: raw["labels"]["rollouts"].update(rollouts=9), {"step_labels", "report"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_key_changes_the_specifications_of_what_it_decides(
    change: str, plan: Plan, raw: dict[str, Any], folder: Path
) -> None:
    edit, expected = CHANGES[change]
    edit(raw)
    before, after = _all_specs(plan), _all_specs(Plan(build_config(raw, "demo.yaml", folder), folder))
    assert {name for name in before if before[name] != after[name]} == expected


def test_a_search_is_repeated_only_at_the_budgets_that_change(raw: dict[str, Any], folder: Path) -> None:
    tree = {"kind": "rebase", "budgets": [4, 16], "max_tokens": 24, "max_step_tokens": 8}
    raw["generators"]["tree"] = tree
    before = Plan(build_config(raw, "demo.yaml", folder), folder)
    raw["generators"]["tree"] = tree | {"budgets": [4, 16, 64]}
    raw["generators"]["sampling"]["temperature"] = 0.5
    after = Plan(build_config(raw, "demo.yaml", folder), folder)
    for budget in (4, 16):
        assert after.search("small", "tree", budget) == before.search("small", "tree", budget)
    assert after.search("small", "tree", 64) != after.search("small", "tree", 16)
    assert after.gather_trees("small", "tree") != before.gather_trees("small", "tree")
    for change in ({"runs": 2}, {"balance_temperature": 0.2}, {"max_step_tokens": 9}, {"verifier": "prm"}):
        raw["generators"]["tree"] = tree | change
        changed = Plan(build_config(raw, "demo.yaml", folder), folder)
        same = changed.search("small", "tree", 4) == before.search("small", "tree", 4)
        assert same is ("verifier" in change)  # the first one is the guide anyway
    spec = SearchSpec.model_validate_json(before.search("small", "tree", 4))
    assert (spec.generator.budgets, spec.verifier.step_tag) == ((4,), " ки")


def test_what_a_generator_is_for_is_in_no_specification(raw: dict[str, Any], folder: Path) -> None:
    plain = Plan(build_config(raw, "demo.yaml", folder), folder)
    before = plain.sample("small", "sampling"), plain.sample("small", "greedy")
    with_revisions(raw)
    plan = Plan(build_config(raw, "demo.yaml", folder), folder)
    assert (plan.sample("small", "sampling"), plan.sample("small", "greedy")) == before
    written = RevisionPlan(plan).revise("reviser", "revisions")
    raw["generators"]["revisions"]["verifiers"] = ["orm"]
    again = RevisionPlan(Plan(build_config(raw, "demo.yaml", folder), folder))
    assert again.revise("reviser", "revisions") == written


def test_specifications_are_canonical_ascii_and_read_back(plan: Plan) -> None:
    models = {
        "problems": ProblemsSpec,
        "train": TrainSpec,
        "step_labels": StepLabelsSpec,
        "sample": SampleSpec,
        "score": ScoreSpec,
        "grade": GradeSpec,
    }
    for name, text in _all_specs(plan).items():
        assert text.isascii(), name
        assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")), name
        if name in models:
            models[name].model_validate_json(text)
    assert ScoreSpec.model_validate_json(plan.score("small", "prm")).verifier.step_tag == " ки"


def test_temperature_and_top_p_cannot_be_swapped_unseen(raw: dict[str, Any], folder: Path) -> None:
    def spec(temperature: float, top_p: float) -> str:
        raw["generators"]["sampling"] |= {"temperature": temperature, "top_p": top_p}
        return Plan(build_config(raw, "demo.yaml", folder), folder).sample("small", "sampling")

    assert spec(0.5, 0.9) != spec(0.9, 0.5)


@pytest.mark.parametrize(
    ("version", "changed"),
    [
        ("PROBLEMS_VERSION", {"problems"}),
        ("TRAIN_VERSION", {"train"}),
        ("LABEL_VERSION", {"step_labels"}),
        ("SAMPLE_VERSION", {"greedy sample", "sample"}),
        ("SCORE_VERSION", {"score"}),
    ],
)
def test_a_raised_version_repeats_its_stage(
    version: str, changed: set[str], plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _all_specs(plan)
    monkeypatch.setattr(f"isoflop.pipeline.plan.{version}", 99)
    after = _all_specs(plan)
    assert {name for name in before if before[name] != after[name]} == changed
