"""A copy of the workflow in which snakemake can be run without touching the repository."""

import shutil
from pathlib import Path

import pyarrow as pa
from snakemake_runs import snakemake

from isoflop.config.loading import load_config
from isoflop.files import write_json, write_parquet
from isoflop.pipeline.paths import times_beside
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_allocation import ChoicePlan
from isoflop.pipeline.plan_report import ReportPlan
from isoflop.pipeline.plan_verifiers import VerifierPlan

ROOT = Path(__file__).parents[2]

STAGES_IN_SHARDS = ("sample", "search", "score")

TINY = """\
experiment: tiny
seed: 1
datasets:
  words: {source: wordproblems, split: test, size: 200}
policies:
  small: {model: models/small}
  large: {model: models/large}
verifiers:
  prm: {kind: math-shepherd, model: models/prm}
generators:
  greedy: {kind: greedy, max_tokens: 24}
  sampling: {kind: sampling, samples: 4, temperature: 1.0, max_tokens: 24}
budgets: [1, 2, 4]
selectors: [majority, weighted]
step_aggregations: [last]
headline: {selector: weighted}
"""


def copy_workflow(folder: Path) -> None:
    """The repository's workflow, package and profile in `folder`; its models by a link."""
    for name in ("workflow", "envs", "profiles", "configs", "src/isoflop"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml"):
        shutil.copy2(ROOT / name, folder / name)
    (folder / "resources").symlink_to(ROOT / "resources")


def finished_tiny_study(folder: Path, config: str = TINY) -> None:
    """A copy in which the tiny study counts as done: stand-in outputs, and snakemake's records of them."""
    copy_workflow(folder)
    (folder / "tiny.yaml").write_text(config, encoding="utf-8")
    for name in ("small", "large", "prm"):
        model = folder / "models" / name
        model.mkdir(parents=True)
        for file in ("config.json", "model.safetensors", "README.md"):
            (model / file).write_text(f"{name} {file}", encoding="utf-8")
    plan = Plan(load_config([folder / "tiny.yaml"], root=folder), folder)
    searched = [
        path
        for pool in plan.pools.searches()
        for path in (*plan.paths.trees(pool), *plan.paths.gathered(pool))
    ]
    stems = [
        path.removesuffix(".parquet") for path in [*plan.paths.evidence(), *searched] if _sharded(path, plan)
    ]
    parts = [
        path
        for stem in stems
        for path in plan.paths.parts(f"{stem}.parquet", dataset=stem.split("/")[3])
        if plan.config.shards > 1
    ]
    choice = ChoicePlan(plan)
    chosen = [*choice.difficulties(), *choice.tables()]
    made = [
        *ReportPlan(plan).targets(),
        *plan.paths.evidence(),
        *plan.paths.credits(),
        *searched,
        *parts,
        *chosen,
        *VerifierPlan(plan).tables(),
        *ReportPlan(plan).seconds(),
    ]
    made += times_beside(made)
    for path in [*made, "results/tiny/fit/draws.parquet", "results/tiny/fit/credits.parquet"]:
        output = folder / path
        output.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".parquet"):
            write_parquet(output, pa.table({"path": [path]}))
        elif path.endswith((".ledger.json", ".times.json")):
            write_json(output, {"path": path})
        else:
            output.write_text(path, encoding="utf-8")
    run = snakemake(folder, "--configfile", "tiny.yaml", "--touch", "--forceall", "--cores", "1")
    assert run.code == 0, run.output
    parts += times_beside(parts)
    for path in {*parts} - {*plan.paths.evidence(), *times_beside(plan.paths.evidence())}:
        (folder / path).unlink(missing_ok=True)


def _sharded(path: str, plan: Plan) -> bool:
    """Whether a job samples, searches or scores this table; gathered ones are made of trees."""
    gathered = {one for pool in plan.pools.searches() for one in plan.paths.gathered(pool)}
    return path.endswith(".parquet") and path not in gathered and path.split("/")[2] in STAGES_IN_SHARDS
