"""Write the problems of one data set.

SPEC is the JSON of `isoflop.specs.ProblemsSpec`. The table's metadata say where the problems come
from.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from isoflop.config.datasets import FileSource, GithubSource, HubSource, WordproblemsSource
from isoflop.data.loading import Provenance, load_file, load_repository, load_wordproblems
from isoflop.data.problems import problem_columns
from isoflop.errors import UserError, run_main
from isoflop.files import write_table
from isoflop.grading.grader import make_grader
from isoflop.specs import ProblemsSpec
from isoflop.stages.shared.command import File, StageCommand
from isoflop.tables import PROBLEMS

# Of the sources as published; None in the table's metadata where it is not known.
LICENSES = {
    "wordproblems": "Apache-2.0",
    "openai/gsm8k": "MIT",
    "openai/grade-school-math": "MIT",
    "google-research/google-research": "CC-BY-4.0",
    "meta-math/MetaMathQA": "MIT",
    "google-research-datasets/mbpp": "CC-BY-4.0",
    "HuggingFaceH4/MATH-500": "MIT",
    "mert-cemri/search-and-learn": "Apache-2.0",
    "QwenLM/Qwen2.5-Math": "MIT",
}

_COMMAND = StageCommand("problems", __doc__, File("out", "table of problems to write"))


def main(arguments: Sequence[str]) -> None:
    """Load the data set that SPEC names and write its table; raises UserError on bad input."""
    given = _COMMAND.read(ProblemsSpec, arguments)
    spec, dataset = given.spec, given.spec.dataset
    name: str
    if isinstance(dataset, WordproblemsSource):
        problems, provenance = load_wordproblems(dataset)
        name = dataset.source
    elif isinstance(dataset, HubSource | GithubSource):
        problems, provenance = load_repository(dataset, Path(spec.mirror) if spec.mirror else None)
        name = dataset.repo
    elif isinstance(dataset, FileSource):
        problems, provenance = load_file(dataset)
        name = dataset.path
    else:
        raise UserError("datasets: problems that only counts name have no table")
    # Before anything is sampled: whether the answers can be graded, and here.
    with make_grader(dataset.grader, allow_unsandboxed=given.runtime.allow_unsandboxed) as grader:
        for problem in problems:
            fault = grader.reference_fault(problem.answer)
            if fault is not None:
                answer = f"reference answer '{problem.answer:.80}'"
                raise UserError(f"{name}: problem '{problem.problem_id}': {answer}: {fault}")
    metadata: Provenance = {
        "source": dataset.source,
        "license": LICENSES.get(name),
        "problems": len(problems),
        **provenance,
    }
    write_table(given.files.out, problem_columns(problems), PROBLEMS, metadata)
    print(f"problems: {len(problems)} from {name}", file=sys.stderr)


if __name__ == "__main__":
    run_main(main)
