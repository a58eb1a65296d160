"""A study run stage by stage in this process, as the rules would, without Snakemake."""

import importlib
from pathlib import Path

from isoflop.config.study import Config
from isoflop.pipeline.jobs import StageJob, needed_jobs
from isoflop.pipeline.plan import Plan


def run_study(config: Config) -> Path:
    """Run every job that the config's targets need, in the working directory; the folder of its results.

    The comparison of plan and measurement is left out, and so are measured times.
    """
    plan = Plan(config)
    for job in needed_jobs(plan, "-"):
        if job.stage not in ("plan_comparison", "times"):
            for path in job.outputs:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            stage = importlib.import_module(f"isoflop.stages.{job.stage}")
            stage.main([job.spec, *_files(job, plan.results)])
    return Path(plan.results)


def _files(job: StageJob, results: str) -> list[str]:
    """The paths on a stage's command line; it knows where the measured times beside its ledgers are."""
    read, made = (
        [path for path in paths if not path.endswith(".times.json")] for paths in (job.inputs, job.outputs)
    )
    match job.stage:
        case "problems":
            return made
        case "replay":
            return [read[0], *made]
        case "report":
            return [results, results]
    return [*read, *made]
