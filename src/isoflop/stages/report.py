"""Tables in the layout of Wu et al. 2024, figures, and the one-file report.

SPEC is the JSON of `isoflop.report.spec.ReportSpec`. Reads `tables/`, `fit/draws.parquet`, the ledgers, how
all candidates end and, for the report's samples, what a few say, under RESULTS; writes `tables/`
(report.spec.TABLES), `figures/` (report.spec.FIGURES as PNG and SVG) and `report.html` under OUT, usually
the same folder.
"""

import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from isoflop.claims.gains import all_gains, gains_csv
from isoflop.claims.wu2024 import wu_claims
from isoflop.errors import UserError, run_main
from isoflop.files import located
from isoflop.fits.curves import curves_columns
from isoflop.report.figures import style as figure_style
from isoflop.report.figures.curves import draw_all
from isoflop.report.figures.trees import draw_trees
from isoflop.report.findings import headline_markdown, headlines
from isoflop.report.html import render
from isoflop.report.lookup import Tables, check_curves, intervals_note, largest_common_budget, setting
from isoflop.report.paper_tables import table1, table3, table3_markdown, table4, table4_latex, table4_markdown
from isoflop.report.published import compare, published_csv, published_markdown, read_published
from isoflop.report.sample_counts import counts_table, coverage_sentences, samples_csv, unread_sentences
from isoflop.report.spec import ReportSpec, cost_label, cost_traits
from isoflop.report.thinking import thinking_sentences
from isoflop.results import result_path, write_result
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.provenance import read_provenance
from isoflop.stages.shared.study_evidence import read_counts, read_samples, read_trees
from isoflop.stages.shared.study_tables import read_csv, read_tables
from isoflop.stages.shared.warm import die_with
from isoflop.verdicts.judge import claims_csv

_COMMAND = StageCommand(
    "report",
    __doc__,
    File("results", "the experiment's folder"),
    File("out", "folder to write to"),
)


def main(arguments: Sequence[str]) -> None:
    """Write everything; raises UserError on bad input."""
    given = _COMMAND.read(ReportSpec, arguments)
    spec, results, out = given.spec, Path(given.files.results), Path(given.files.out)
    tables = read_tables(results, spec)
    check_curves(tables.curves, spec, curves_columns(spec.further_costs))

    provenance = read_provenance(results, spec)
    counts = read_counts(results, provenance.costs, spec.counted)
    found = [
        replace(
            one,
            findings=(
                *one.findings,
                *coverage_sentences(counts, one.dataset, tables.evidence[one.dataset].count),
                *thinking_sentences(tables, spec, one.dataset),
                *unread_sentences(counts, one.dataset),
            ),
        )
        for one in headlines(tables, spec)
    ]
    paper = table4(tables.curves, spec)
    measure = "Coverage" if spec.covers else "Accuracy"
    about_intervals = intervals_note(tables.curves, spec)
    unit = cost_traits(spec).unit
    caption = f"{spec.title}. {unit} per problem: {cost_label(spec)}. {about_intervals}."
    write_result(out / "tables" / "table4.csv", paper.to_csv(index=False, lineterminator="\n"))
    markdown = table4_markdown(paper, spec.datasets, measure=measure, unit=unit)
    write_result(out / "tables" / "table4.md", markdown)
    latex = table4_latex(paper, spec.datasets, caption, f"tab:{spec.experiment}", unit, measure=measure)
    write_result(out / "tables" / "table4.tex", latex)
    if spec.searches:
        lower = table1(tables.curves, spec)
        write_result(out / "tables" / "table1.csv", lower.to_csv(index=False, lineterminator="\n"))
        write_result(out / "tables" / "table1.md", table4_markdown(lower, spec.datasets, unit=unit))
    if spec.program_datasets:
        passed = table3(tables.curves, spec)
        write_result(out / "tables" / "table3.csv", passed.to_csv(index=False, lineterminator="\n"))
        write_result(out / "tables" / "table3.md", table3_markdown(passed, spec.program_datasets, unit))
    published = None
    if spec.published:
        numbers = [read_published(path, read_csv(located(path))) for path in spec.published.files]
        published = compare(tables.curves, spec, pd.concat(numbers, ignore_index=True))
        write_result(out / "tables" / "published.csv", published_csv(published))
        write_result(out / "tables" / "published.md", published_markdown(published))
    about = setting(tables, spec)
    judged = [one for dataset in spec.datasets for one in wu_claims(tables.evidence[dataset], about)]
    tested = claims_csv(judged, spec.experiment)
    write_result(out / "tables" / "claims.csv", tested.to_csv(index=False, lineterminator="\n"))
    write_result(out / "tables" / "headline.md", headline_markdown(found, spec, about_intervals))
    write_result(out / "tables" / "headline.csv", _gains(tables, spec))

    write_result(out / "tables" / "samples.csv", samples_csv(counts, spec.experiment))

    html = render(
        tables,
        spec,
        paper,
        found,
        tested,
        figures=_figures(_Study(tables, spec, results, out), given.runtime.drawers),
        samples={dataset: read_samples(results, tables, spec, dataset) for dataset in spec.datasets},
        provenance=provenance,
        pools=counts_table(counts),
        published=published,
    )
    write_result(out / "report.html", html)


def _gains(tables: Tables, spec: ReportSpec) -> str:
    """The gains of the headlines as CSV."""
    about, budget = setting(tables, spec), largest_common_budget(tables.curves, spec)
    gains = {
        dataset: list(all_gains(tables.evidence[dataset], about, spec.search_names, budget))
        for dataset in spec.datasets
    }
    return gains_csv(gains, spec.experiment, spec.costs).to_csv(index=False, lineterminator="\n")


class _Study(NamedTuple):
    """What figures are drawn from, and the folder of the report."""

    tables: Tables
    spec: ReportSpec
    results: Path
    out: Path


# What a process that draws has of the one that it is forked from.
_studied: list[_Study] = []


def _figures(study: _Study, drawers: int) -> dict[str, bytes]:
    """Write every figure, shared between so many processes; their SVGs by name.

    Raises UserError where one of the processes is killed.
    """
    names = study.spec.figures
    _studied[:] = [study]
    if drawers == 1 or sys.platform != "linux":
        drawn = list(map(_draw, names))
    else:
        # None outlives the job, to write what a new one writes.
        with ProcessPoolExecutor(
            min(drawers, len(names)), get_context("fork"), die_with, (os.getpid(), signal.SIGTERM)
        ) as pool:
            try:
                drawn = list(pool.map(_draw, names))
            except BrokenProcessPool:
                raise UserError(
                    "a process that draws figures was killed: more memory, or fewer threads, may help"
                ) from None
    return {name: svg for found in drawn for name, svg in found.items()}


def _draw(name: str) -> dict[str, bytes]:
    """Write the figure of this name where there is one; its SVG."""
    [study] = _studied
    if name == "search_trees":
        with figure_style.style():
            figures = [(name, draw_trees(read_trees(study.results, study.tables, study.spec)))]
    else:
        figures = [*draw_all(study.tables, study.spec, [name])]
    return {name: _saved(figure, study.out / "figures" / name) for name, figure in figures}


def _saved(figure: Figure, base: Path) -> bytes:
    """Write a figure in both formats; its SVG."""
    with result_path(base.with_suffix(".png")) as png, result_path(base.with_suffix(".svg")) as svg:
        figure_style.save(figure, png, svg)
    return base.with_suffix(".svg").read_bytes()


if __name__ == "__main__":
    run_main(main)
