"""What an experiment will take and decide, before it runs: jobs, tokens, FLOPs, GPU-hours, disk, intervals.

    python -m isoflop.forecast.command [--config KEY=VALUE ...] [--format table|json|csv] [--offline]
    CONFIG...

Nothing is computed and no weights are read. Also written to results/<experiment>/plan.json. Ends with an
error where a model does not fit the planned accelerator.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from isoflop.config.loading import load_config
from isoflop.errors import UserError
from isoflop.files import run_stage, write_text
from isoflop.forecast.claim_precision import forecast_precision
from isoflop.forecast.inputs import gather
from isoflop.forecast.study_work import study_work
from isoflop.forecast.tables import Forecast, as_csv, as_json, as_text
from isoflop.forecast.training import LearntData, chain_labels_job, label_job, train_job, trajectories_job
from isoflop.forecast.work import Job, Known, Ranged, ranged, study_jobs
from isoflop.pipeline.plan import Plan

_FORMATS = {"table": as_text, "json": as_json, "csv": as_csv}


def main(arguments: Sequence[str]) -> None:
    """Print the forecast and write plan.json; raises UserError on bad input and where models do not fit."""
    options = _options(arguments)
    config = load_config(options.configs, _overrides(options.config), unpinned=True)
    plan = Plan(config)
    forecast = make_forecast(plan, Path(), offline=options.offline)
    write_text(Path(plan.results) / "plan.json", as_json(forecast))
    sys.stdout.write(_FORMATS[options.format](forecast))
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
    done = [(root / plan.results / one.job.output).is_file() for one in jobs]
    precision = forecast_precision(plan, inputs.known.problems)
    planning = plan.config.planning
    return Forecast(plan.config.experiment, planning, jobs, done, inputs.notes, inputs.faults, precision)


def light_jobs(plan: Plan) -> list[Job]:
    """The jobs that run no model."""
    config = plan.config
    found = [Job("problems", f"problems/{name}.parquet", name) for name in config.datasets]
    for stage, pools in (("gather", plan.pools.searches()), ("replay", plan.pools.replays())):
        found += [Job(stage, f"sample/{'/'.join(pool)}.parquet", *pool) for pool in pools]
    for stage, pools in (("grade", plan.pools.all()), ("select", plan.pools.picked())):
        found += [Job(stage, f"{stage}/{'/'.join(pool)}.parquet", *pool) for pool in pools]
    if config.studies:
        found += [Job("fit", "tables/curves.csv"), Job("publish", "report.html")]
    return found


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    summary = (__doc__ or "").split("\n", 1)[0]
    parser = argparse.ArgumentParser(prog="isoflop.forecast.command", description=summary)
    parser.add_argument("configs", nargs="+", metavar="CONFIG", help="config files, later ones on top")
    parser.add_argument("--config", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    parser.add_argument("--format", choices=list(_FORMATS), default="table")
    parser.add_argument("--offline", action="store_true", help="do not ask the hub for sizes of models")
    return parser.parse_args(arguments)


def _overrides(values: Sequence[str]) -> Mapping[str, Any]:
    pairs = [value.partition("=") for value in values]
    wrong = next((key for key, mark, _ in pairs if not mark), None)
    if wrong is not None:
        raise UserError(f"--config: {wrong!r} is not KEY=VALUE")
    try:
        # Only the structure is read here; load_config reads the values as a config file has them.
        return {key: yaml.load(text, Loader=yaml.BaseLoader) for key, _, text in pairs}
    except yaml.YAMLError as error:
        raise UserError(f"--config: {' '.join(values)!r} cannot be read as YAML ({error})") from error


if __name__ == "__main__":
    run_stage(main)
