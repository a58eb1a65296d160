"""Look at the models of jobs before the first of them runs: all that can be told without sampling.

Tokenizers and configs are read, of local checkpoints the names of the tensors too; no weights. OUT is written
where there is no fault, with the key of SPEC: who finds it there need not look again.
"""

import sys
from collections.abc import Sequence

from isoflop.errors import UserError, run_main
from isoflop.files import write_text
from isoflop.specs import CheckModelsSpec
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.model_checks import UnreachableError, faults_of_job

_COMMAND = StageCommand("check_models", __doc__, File("out", "file to write where there is no fault"))


def model_faults(spec: CheckModelsSpec) -> list[str]:
    """One line per fault, each once. Hub models that cannot be asked for are told on standard error."""
    faults: dict[str, None] = {}
    for job in spec.jobs:
        try:
            faults |= dict.fromkeys(faults_of_job(job.stage, job.spec))
        except UnreachableError as error:
            print(f"not checked before the run: {error}", file=sys.stderr)
    return list(faults)


def check_jobs(spec: CheckModelsSpec) -> None:
    """Raises UserError with every fault, a line each."""
    faults = model_faults(spec)
    if faults:
        noun = "fault" if len(faults) == 1 else "faults"
        raise UserError("\n  ".join([f"{len(faults)} {noun} in the models", *faults]))


def main(arguments: Sequence[str]) -> None:
    """Look at the models of SPEC's jobs; raises UserError with every fault."""
    given = _COMMAND.read(CheckModelsSpec, arguments)
    check_jobs(given.spec)
    write_text(given.files.out, given.spec.key + "\n")


if __name__ == "__main__":
    run_main(main)
