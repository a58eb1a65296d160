"""A copy of the workflow in which snakemake can be run without touching the repository."""

import multiprocessing
import os
import re
import shutil
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from isoflop.config.loading import load_config
from isoflop.files import write_json, write_parquet
from isoflop.pipeline import code_digest as digests
from isoflop.pipeline.paths import times_beside
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_allocation import ChoicePlan
from isoflop.pipeline.plan_report import ReportPlan

ROOT = Path(__file__).parents[2]

# Every run is a process of its own, forked from one that has the imports: they are most of a dry run's time.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["snakemake.cli", "isoflop.pipeline.plan"])

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


@dataclass(frozen=True)
class Run:
    """How a run of snakemake ended, and all it printed."""

    code: int
    output: str


def snakemake(folder: Path, *arguments: str) -> Run:
    """Run snakemake in `folder`; digests are those of the package that lies there."""
    log = folder / "snakemake.out"
    process = _PROCESSES.Process(target=_snakemake, args=(folder, arguments, log))
    process.start()
    process.join()
    assert process.exitcode is not None
    return Run(process.exitcode, log.read_text(encoding="utf-8"))


def _snakemake(folder: Path, arguments: tuple[str, ...], log: Path) -> None:
    from snakemake.cli import main

    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    digests.ROOT = folder / "src/isoflop"
    code = 1
    try:
        main(list(arguments))
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def planned(run: Run) -> Mapping[str, int]:
    """Rules and numbers of their jobs that a dry run announced, without the target rule."""
    assert run.code == 0, run.output
    if "Nothing to be done" in run.output:
        return {}
    table = run.output.split("Job stats:", 1)[1].split("total", 1)[0]
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
    return {name: count for name, count in jobs.items() if name != "all"}


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
