import re
import shlex
import sys
from pathlib import Path

from snakemake.settings.types import DeploymentMethod

from isoflop.stages.shared.gpus import named_devices


def any_of(names):
    """A pattern for one of the names; for none, one that never matches."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


def exports():
    """What every job's shell begins with.

    isoflop is found in conda's environments too, which hold only what it needs. Without conda, jobs use
    the Python that runs snakemake, activated or not.
    """
    source, programs = Path(workflow.basedir) / "src", Path(sys.executable).parent
    commands = ["set -euo pipefail", f"export PYTHONPATH={shlex.quote(str(source))}"]
    if DeploymentMethod.CONDA not in workflow.deployment_settings.deployment_method:
        commands.append(f"export PATH={shlex.quote(str(programs))}:$PATH")
    if PLAN.models.machine() != "{}":
        commands.append(f"export ISOFLOP_MACHINE={shlex.quote(PLAN.models.machine())}")
    if workflow.remote_exec:
        commands.append("export ISOFLOP_GPUS_GIVEN=1")
    if CONFIG.engine_settings.allow_unsandboxed:
        commands.append("export ISOFLOP_ALLOW_UNSANDBOXED=1")
    # Snakemake takes braces for places to fill in.
    return ("; ".join(commands) + "; ").replace("{", "{{").replace("}", "}}")


shell.prefix(exports())

# Where jobs run on this machine, its GPUs are what they share; `--resources gpu=2` leaves some to others.
# Snakemake lowers what a job asks for to that. A training takes a GPU if there is one, or what the config or a
# profile says.
LOCAL = workflow.local_exec and not workflow.remote_exec
TRAINING_GPUS = int(LOCAL)
if LOCAL and PLAN.models.wants_gpus() and workflow.global_resources.get("gpu") is None:
    workflow.register_resource("gpu", len(named_devices() or []))


# Wildcards are the names of the config and nothing else.
wildcard_constraints:
    experiment=any_of([CONFIG.experiment]),
    dataset=any_of(CONFIG.datasets),
    policy=any_of(CONFIG.policies),
    generator=any_of(CONFIG.generators),
    verifier=any_of(CONFIG.verifiers),
    model=any_of(CONFIG.training),
    label=any_of(CONFIG.labels),
    trajectories=any_of(CONFIG.revisions),
    chain_labels=any_of(CONFIG.chain_labels),
    shard=PLAN.paths.shard_pattern(),


def pool_of(w):
    """The pool that a job's wildcards name."""
    return Pool(w.dataset, w.policy, w.generator)


def part(path):
    """An output that may be a part, and then goes when the parts are merged: `path` with `{shard}`."""
    return temp(part_of(path)) if CONFIG.shards > 1 else part_of(path)


def part_input(table, source):
    """An input function of a table's parts; `source` is a pattern, or a function of the wildcards.

    A part that is gone is made when its table is, whose inputs are the same: the times of its own inputs say
    nothing then, and there may be no record of what they held.
    """

    def inputs(w):
        files = source(w) if callable(source) else [source.format(**w)]
        gone = CONFIG.shards > 1 and not Path(part_of(table).format(**w)).exists()
        return [ancient(file) for file in files] if gone else files

    return inputs
