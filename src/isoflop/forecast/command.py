"""What an experiment will take and decide, before it runs: jobs, tokens, FLOPs, GPU-hours, disk, intervals.

Nothing is computed and no weights are read.
"""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from isoflop.config.datasets import CountedSource
from isoflop.config.study import Config
from isoflop.errors import UserError
from isoflop.files import write_text
from isoflop.forecast.claim_precision import forecast_precision
from isoflop.forecast.inputs import gather
from isoflop.forecast.study_work import study_work
from isoflop.forecast.tables import Forecast, as_csv, as_json, as_text
from isoflop.forecast.training import LearntData, chain_labels_job, label_job, train_job, trajectories_job
from isoflop.forecast.work import Job, Known, Ranged, ranged, study_jobs
from isoflop.growth.left import Left
from isoflop.pipeline.left import WorkLeft
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.pools import Pool

MODEL_STAGES = ("sample", "revise", "search", "score")
_FORMATS = {"table": as_text, "json": as_json, "csv": as_csv}


def print_forecast(config: Config, form: str, *, offline: bool = False) -> None:
    """Print the forecast, as a `table`, `json` or `csv`, and write it to results/<experiment>/plan.json.

    `offline`: do not ask the hub for sizes of models. Raises UserError where models do not fit the planned
    accelerator.
    """
    plan = Plan(config)
    forecast = make_forecast(plan, Path(), offline=offline)
    write_text(Path(plan.results) / "plan.json", as_json(forecast))
    sys.stdout.write(_FORMATS[form](forecast))
    if forecast.faults:
        raise UserError(f"planned for {config.planning.gpu}: " + "; ".join(forecast.faults))


def make_forecast(plan: Plan, root: Path, *, offline: bool = False) -> Forecast:
    """The forecast of all jobs; results are looked for under `root`."""
    inputs = gather(plan, root, offline=offline)

    def with_models(known: Known) -> list[Job]:
        config, planning = plan.config, plan.config.planning
        learnt = LearntData(config.labels, config.revisions, config.chain_labels)
        return [
            *(train_job(name, entry, learnt, planning, known) for name, entry in config.training.items()),
            *(label_job(name, entry, planning, known) for name, entry in config.labels.items()),
            *(trajectories_job(name, entry, planning, known) for name, entry in config.revisions.items()),
            *(chain_labels_job(name, entry, planning, known) for name, entry in config.chain_labels.items()),
            *study_jobs(study_work(plan), known),
        ]

    light = light_jobs(plan)
    jobs = ranged(with_models, inputs.known, plan.config.planning)
    jobs += [Ranged(job, 0.0, 0.0) for job in light]
    left = shares_left(plan, root, [one.job for one in jobs])
    done = [
        (root / plan.results / one.job.output).is_file() and not share
        for one, share in zip(jobs, left, strict=True)
    ]
    precision = forecast_precision(plan, inputs.known.problems)
    planning = plan.config.planning
    return Forecast(
        plan.config.experiment, planning, jobs, done, inputs.notes, inputs.faults, precision, left
    )


def shares_left(plan: Plan, root: Path, jobs: Sequence[Job]) -> list[float]:
    """Of every job the share of its requests that nobody has computed.

    Jobs that run no model have a share of their own: 1 where what they read is not there, or is to change.
    """
    work = WorkLeft(plan, root)
    shares = []
    for job in jobs:
        there = (root / plan.results / job.output).is_file()
        left = work_left(work, job)
        shares.append(float(not there) if left is None else left.share)
    waiting = {
        _pool(job) for job, share in zip(jobs, shares, strict=True) if share and job.stage in MODEL_STAGES
    }
    return [
        share if job.stage in MODEL_STAGES else max(share, float(_waits(job, waiting)))
        for job, share in zip(jobs, shares, strict=True)
    ]


def work_left(work: WorkLeft, job: Job) -> Left | None:
    """What is missing of a job's table, where that is known."""
    pool = _pool(job)
    if job.stage in ("sample", "revise"):
        return work.candidates(pool)
    if job.stage == "score":
        return work.scores(pool, job.verifier)
    if job.stage == "search" and job.budget is not None:
        return work.searches(pool, job.budget)
    return None


def _pool(job: Job) -> Pool:
    return Pool(job.dataset, job.policy, job.generator)


def _waits(job: Job, waiting: Collection[Pool]) -> bool:
    """Whether a job that runs no model reads a table of one of these pools."""
    of_all = job.stage in ("fit", "report")
    own = job.generator.partition("/")[0]
    return bool(waiting) if of_all else _pool(job)._replace(generator=own) in waiting


def light_jobs(plan: Plan) -> list[Job]:
    """The jobs that run no model."""
    config = plan.config
    jobs = [
        Job("problems", f"problems/{name}.parquet", name)
        for name, entry in config.datasets.items()
        if not isinstance(entry, CountedSource)
    ]
    jobs += [Job("counts", f"counts/{name}.parquet", entry.dataset) for name, entry in config.counts.items()]
    for stage, pools in (("gather_trees", plan.pools.searches()), ("replay", plan.pools.replays())):
        jobs += [Job(stage, f"sample/{'/'.join(pool)}.parquet", *pool) for pool in pools]
    selected = [pool for pool in plan.pools.picked() if pool.generator not in config.counts]
    for stage, pools in (("grade", plan.pools.all()), ("select", selected)):
        jobs += [Job(stage, f"{stage}/{'/'.join(pool)}.parquet", *pool) for pool in pools]
    if config.studies:
        jobs += [Job("fit", "tables/curves.csv"), Job("report", "report.html")]
    return jobs
