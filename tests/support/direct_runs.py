"""A study run stage by stage in this process, as the rules would, without Snakemake."""

import importlib
from pathlib import Path

from isoflop.config.study import Config
from isoflop.pipeline.jobs import StageJob, needed_jobs
from isoflop.pipeline.plan import Plan


def run_study(config: Config) -> Path:
    """Run every job that the config's targets need, in the working directory; the folder of its results.

    The comparison of plan and measurement is left out.
    """
    plan = Plan(config)
    for job in needed_jobs(plan, "-"):
        if job.stage != "plan_comparison":
            for path in job.outputs:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            stage = importlib.import_module(f"isoflop.stages.{job.stage}")
            stage.main([job.spec, *_files(job, plan.results)])
    return Path(plan.results)


def _files(job: StageJob, results: str) -> list[str]:
    """The paths on a stage's command line."""
    match job.stage:
        case "problems":
            return [*job.outputs]
        case "replay":
            return [job.inputs[0], *job.outputs]
        case "report":
            return [results, results]
    return [*job.inputs, *job.outputs]
