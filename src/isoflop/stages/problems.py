"""Write the problems of one data set: `python -m isoflop.stages.problems SPEC OUT.parquet`.

SPEC is the JSON of `isoflop.pipeline.specs.ProblemsSpec`. The table's metadata say where the problems come
from.
"""

import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from isoflop.config.base import FieldMap, FileSource, GithubSource, HubSource, WordproblemsSource
from isoflop.data.problems import (
    FieldMapping,
    Problem,
    build_problems,
    problem_columns,
    read_rows,
    rows_where,
)
from isoflop.data.sources import check_sha256, read_file, read_hub_rows, repository_file
from isoflop.data.word_problems import generate_problems
from isoflop.errors import UserError
from isoflop.files import read_spec, run_stage, unsandboxed_allowed, write_table
from isoflop.grading.grader import make_grader
from isoflop.pipeline.specs import ProblemsSpec
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

Provenance = dict[str, object]


def load_wordproblems(dataset: WordproblemsSource) -> tuple[list[Problem], Provenance]:
    """Generated problems; fixed by split, size, levels and seed."""
    generated = generate_problems(
        split=dataset.split, size=dataset.size, seed=dataset.seed, levels=list(dataset.levels)
    )
    problems = [
        Problem(one.problem_id, one.prompt, one.answer, one.level, None, one.solution) for one in generated
    ]
    return problems, {"split": dataset.split, "seed": dataset.seed, "levels": list(dataset.levels)}


def load_repository(
    dataset: HubSource | GithubSource, mirror: Path | None
) -> tuple[list[Problem], Provenance]:
    """The files of a hub data set or a GitHub repository, in the order in which the config lists them."""
    rows = []
    for file in dataset.files:
        path = repository_file(dataset.source, dataset.repo, dataset.revision, file.path, file.sha256, mirror)
        if isinstance(dataset, HubSource):
            rows.append(read_hub_rows(path, str(path)))
        else:
            rows.append(read_rows(str(path), read_file(path)))
    of_hub: Provenance = {}
    prefix = Path(dataset.files[0].path).stem
    if isinstance(dataset, HubSource):
        of_hub = {"config": dataset.config, "split": dataset.split}
        prefix = dataset.split
    kept = rows_where(chain.from_iterable(rows), dataset.where)
    problems = build_problems(kept, _mapping(dataset.fields), prefix, dataset.limit, dataset.skip)
    return problems, {
        "repo": dataset.repo,
        **of_hub,
        "revision": dataset.revision,
        "files": [{"path": file.path, "sha256": file.sha256} for file in dataset.files],
        "where": dataset.where,
        "skip": dataset.skip,
        "limit": dataset.limit,
    }


def load_file(dataset: FileSource) -> tuple[list[Problem], Provenance]:
    """A local file."""
    path = Path(dataset.path)
    data = read_file(path)
    found = check_sha256(path, data, dataset.sha256)
    rows = rows_where(read_rows(dataset.path, data), dataset.where)
    problems = build_problems(rows, _mapping(dataset.fields), path.stem, dataset.limit, dataset.skip)
    return problems, {
        "files": [{"path": dataset.path, "sha256": found}],
        "where": dataset.where,
        "skip": dataset.skip,
        "limit": dataset.limit,
    }


def _mapping(fields: FieldMap) -> FieldMapping:
    return FieldMapping(**fields.model_dump())


def main(arguments: Sequence[str]) -> None:
    """Load the data set that SPEC names and write its table; raises UserError on bad input."""
    if len(arguments) != 2:
        raise UserError("usage: python -m isoflop.stages.problems SPEC OUT.parquet")
    spec = read_spec(ProblemsSpec, arguments[0], "problems")
    dataset = spec.dataset
    name: str
    if isinstance(dataset, WordproblemsSource):
        problems, provenance = load_wordproblems(dataset)
        name = dataset.source
    elif isinstance(dataset, HubSource | GithubSource):
        problems, provenance = load_repository(dataset, Path(spec.mirror) if spec.mirror else None)
        name = dataset.repo
    else:
        problems, provenance = load_file(dataset)
        name = dataset.path
    # Before anything is sampled: whether the answers can be graded, and here.
    with make_grader(dataset.grader, allow_unsandboxed=unsandboxed_allowed()) as grader:
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
    write_table(arguments[1], problem_columns(problems), PROBLEMS, metadata)
    print(f"problems: {len(problems)} from {name}", file=sys.stderr)


if __name__ == "__main__":
    run_stage(main)
