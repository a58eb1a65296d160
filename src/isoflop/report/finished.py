"""Where the report, figures and tables of a finished experiment are, and its headline numbers."""

from pathlib import Path

from isoflop.config.study import Config
from isoflop.errors import UserError


def finished(config: Config) -> str:
    """The paths and `tables/headline.md`, and the models of an experiment that trains, as text.

    Raises UserError where the experiment is not finished.
    """
    results = Path("results") / config.experiment
    models = [results / "train" / name for name in config.training]
    report, headline = results / "report.html", results / "tables" / "headline.md"
    expected = [folder / "README.md" for folder in models] + ([report, headline] if config.studies else [])
    for path in expected:
        if not path.is_file():
            raise UserError(f"{path} does not exist; run the experiment first")
    lines = [f"model:   {folder}" for folder in models]
    if config.studies:
        lines += [
            headline.read_text(encoding="utf-8"),
            f"report:  {report}",
            f"tables:  {results / 'tables'}",
            f"figures: {results / 'figures'}",
        ]
    return "\n".join(lines)
