"""A specification holds what decides a job's output and nothing else; a digest follows the code it covers."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from isoflop.config.loading import build_config
from isoflop.config.models import Server
from isoflop.forecast.study_work import comparison_spec, study_work
from isoflop.pipeline import code_digest as digests
from isoflop.pipeline.code_digest import code_digest, import_closure
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_allocation import ChoicePlan
from isoflop.pipeline.plan_report import ReportPlan
from isoflop.pipeline.plan_revisions import RevisionPlan
from isoflop.pipeline.pools import Pool
from isoflop.report.spec import ReportSpec
from isoflop.specs import (
    AllocateSpec,
    ChainLabelsSpec,
    GradeSpec,
    ProblemsSpec,
    ReviseSpec,
    SampleSpec,
    ScoreSpec,
    SearchSpec,
    StepLabelsSpec,
    TrainSpec,
    TrajectoriesSpec,
)

CHEAP = ("grade", "select", "fit", "report", "plan_comparison")
ROOT = Path(__file__).parents[2]


def _raw() -> dict[str, Any]:
    words = {"source": "wordproblems", "size": 6}
    recipe = {"epochs": 1, "batch_size": 8, "learning_rate": 0.001, "seed": 1}
    shape = {"hidden_size": 32, "layers": 1, "heads": 2, "kv_heads": 2, "intermediate_size": 64}
    return {
        "experiment": "demo",
        "seed": 7,
        "datasets": {
            "words": words | {"split": "test"},
            "train": words | {"split": "train"},
            "own": {
                "source": "file",
                "path": "own.csv",
                "fields": {"prompt": "q", "answer": "a"},
                "grader": "math",
            },
        },
        "policies": {"small": {"model": "models/small"}, "tuned": {"trained": "base"}},
        "verifiers": {"prm": {"kind": "math-shepherd", "trained": "prm"}},
        "generators": {
            "greedy": {"kind": "greedy", "max_tokens": 16},
            "sampling": {"kind": "sampling", "samples": 4, "max_tokens": 16},
        },
        "budgets": [1, 2, 4],
        "selectors": ["majority", "weighted"],
        "step_aggregations": ["last", "min"],
        "headline": {"selector": "weighted"},
        "training": {
            "base": recipe
            | {
                "kind": "policy",
                "init": {"architecture": shape},
                "data": {"dataset": "train", "held_out": "train"},
            },
            "prm": recipe
            | {
                "kind": "prm",
                "init": {"trained": "base"},
                "data": {"labels": "rollouts", "held_out": "rollouts"},
            },
        },
        "labels": {
            "rollouts": {
                "problems": "train",
                "policies": ["small"],
                "samples_per_problem": 2,
                "completer": "tuned",
                "rollouts": 2,
                "max_tokens": 16,
            }
        },
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models/small").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "README.md", ".cache"):
        (tmp_path / "models/small" / name).write_text("{}")
    (tmp_path / "own.csv").write_text("q,a\n1+1,2\n")
    return tmp_path


@pytest.fixture
def raw() -> dict[str, Any]:
    return _raw()


@pytest.fixture
def plan(raw: dict[str, Any], folder: Path) -> Plan:
    return Plan(build_config(raw, "demo.yaml", folder), folder)


def _all_specs(plan: Plan) -> dict[str, str]:
    return {
        "problems": plan.problems("words"),
        "train": plan.train("base"),
        "step_labels": plan.step_labels("rollouts"),
        "greedy sample": plan.sample("small", "greedy"),
        "sample": plan.sample("small", "sampling"),
        "score": plan.score("small", "prm"),
        "grade": plan.grade("words", "small"),
        "greedy select": plan.select("small", "greedy"),
        "select": plan.select("small", "sampling"),
        "fit": plan.fit(),
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
        {"step_labels", "greedy sample", "sample", "greedy select", "select", "fit", "report"},
    ),
    "budgets": (lambda raw: raw.update(budgets=[1, 4]), {"select", "report", "plan"}),
    "selectors": (lambda raw: raw["selectors"].append("pass"), {"select", "report"}),
    "aggregations": (lambda raw: raw["step_aggregations"].append("mean"), {"select", "report"}),
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
    "step tag": (lambda raw: raw["verifiers"]["prm"].update(step_tag=" *"), {"score", "report"}),
    "the policy's step tag": (
        lambda raw: raw["policies"]["small"].update(step_tag=" ки"),
        {"step_labels", "score", "grade", "report"},
    ),
    "grader": (
        lambda raw: raw["datasets"]["words"].update(grader="math"),
        {"problems", "grade", "report"},
    ),
    "problems": (lambda raw: raw["datasets"]["words"].update(size=5), {"problems", "report"}),
    "bootstrap": (lambda raw: raw.update(bootstrap={"draws": 200}), {"fit", "report"}),
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


def _with_revisions(raw: dict[str, Any]) -> dict[str, Any]:
    """The study with a revision model, its chains and a verifier of chains."""
    raw["datasets"]["more"] = {"source": "wordproblems", "split": "train", "size": 6, "seed": 2}
    recipe = {"epochs": 1, "batch_size": 8, "learning_rate": 0.001, "seed": 1}
    raw["revisions"] = {
        "wrong": {"problems": "more", "policy": "small", "samples_per_problem": 4, "max_tokens": 16}
    }
    raw["training"]["reviser"] = recipe | {
        "kind": "policy",
        "init": {"model": "models/small", "positions": 64},
        "data": {"revisions": "wrong", "held_out": "wrong"},
    }
    raw["policies"]["reviser"] = {"trained": "reviser"}
    raw["chain_labels"] = {
        "judged": {"problems": "more", "policy": "reviser", "chains": 2, "length": 3, "max_tokens": 16}
    }
    for name, history in (("orm", True), ("blind", False)):
        raw["training"][name] = recipe | {
            "kind": "prm",
            "init": {"model": "models/small"},
            "data": {"chain_labels": "judged", "held_out": "judged", "history": history},
        }
        raw["verifiers"][name] = {"kind": "causal-orm", "trained": name, "history": 4 * history}
    for name in ("greedy", "sampling"):
        raw["generators"][name]["only"] = {"policies": ["small", "tuned"]}
    raw["generators"]["sampling"]["verifiers"] = ["prm"]
    raw["generators"]["revisions"] = {
        "kind": "revisions", "chains": 4, "length": 4, "largest": 8, "max_tokens": 16,
        "only": {"policies": ["reviser"]}, "verifiers": ["orm", "blind"],
    }  # fmt: skip
    raw["difficulty"] = {"generator": "sampling"}
    raw["compute_optimal"] = {"families": {"ratios": ["revisions/*", "revisions/4+majority"]}}
    return raw


def test_the_jobs_of_revisions(raw: dict[str, Any], folder: Path) -> None:
    plan = Plan(build_config(_with_revisions(raw), "demo.yaml", folder), folder)
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
    select = json.loads(revisions.select("revisions", 4))
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
    assert json.loads(revisions.select("revisions", 4))["halves"] is True
    assert "halves" not in json.loads(plan.select("small", "greedy"))
    told = json.loads(choice.difficulty("words", "reviser"))
    assert (told["chains"], told["verifier"], told["outcome"]) == (True, "orm", True)
    assert json.loads(choice.difficulty("words", "small"))["verifier"] == "prm"
    for text in (
        revisions.trajectories("wrong"), revisions.chain_labels("judged"), revisions.rates(),
        plan.train("orm"),
    ):  # fmt: skip
        assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def test_what_a_generator_is_for_is_in_no_specification(raw: dict[str, Any], folder: Path) -> None:
    plain = Plan(build_config(raw, "demo.yaml", folder), folder)
    before = plain.sample("small", "sampling"), plain.sample("small", "greedy")
    _with_revisions(raw)
    plan = Plan(build_config(raw, "demo.yaml", folder), folder)
    assert (plan.sample("small", "sampling"), plan.sample("small", "greedy")) == before
    written = RevisionPlan(plan).revise("reviser", "revisions")
    raw["generators"]["revisions"]["verifiers"] = ["orm"]
    again = RevisionPlan(Plan(build_config(raw, "demo.yaml", folder), folder))
    assert again.revise("reviser", "revisions") == written


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


def _defaults(model: type[BaseModel]) -> dict[str, dict[str, str]]:
    """The defaults of `model` and of all models in its fields, by name; of Server none is ever in one."""
    found: dict[str, dict[str, str]] = {Server.__name__: {}}
    waiting: list[object] = [model]
    while waiting:
        kind = waiting.pop()
        waiting += get_args(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__name__ not in found:
            fields = kind.model_fields
            waiting += [field.annotation for field in fields.values()]
            found[kind.__name__] = {
                name: repr(field.get_default(call_default_factory=True))
                for name, field in fields.items()
                if not field.is_required()
            }
    return {name: defaults for name, defaults in sorted(found.items()) if defaults}


def test_defaults_that_expensive_stages_rely_on_are_as_they_were() -> None:
    """They are not in the specification: where one changes, raise the stage's version, then this file."""
    pinned = yaml.safe_load((Path(__file__).parents[1] / "cases" / "spec_defaults.yaml").read_text())
    found = {
        model.__name__: _defaults(model)
        for model in (
            ProblemsSpec,
            SampleSpec,
            SearchSpec,
            ScoreSpec,
            TrainSpec,
            StepLabelsSpec,
            ReviseSpec,
            TrajectoriesSpec,
            ChainLabelsSpec,
        )
    }
    assert found == pinned


def test_a_new_key_with_its_default_changes_no_specification(
    plan: Plan, raw: dict[str, Any], folder: Path
) -> None:
    raw["policies"]["small"] |= {"assumed": False, "dtype": "float32"}
    assert Plan(build_config(raw, "demo.yaml", folder), folder).sample("small", "sampling") == plan.sample(
        "small", "sampling"
    )
    assert "assumed" not in plan.sample("small", "sampling")


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


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that the digests look at."""
    copy = tmp_path / "isoflop"
    shutil.copytree(digests.ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(digests, "ROOT", copy)
    for cached in (code_digest, import_closure, digests._imports):
        cached.cache_clear()
    yield copy
    for cached in (code_digest, import_closure, digests._imports):
        cached.cache_clear()


def _digests() -> dict[str, str]:
    for cached in (code_digest, import_closure, digests._imports):
        cached.cache_clear()
    return {
        stage: code_digest(f"isoflop.stages.{stage}", *(["report/templates"] if stage == "report" else []))
        for stage in CHEAP
    }


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("stages/grade.py", {"grade"}),
        ("grading/grader.py", {"grade"}),
        ("selection/samples.py", {"select"}),
        ("stages/fit.py", {"fit"}),
        ("fits/scaling_laws.py", {"fit", "report"}),
        ("report/figures/curves.py", {"report"}),
        ("report/templates/report.html.j2", {"report"}),
        ("files.py", set(CHEAP)),
        ("stages/shared/command.py", set(CHEAP)),
        ("stages/shared/runtime.py", set()),
        ("config/study.py", set()),
        ("config/planning.py", set()),
        ("forecast/work.py", {"plan_comparison"}),
        ("search/rebase.py", {"plan_comparison"}),
        ("forecast/inputs.py", set()),
        ("engines/checkpoints.py", set()),
        ("pipeline/specs.py", set()),
        ("engines/hf_policy.py", set()),
        ("stages/sample.py", set()),
        ("data/word_problems.py", set()),
    ],
)
def test_a_digest_changes_with_the_code_it_covers(file: str, stages: set[str], package: Path) -> None:
    before = _digests()
    with (package / file).open("a", encoding="utf-8") as source:
        source.write("\n# edited\n")
    after = _digests()
    assert {stage for stage in CHEAP if before[stage] != after[stage]} == stages


def test_a_digest_does_not_depend_on_where_the_package_is(package: Path) -> None:
    copied = _digests()
    digests.ROOT = ROOT / "src/isoflop"
    assert _digests() == copied


@pytest.mark.parametrize("stage", CHEAP)
def test_a_closure_is_what_importing_the_stage_loads(stage: str) -> None:
    """Compared with a real import in a fresh interpreter; descriptions are left out on purpose."""
    code = f"import sys, isoflop.stages.{stage}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    ours = {name for name in loaded if name.startswith("isoflop.")}
    # A room's own `__init__` computes nothing, and gives it its face.
    rooms = {name for name in ours if digests.module_file(name).name == "__init__.py"} | {"isoflop._lazy"}
    described = {name for name in ours if digests.describes(name)}
    assert ours - rooms - described <= set(import_closure(f"isoflop.stages.{stage}"))
    assert not {"torch", "transformers"} & loaded


def test_descriptions_are_modules_that_exist() -> None:
    for name in digests.DESCRIPTIONS:
        assert digests.module_file(name).is_file()


def test_a_foreign_module_has_no_digest() -> None:
    with pytest.raises(ValueError, match=r"isoflop\.nothing is not a module"):
        code_digest("isoflop.nothing")
