"""A finished experiment: where its report, figures and tables are, its headline numbers, its config."""

import html
import re
from collections.abc import Iterable
from pathlib import Path

from isoflop.config.study import Config
from isoflop.errors import UserError
from isoflop.results import damaged_files, damaged_results, read_result


def finished(config: Config) -> str:
    """The paths and `tables/headline.md`, and the models of an experiment that trains, as text.

    Raises UserError where the experiment is not finished, or its report, a figure or a table is damaged.
    """
    results = _results(config.experiment)
    models = [results / "train" / name for name in config.training]
    report, headline = results / "report.html", results / "tables" / "headline.md"
    expected = [folder / "README.md" for folder in models] + ([report, headline] if config.studies else [])
    for path in expected:
        if not path.is_file():
            raise UserError(f"{path} does not exist; run the experiment first")
    _refuse(damaged_results(results))
    lines = [f"model:   {folder}" for folder in models]
    if config.studies:
        lines += [
            read_result(headline).decode(errors="replace"),
            f"report:  {report}",
            f"tables:  {results / 'tables'}",
            f"figures: {results / 'figures'}",
        ]
    return "\n".join(lines)


def recorded_config(experiment: str) -> str:
    """The config that a finished study was run with, as YAML, without what no result depends on.

    Raises UserError where there is no report, or it has no config.
    """
    path = _results(experiment) / "report.html"
    if not path.is_file():
        raise UserError(f"{path} does not exist; run the experiment first, or name a second config")
    match = re.search(r"<pre>(experiment: .*?)</pre>", read_result(path).decode(errors="replace"), re.DOTALL)
    if match is None:
        raise UserError(f"{path} holds no config; name a second config")
    return html.unescape(match[1])


def check_files(experiment: str, root: Path = Path()) -> None:
    """Look for damage in all files that an experiment has so far; nothing is deleted.

    `root`: the folder it runs in. Raises UserError with a line for each damaged file.
    """
    _refuse(damaged_files(root / _results(experiment)))


def _refuse(faults: Iterable[str]) -> None:
    if lines := list(faults):
        raise UserError("\n".join(lines))


def _results(experiment: str) -> Path:
    return Path("results") / experiment
