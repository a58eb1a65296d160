import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from isoflop.pipeline.preflight import LOADING, at_a_glance, check_models_spec

# Without conda, jobs have what is installed here.
HERE = DeploymentMethod.CONDA not in workflow.deployment_settings.deployment_method

# What a glance shows is told before anything is planned, where there is something left to run; a run then looks
# at the models of its own jobs. Whether this is a dry run is not known here.
if not (
    workflow.remote_exec
    or workflow.subprocess_exec
    or all(Path(path).exists() for path in REPORT_PLAN.targets())
):
    for fault in at_a_glance(CONFIG, Path(), here=HERE):
        print(f"models: {fault}", file=sys.stderr)


def check_models():
    """Look at the models of all jobs that will run, before the first one; only once while nothing changes."""
    jobs = [
        (job.rule.name, str(job.params.spec))
        for job in workflow.dag.needrun_jobs()
        if job.rule.name in LOADING
    ]
    spec = check_models_spec(jobs, Path())
    # Where conda brings torch, jobs alone have it, and look for themselves.
    if spec is None or workflow.touch or find_spec("torch") is None:
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
