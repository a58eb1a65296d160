import os
import re
import sys
from pathlib import Path

# Jobs use the Python that runs snakemake, activated or not; a conda environment puts itself before it.
os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"]]
)

# Wildcards are the names of the config and nothing else.


def any_of(names):
    """A pattern for one of the names; for none, one that never matches."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


wildcard_constraints:
    experiment=any_of([CONFIG.experiment]),
    dataset=any_of(CONFIG.datasets),
    policy=any_of(CONFIG.policies),
    generator=any_of(CONFIG.generators),
    verifier=any_of(CONFIG.verifiers),
    model=any_of(CONFIG.training),
    label=any_of(CONFIG.labels),
