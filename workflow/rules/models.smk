import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from isoflop.pipeline.preflight import LOADING, at_a_glance, check_models_spec

# Without conda and containers, jobs have what is installed here.
SAME_PYTHON = not METHODS & {DeploymentMethod.CONDA, DeploymentMethod.APPTAINER}

# What a glance shows is told before anything is planned, where there is something left to run; a run then looks
# at the models of its own jobs. Whether this is a dry run is not known here.
if not (
    workflow.remote_exec
    or workflow.subprocess_exec
    or all(is_there(path) for path in REPORT_PLAN.targets())
):
    for fault in at_a_glance(CONFIG, Path(), here=SAME_PYTHON):
        print(f"models: {fault}", file=sys.stderr)


def check_models():
    """Look at the models of all jobs that will run, before the first one; only once while nothing changes."""
    jobs = [
        (job.rule.name, str(job.params.spec))
        for job in workflow.dag.needrun_jobs()
        if job.rule.name in LOADING
    ]
    spec = check_models_spec(jobs, Path())
    # Where conda or an image brings torch, jobs alone have it, and look for themselves.
    if spec is None or workflow.touch or not SAME_PYTHON or find_spec("torch") is None:
        return
    seen = Path(".snakemake") / "isoflop" / f"{CONFIG.experiment}.models-checked"
    if seen.is_file() and seen.read_text().strip() == json.loads(spec)["key"]:
        return
    command = (
        f"{exports()}python -m isoflop.stages.check_models - {shlex.quote(str(seen))}"
    )
    run = subprocess.run(
        ["bash", "-c", command], input=spec, stderr=subprocess.PIPE, text=True
    )
    print(run.stderr, end="", file=sys.stderr)
    if run.returncode:
        raise WorkflowError(
            "the models cannot do what the config asks of them; nothing was run"
        )
