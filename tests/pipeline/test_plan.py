"""What a config plans: its pools, jobs and their files."""

import json
from pathlib import Path
from typing import Any

import pytest
from planned_study import with_revisions

from isoflop.config.loading import build_config
from isoflop.forecast.study_work import study_work
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_allocation import ChoicePlan
from isoflop.pipeline.plan_counts import CountsPlan
from isoflop.pipeline.plan_report import ReportPlan
from isoflop.pipeline.plan_revisions import RevisionPlan
from isoflop.pipeline.plan_verifiers import VerifierPlan
from isoflop.pipeline.pools import Pool
from isoflop.report.spec import ReportSpec
from isoflop.specs import (
    AllocateSpec,
    Backtest,
    ReviseSpec,
    SampleSpec,
    VerifierQualitySpec,
)


def test_the_jobs_of_a_study(plan: Plan) -> None:
    pools = [
        ("words", "small", "greedy"),
        ("words", "small", "sampling"),
        ("words", "tuned", "greedy"),
        ("words", "tuned", "sampling"),
        ("own", "small", "greedy"),
        ("own", "small", "sampling"),
        ("own", "tuned", "greedy"),
        ("own", "tuned", "sampling"),
    ]
    assert [tuple(pool) for pool in plan.pools.all()] == pools
    assert plan.paths.credits() == [f"results/demo/select/{'/'.join(pool)}.parquet" for pool in pools]
    inputs = json.loads(plan.fit())["inputs"]
    assert not any("tokens_estimated" in one for one in inputs)
    assert [(one["dataset"], one["generator"], one["policy"]) for one in inputs] == [
        (dataset, generator, policy) for dataset, policy, generator in pools
    ]
    assert plan.paths.scores(Pool("words", "small", "greedy")) == []
    assert plan.paths.scores(Pool("words", "small", "sampling")) == [
        "results/demo/score/words/small/sampling/prm.parquet",
        "results/demo/score/words/small/sampling/prm.ledger.json",
    ]
    assert {"results/demo/train/base", "results/demo/report.html", "results/demo/tables/curves.csv"} <= set(
        ReportPlan(plan).targets()
    )


def test_a_config_that_only_trains_wants_only_models(raw: dict[str, Any], folder: Path) -> None:
    for key in ("generators", "budgets", "selectors", "step_aggregations", "headline", "verifiers"):
        del raw[key]
    plan = Plan(build_config(raw, "demo.yaml", folder), folder)
    assert ReportPlan(plan).targets() == ["results/demo/train/base", "results/demo/train/prm"]
    assert plan.paths.credits() == plan.paths.evidence() == []


def test_a_start_is_data_of_its_training(plan: Plan) -> None:
    assert plan.train_start("prm") == ["results/demo/train/base"]
    assert plan.train_start("base") == []
    assert plan.train_data("prm") == ["results/demo/label/rollouts.parquet"] * 2
    assert plan.train_data("base") == ["results/demo/problems/train.parquet"] * 2


def test_the_jobs_of_revisions(raw: dict[str, Any], folder: Path) -> None:
    plan = Plan(build_config(with_revisions(raw), "demo.yaml", folder), folder)
    revisions, choice = RevisionPlan(plan), ChoicePlan(plan)
    assert plan.config.studied_datasets == ("words", "own")
    assert [tuple(pool) for pool in plan.pools.chains()] == [
        ("words", "reviser", "revisions"), ("own", "reviser", "revisions"),
    ]  # fmt: skip
    assert [pool.generator for pool in plan.pools.picked() if pool.policy == "reviser"] == [
        "revisions/1", "revisions/2", "revisions/4",
    ] * 2  # fmt: skip
    assert "results/demo/select/words/reviser/revisions/4.parquet" in plan.paths.credits()
    assert plan.paths.scores(Pool("words", "reviser", "revisions"))[::2] == [
        f"results/demo/score/words/reviser/revisions/{name}.parquet" for name in ("orm", "blind")
    ]
    assert plan.paths.scores(Pool("words", "small", "sampling")) == [
        f"results/demo/score/words/small/sampling/prm.{ending}" for ending in ("parquet", "ledger.json")
    ]
    assert plan.train_data("reviser") == ["results/demo/trajectories/wrong.parquet"] * 2
    assert plan.train_data("orm") == ["results/demo/chain_labels/judged.parquet"] * 2
    assert plan.train_data("blind") == ["results/demo/chain_labels/judged.alone.parquet"] * 2
    assert revisions.trajectories_inputs("wrong") == [
        "results/demo/problems/more.parquet", *plan.models.policy_files("small"),
    ]  # fmt: skip
    assert revisions.chain_labels_inputs("judged")[1:] == ["results/demo/train/reviser"]
    spec = ReviseSpec.model_validate_json(revisions.revise("reviser", "revisions"))
    assert (spec.generator.only, spec.generator.verifiers) == (None, None)
    select = json.loads(revisions.select("reviser", "revisions", 4))
    assert (select["budgets"], select["length"], select["outcome_verifiers"]) == ([4, 8], 4, ["orm", "blind"])
    publish = json.loads(ReportPlan(plan).report())
    assert publish["policies"] == ["small", "tuned"]
    assert publish["generators"] == ["greedy", "sampling"]
    assert publish["revisions"] == {"revisions": ["orm", "blind"]}
    assert publish["outcome_verifiers"] == ["orm", "blind"]
    assert ReportSpec.model_validate_json(ReportPlan(plan).report()).figures == ReportPlan(plan).figures()
    assert [name for name in ReportPlan(plan).figures() if name.startswith("revision")] == [
        "revision_chain", "revision_sequential", "revision_ratio", "revision_ratio_by_bin",
        "revision_verifiers",
    ]  # fmt: skip
    assert ["words", "reviser", "revisions"] in publish["pools"]
    assert list(study_work(plan).generators) == ["greedy", "sampling", "revisions"]
    chosen = AllocateSpec.model_validate_json(choice.allocate())
    assert chosen.families["ratios"] == ("revisions/1", "revisions/2", "revisions/4", "revisions/4+majority")
    assert {pool.kind for pool in chosen.pools} == {"revisions"}
    assert chosen.judges["revisions/4"] == ("orm", "last")
    judged = {(pool.dataset, pool.policy): pool.generator for pool in choice.judged()}
    assert judged["words", "reviser"] == "revisions"
    assert judged["words", "small"] == "sampling"
    # Only the pools that tell difficulty are halved: here of a policy without samples its chains.
    assert json.loads(plan.select("small", "sampling"))["halves"] is True
    assert json.loads(revisions.select("reviser", "revisions", 4))["halves"] is True
    assert "halves" not in json.loads(plan.select("small", "greedy"))
    told = json.loads(choice.difficulty("words", "reviser"))
    assert (told["chains"], told["verifier"], told["outcome"]) == (True, "orm", True)
    assert json.loads(choice.difficulty("words", "small"))["verifier"] == "prm"
    for text in (
        revisions.trajectories("wrong"), revisions.chain_labels("judged"), revisions.rates(),
        plan.train("orm"),
    ):  # fmt: skip
        assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def test_verifiers_are_judged_on_independent_samples_with_scores(raw: dict[str, Any], folder: Path) -> None:
    tree = {"kind": "rebase", "budgets": [4, 16], "max_tokens": 24, "max_step_tokens": 8}
    raw["generators"]["tree"] = tree
    plan = Plan(build_config(with_revisions(raw), "demo.yaml", folder), folder)
    judged = VerifierPlan(plan)
    pools = [(data, policy, "sampling") for data in ("words", "own") for policy in ("small", "tuned")]
    assert [tuple(pool) for pool in plan.pools.scored()] == pools
    spec = VerifierQualitySpec.model_validate_json(judged.quality())
    assert [(pool.dataset, pool.policy, pool.generator) for pool in spec.pools] == pools
    assert {pool.verifiers for pool in spec.pools} == {("prm",)}
    assert spec.outcome_verifiers == ("orm", "blind")
    pool = "words/small/sampling"
    assert judged.inputs()[:6] == [
        "results/demo/problems/words.parquet", f"results/demo/sample/{pool}.parquet",
        f"results/demo/grade/{pool}.parquet", f"results/demo/sample/{pool}.ledger.json",
        f"results/demo/score/{pool}/prm.parquet", f"results/demo/score/{pool}/prm.ledger.json",
    ]  # fmt: skip
    assert len(judged.inputs()) == 6 * len(pools)
    assert judged.tables() == [f"results/demo/tables/{name}.csv" for name in ("verifiers", "calibration")]
    assert "calibration" in ReportPlan(plan).figures()


def test_without_scores_no_verifier_is_judged(raw: dict[str, Any], folder: Path) -> None:
    raw["generators"]["sampling"]["verifiers"] = []
    raw |= {"selectors": ["majority"], "headline": {"selector": "majority"}}
    without = Plan(build_config(raw, "demo.yaml", folder), folder)
    assert VerifierPlan(without).tables() == VerifierPlan(without).inputs() == []
    assert "calibration" not in ReportPlan(without).figures()


def test_limits_choose_pools_and_budgets_and_are_in_no_specification(
    plan: Plan, raw: dict[str, Any], folder: Path
) -> None:
    tree = {"kind": "rebase", "budgets": [2, 4, 8], "max_tokens": 24, "max_step_tokens": 8}
    raw["generators"]["tree"] = tree
    free = Plan(build_config(raw, "demo.yaml", folder), folder)
    raw["policies"]["small"]["datasets"] = ["words"]
    raw["generators"]["tree"] = tree | {"only": {"datasets": ["own"], "at_most": {"tuned": 4}}}
    raw["generators"]["sampling"]["only"] = {"at_most": {"tuned": 2}}
    limited = Plan(build_config(raw, "demo.yaml", folder), folder)
    assert [tuple(pool) for pool in limited.pools.all()] == [
        ("words", "small", "greedy"),
        ("words", "small", "sampling"),
        ("words", "tuned", "greedy"),
        ("words", "tuned", "sampling"),
        ("own", "tuned", "greedy"),
        ("own", "tuned", "sampling"),
        ("own", "tuned", "tree"),
    ]
    assert limited.pools.budgets("tuned", "tree") == (2, 4)
    assert len(limited.paths.trees(Pool("own", "tuned", "tree"))) == 4
    for policy in ("small", "tuned"):
        assert limited.search(policy, "tree", 4) == free.search(policy, "tree", 4)
        assert limited.sample(policy, "greedy") == free.sample(policy, "greedy")
    assert limited.sample("small", "sampling") == free.sample("small", "sampling")
    capped = SampleSpec.model_validate_json(limited.sample("tuned", "sampling"))
    assert (capped.generator.samples, limited.pools.budgets("tuned", "sampling")) == (2, (1, 2))
    assert json.loads(limited.select("tuned", "sampling"))["budgets"] == [1, 2]
    assert json.loads(limited.select("small", "sampling"))["budgets"] == [1, 2, 4]


def test_models_are_watched_by_their_files(plan: Plan) -> None:
    assert plan.models.policy_files("small") == ["models/small/config.json", "models/small/model.safetensors"]
    assert plan.models.policy_files("tuned") == ["results/demo/train/base"]
    assert plan.models.verifier_files("prm") == ["results/demo/train/prm"]
    assert plan.label_models("rollouts") == [*plan.models.policy_files("small"), "results/demo/train/base"]
    assert json.loads(plan.sample("tuned", "greedy"))["policy"]["model"] == "results/demo/train/base"


def test_a_hub_model_is_watched_by_its_revision(raw: dict[str, Any], folder: Path) -> None:
    raw["policies"]["small"] = {"model": "owner/name", "revision": "0" * 40}
    plan = Plan(build_config(raw, "demo.yaml", folder), folder)
    assert plan.models.policy_files("small") == []
    assert json.loads(plan.sample("small", "greedy"))["policy"]["revision"] == "0" * 40


def test_coverage_is_backtested_where_samples_suffice(raw: dict[str, Any], folder: Path) -> None:
    """Only of samples drawn here, where the oracle is a selector, and of each policy as many as it draws."""
    raw["generators"]["sampling"] |= {"samples": 64, "only": {"at_most": {"small": 32}}}
    raw |= {"budgets": [1, 2, 4, 8, 16, 32, 64], "selectors": ["majority", "pass"]}
    raw["headline"] = {"selector": "majority"}
    plan = Plan(build_config(raw, "demo.yaml", folder), folder)
    told = CountsPlan(plan)
    assert told.backtests() == {
        "sampling": {"small": Backtest(known=8, samples=32), "tuned": Backtest(known=16, samples=64)}
    }
    assert told.coverage_tables() == ["results/demo/tables/coverage_forecast.csv"]
    assert told.coverage_inputs() == ["results/demo/fit/credits.parquet"]
    assert "coverage_forecast" in ReportPlan(plan).figures()
    spec = ReportSpec.model_validate_json(ReportPlan(plan).report())
    assert spec.forecast
    assert spec.figures == ReportPlan(plan).figures()


@pytest.mark.parametrize(
    "changes",
    [
        {"selectors": ["majority"], "budgets": [1, 2, 4, 8, 16]},
        {"selectors": ["majority", "pass"], "budgets": [1, 2, 4, 8]},
        {"selectors": ["majority", "pass"], "budgets": [2, 4, 8, 16, 32]},
    ],
    ids=["no oracle", "too few samples", "no single sample"],
)
def test_without_them_nothing_is_backtested(
    raw: dict[str, Any], folder: Path, changes: dict[str, Any]
) -> None:
    raw["generators"]["sampling"] |= {"samples": 64}
    plan = Plan(
        build_config(raw | changes | {"headline": {"selector": "majority"}}, "demo.yaml", folder), folder
    )
    assert CountsPlan(plan).coverage_tables() == []
    assert "coverage_forecast" not in ReportPlan(plan).figures()
