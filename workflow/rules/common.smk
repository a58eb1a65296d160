import os
import re
import shlex
import sys
from pathlib import Path

# Jobs use the Python that runs snakemake, activated or not; a conda environment puts itself before it.
os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"]]
)
# After that activation, so that isoflop is found there too: the environments hold only what it needs.
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={shlex.quote(str(Path(workflow.basedir) / 'src'))}; "
)


def any_of(names):
    """A pattern for one of the names; for none, one that never matches."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


# Wildcards are the names of the config and nothing else.
wildcard_constraints:
    experiment=any_of([CONFIG.experiment]),
    dataset=any_of(CONFIG.datasets),
    policy=any_of(CONFIG.policies),
    generator=any_of(CONFIG.generators),
    verifier=any_of(CONFIG.verifiers),
    model=any_of(CONFIG.training),
    label=any_of(CONFIG.labels),
