"""The list of jobs that `isoflop diff` goes by is the list that snakemake goes by."""

from collections import Counter
from pathlib import Path

import pytest
from snakemake_runs import planned, snakemake
from workspace import copy_workflow

from isoflop.config.loading import load_config
from isoflop.forecast.study_work import comparison_spec
from isoflop.pipeline.jobs import needed_jobs
from isoflop.pipeline.plan import Plan

# Rules that are the same stage: one per search and import, and of chains.
STAGES = {"select_revisions": "select"}


@pytest.mark.parametrize(
    "config", ["config.yaml", "configs/shipped-revisions.yaml", "configs/train-revisions.yaml"]
)
def test_jobs_are_those_of_snakemake(config: str, tmp_path: Path) -> None:
    copy_workflow(tmp_path)
    found: Counter[str] = Counter()
    for rule, count in planned(snakemake(tmp_path, "-n", "--configfile", config)).items():
        found[STAGES.get(rule, "gather_trees" if rule.startswith("gather_trees_") else rule)] += count
    loaded = load_config([tmp_path / config], root=tmp_path)
    plan = Plan(loaded, tmp_path)
    jobs = needed_jobs(plan, comparison_spec(plan) if loaded.studies else None)
    assert found == Counter(job.stage for job in jobs)
    read = {path for job in jobs for path in job.inputs if path.startswith("results/")}
    assert read <= {path for job in jobs for path in job.outputs}
