"""The workflow as a whole: every shipped config, wrong configs; its style is `make lint`'s."""

import re
from pathlib import Path

import pytest
from snakemake_runs import planned, snakemake
from workspace import ROOT, TINY, copy_workflow, finished_tiny_study

from isoflop.config.loading import load_config
from isoflop.stages.shared.runtime import Runtime

SHIPPED = ["config.yaml", *sorted(f"configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml"))]
ON_TOP = ["configs/smollm2-gsm8k.yaml configs/overlays/smollm2-sizes.yaml"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workflow")
    copy_workflow(folder)
    return folder


@pytest.mark.parametrize("configs", SHIPPED + ON_TOP)
def test_every_shipped_config_plans_a_run(configs: str, workspace: Path) -> None:
    jobs = planned(snakemake(workspace, "-n", "--configfile", *configs.split()))
    # Counts bring their problems with them.
    assert any(name == "problems" or name.startswith("counts_") for name in jobs)
    assert "report" in jobs or "train" in jobs


def test_what_is_not_pinned_is_planned_but_not_run(workspace: Path) -> None:
    assert planned(snakemake(workspace, "-n", "--configfile", "configs/wu2024.yaml"))["train"] == 5
    run = snakemake(workspace, "--configfile", "configs/wu2024.yaml", "--cores", "1")
    assert run.code != 0
    assert "verifiers.llemma-rm-34b.revision: not pinned yet" in run.output
    assert "Traceback" not in run.output
    assert not (workspace / "results/wu2024").exists()


def test_what_models_lack_is_said_before_anything_is_made(workspace: Path) -> None:
    faulty = (
        TINY.replace("{model: models/small}", "{model: resources/models/policy-0.1M, chat: true}")
        .replace("{model: models/large}", "{model: resources/models/policy-0.3M}")
        .replace("model: models/prm}", 'model: resources/models/prm-1.7M, prompt: "{problem}\\n"}')
        .replace("max_tokens: 24", "max_tokens: 2400")
        .replace("experiment: tiny", "experiment: faulty")
    )
    (workspace / "faulty.yaml").write_text(faulty, encoding="utf-8")
    dry = snakemake(workspace, "-n", "--configfile", "faulty.yaml")
    planned(dry)
    assert (
        "models: policies.small.chat: the tokenizer of resources/models/policy-0.1M has no chat" in dry.output
    )
    run = snakemake(workspace, "--configfile", "faulty.yaml", "--cores", "1")
    assert run.code != 0
    assert "2 faults in the models" in run.output
    assert "policy-0.1M: the tokenizer has no chat template" in run.output
    assert "exceed its 512 positions; set a smaller max_tokens" in run.output
    assert "Traceback" not in run.output
    assert not (workspace / "results/faulty").exists()


def test_without_options_the_default_experiment_is_planned(workspace: Path) -> None:
    jobs = planned(snakemake(workspace, "-n"))
    policies = len(load_config([ROOT / "config.yaml"], root=ROOT).policies)
    pools = 3 * policies  # each policy decodes greedily, samples, and searches at two budgets
    gathered = {name: jobs.pop(name) for name in list(jobs) if name.startswith("gather_trees_wordproblems_")}
    assert list(gathered.values()) == [1] * policies
    assert jobs == {
        "problems": 1, "sample": 2 * policies, "search": 2 * policies, "score": policies, "grade": pools,
        "select": pools, "difficulty": policies, "allocate": 1, "fit": 1, "report": 1,
        "coverage": 1, "verifier_quality": 1, "plan_comparison": 1, "times": 1,
    }  # fmt: skip


ON_GPUS = (
    TINY.replace("{model: models/small}", "{model: models/small, engine: vllm, gpus: 2}")
    .replace("model: models/prm}", "model: models/prm, engine: vllm}")
    .replace(
        "budgets: [1,",
        "  tree: {kind: rebase, budgets: [2], max_tokens: 24, max_step_tokens: 8}\nbudgets: [1,",
    )
)
WANTED = {
    ("sample", "small"): 2, ("sample", "large"): 0, ("search", "small"): 3, ("search", "large"): 1,
    ("score", "small"): 1, ("score", "large"): 1,
}  # fmt: skip


@pytest.mark.parametrize("there", [8, 2, 0])
def test_jobs_ask_for_the_gpus_of_their_models_as_far_as_there_are_any(there: int, tmp_path: Path) -> None:
    finished_tiny_study(tmp_path, ON_GPUS)
    options = ("--forceall", "--printshellcmds", "--resources", f"gpu={there}")
    run = snakemake(tmp_path, "-n", "--configfile", "tiny.yaml", *options)
    planned(run)
    asked = {
        (rule, policy): int(gpus)
        for rule, policy, gpus in re.findall(
            r"^rule (\w+):$(?:\n    .*)*policy=(\w+)(?:.*\n    .*)*\bgpu=(\d+)", run.output, re.MULTILINE
        )
    }
    assert asked == {job: min(gpus, there) for job, gpus in WANTED.items()}
    told = re.findall(r"isoflop\.stages\.(sample|search|score) --runtime '(.*?)' -", run.output)
    given = [(stage, Runtime.model_validate_json(text)) for stage, text in told]
    assert {(stage, one.gpus) for stage, one in given} == {(stage, n) for (stage, _), n in asked.items()}
    assert all(one.of_model("models/small").gpus == 2 for _, one in given)
    assert {(one.chunk_problems, one.gpus_given) for _, one in given} == {(25, False)}


def test_another_config_takes_the_place_of_the_default_one(tmp_path: Path) -> None:
    finished_tiny_study(tmp_path)
    run = snakemake(tmp_path, "-n", "--configfile", "tiny.yaml", "--forceall")
    assert planned(run) == {
        "problems": 1, "sample": 4, "score": 2, "grade": 4, "select": 4, "fit": 1, "report": 1,
        "verifier_quality": 1, "plan_comparison": 1, "times": 1,
    }  # fmt: skip
    assert "results/shipped" not in run.output


def test_a_training_config_plans_training_in_order(workspace: Path) -> None:
    jobs = planned(snakemake(workspace, "-n", "--configfile", "configs/train-shipped.yaml"))
    assert set(jobs) == {"problems", "train", "step_labels"}


def test_revisions_plan_their_chains_and_every_length(tmp_path: Path) -> None:
    limits = "max_tokens: 24, only: {policies: [small]}"
    chains = f"  revisions: {{kind: revisions, chains: 4, length: 4, {limits}}}\n"
    choice = "difficulty: {generator: revisions}\ncompute_optimal: {families: {ratios: [revisions/*]}}\n"
    finished_tiny_study(tmp_path, TINY.replace("budgets:", f"{chains}{choice}budgets:"))
    jobs = planned(snakemake(tmp_path, "-n", "--configfile", "tiny.yaml", "--forceall"))
    assert jobs == {
        "problems": 1, "sample": 4, "revise": 1, "score": 3, "grade": 5, "select": 4, "select_revisions": 3,
        "revision_rates": 1, "difficulty": 1, "allocate": 1, "fit": 1, "report": 1,
        "verifier_quality": 1, "plan_comparison": 1, "times": 1,
    }  # fmt: skip
    sharded = planned(
        snakemake(tmp_path, "-n", "--configfile", "tiny.yaml", "--forceall", "--config", "shards=2")
    )
    parts = {"sample": 8, "revise": 2, "score": 6, "merge_sample": 4, "merge_revise": 1, "merge_score": 3}
    assert sharded == jobs | parts


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--config", "sed=3"], "sed: unknown key; did you mean 'seed'?"),
        (["--config", "budgets=[1, 128]"], "budgets: 128 is more than generators.sampling.samples"),
        (["--configfile", "twice.yaml"], "twice.yaml, line 2, column 1: key 'seed' is here twice"),
        (["--configfile", "pool.yaml"], "pool.yaml: 1 fault in the config"),
    ],
)
def test_a_wrong_config_stops_at_once_without_a_traceback(
    arguments: list[str], says: str, workspace: Path
) -> None:
    (workspace / "twice.yaml").write_text("seed: 1\nseed: 2\n", encoding="utf-8")
    broken = (ROOT / "config.yaml").read_text(encoding="utf-8").replace("budgets: [1,", "budgets: [0,")
    (workspace / "pool.yaml").write_text(broken, encoding="utf-8")
    run = snakemake(workspace, "-n", *arguments)
    assert run.code != 0
    assert says in run.output
    assert "Traceback" not in run.output
    assert "Building DAG" not in run.output
