"""Print where the report, figures and tables of a finished experiment are, and its headline numbers.

python -m isoflop.outcome CONFIG.yaml
"""

from collections.abc import Sequence
from pathlib import Path

from isoflop.config.loading import load_config
from isoflop.errors import UserError
from isoflop.files import run_stage


def main(arguments: Sequence[str]) -> None:
    """Print the paths and `tables/headline.md`, or the models of an experiment that only trains.

    Raises UserError where the experiment is not finished.
    """
    if len(arguments) != 1:
        raise UserError("usage: python -m isoflop.outcome CONFIG.yaml")
    config = load_config(arguments)
    results = Path("results") / config.experiment
    models = [results / "train" / name for name in config.training]
    report, headline = results / "report.html", results / "tables" / "headline.md"
    expected = [folder / "README.md" for folder in models] + ([report, headline] if config.studies else [])
    for path in expected:
        if not path.is_file():
            raise UserError(f"{path} does not exist; run the experiment first")
    for folder in models:
        print(f"model:   {folder}")
    if config.studies:
        print(headline.read_text(encoding="utf-8"))
        print(f"report:  {report}")
        print(f"tables:  {results / 'tables'}")
        print(f"figures: {results / 'figures'}")


if __name__ == "__main__":
    run_stage(main)
