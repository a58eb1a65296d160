import json
import os
import re
import subprocess
import sys
from functools import cache
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


def stage_of(rule):
    """The stage that a rule runs, whatever a workflow that uses this one calls the rule."""
    found = re.search(r"python -m isoflop\.stages\.(\w+)", rule.shellcmd or "")
    return None if found is None else found[1]


def check_models():
    """Look at the models of all jobs that will run, before the first one; only once while nothing changes."""
    jobs = [
        (stage, str(job.params.spec))
        for job in workflow.dag.needrun_jobs()
        if (stage := stage_of(job.rule)) in LOADING
    ]
    spec = check_models_spec(jobs, Path())
    # Where conda or an image brings torch, jobs alone have it, and look for themselves.
    if spec is None or workflow.touch or not SAME_PYTHON or find_spec("torch") is None:
        return
    seen = Path(".snakemake") / "isoflop" / f"{CONFIG.experiment}.models-checked"
    if seen.is_file() and seen.read_text().strip() == json.loads(spec)["key"]:
        return
    # The GPUs of this machine say nothing of jobs that run on others.
    hidden = "" if LOCAL else "export CUDA_VISIBLE_DEVICES=; "
    stage = f"python -m isoflop.stages.check_models - {shlex.quote(str(seen))}"
    command = f"{exports()}{hidden}{stage}"
    run = subprocess.run(
        ["bash", "-c", command], input=spec, stderr=subprocess.PIPE, text=True
    )
    print(run.stderr, end="", file=sys.stderr)
    if run.returncode:
        raise WorkflowError(
            "the models cannot do what the config asks of them; nothing was run"
        )


@cache
def check_models_later():
    """Of a module: look at the models when the run starts, before what its own workflow does then.

    That workflow's `onstart` is the only one that Snakemake keeps; it is known once inputs are asked for.
    """
    theirs = workflow._onstart

    def onstart(log):
        check_models()
        theirs(log)

    workflow._onstart = onstart
