"""Problems of a data set as the config describes it: generated, from a file or from a repository."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from isoflop.config.datasets import FieldMap, FileSource, GithubSource, HubSource, WordproblemsSource
from isoflop.data.eval_logs import problem_rows
from isoflop.data.problems import FieldMapping, Problem, build_problems
from isoflop.data.rows import Row, read_rows, rows_where
from isoflop.data.sources import check_sha256, read_file, read_hub_rows, repository_file
from isoflop.data.word_problems import generate_problems
from isoflop.files import located

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
            rows.append(file_rows(str(path), read_file(path)))
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
    path = located(dataset.path)
    data = read_file(path)
    found = check_sha256(path, data, dataset.sha256)
    rows = rows_where(file_rows(dataset.path, data), dataset.where)
    problems = build_problems(rows, _mapping(dataset.fields), path.stem, dataset.limit, dataset.skip)
    return problems, {
        "files": [{"path": dataset.path, "sha256": found}],
        "where": dataset.where,
        "skip": dataset.skip,
        "limit": dataset.limit,
    }


def file_rows(name: str, data: bytes) -> Iterator[Row]:
    """The rows of a file, of an `.eval` file the samples of the log; raises UserError naming the row."""
    return problem_rows(name, data) if name.lower().endswith(".eval") else read_rows(name, data)


def _mapping(fields: FieldMap) -> FieldMapping:
    return FieldMapping(**fields.model_dump())
