import re
import shlex
import sys
from pathlib import Path

from snakemake.settings.types import DeploymentMethod


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
    if PLAN.machine() != "{}":
        commands.append(f"export ISOFLOP_MACHINE={shlex.quote(PLAN.machine())}")
    if CONFIG.engine_settings.allow_unsandboxed:
        commands.append("export ISOFLOP_ALLOW_UNSANDBOXED=1")
    return "; ".join(commands) + "; "


shell.prefix(exports())


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
