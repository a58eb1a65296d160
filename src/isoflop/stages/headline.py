"""Print where the report, figures and tables of a finished experiment are, and its headline numbers.

python -m isoflop.stages.headline results/EXPERIMENT
"""

from collections.abc import Sequence
from pathlib import Path

from isoflop.errors import UserError
from isoflop.stages.common import run_stage


def main(arguments: Sequence[str]) -> None:
    """Print the paths and `tables/headline.md`; raises UserError where the experiment is not finished."""
    if len(arguments) != 1:
        raise UserError("usage: python -m isoflop.stages.headline results/EXPERIMENT")
    results = Path(arguments[0])
    report, headline = results / "report.html", results / "tables" / "headline.md"
    for path in (report, headline):
        if not path.is_file():
            raise UserError(f"{path} does not exist; run the experiment first")
    print(headline.read_text(encoding="utf-8"))
    print(f"report:  {report}")
    print(f"tables:  {results / 'tables'}")
    print(f"figures: {results / 'figures'}")


if __name__ == "__main__":
    run_stage(main)
