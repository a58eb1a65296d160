"""The report: one HTML file without outside references, from the published tables, figures and samples.

The template escapes everything it is given. The file's own policy (a Content-Security-Policy of inline
styles and inlined images only) keeps a browser from loading or running anything else.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from isoflop.estimate import Estimate, scientific
from isoflop.registries import COST_MODELS
from isoflop.report.captions import FIGURE_CAPTIONS, FIGURE_TITLES
from isoflop.report.coverage import NO_TEXTS, crossings_table, forecast_table
from isoflop.report.findings import Headlines, difference
from isoflop.report.html_choice import choice_tables, claim_tables, worth_telling
from isoflop.report.html_claims import claims_table, evidence_table, several
from isoflop.report.html_rates import rates_table, verifiers_table
from isoflop.report.html_table import Cell, HtmlTable
from isoflop.report.lookup import (
    Fitted,
    Tables,
    curve,
    existing,
    fitted,
    headline_strategy,
    intervals_note,
    of_strategy,
    strategies,
)
from isoflop.report.paper_tables import PASS_RATES_BY, best_cells, table1, table3
from isoflop.report.published import published_html
from isoflop.report.samples import Sample
from isoflop.report.spec import ReportSpec, assumption, cost_column, cost_sentence, cost_traits, is_estimated
from isoflop.report.thinking import thinking_table
from isoflop.strategy import NONE, needs_verifier, selector_name, selector_order

_CLAIMS_TITLE = "Claims of Wu et al. 2024 on these models"
_CLAIMS_NOTE = (
    "Leaving the verifier out of the compute favours search, so every claim that is about compute is tested "
    "with and without it."
)
_COLUMN = 360.0  # points; figures of one panel are narrower


@dataclass(frozen=True)
class StageCost:
    """What one job of a stage used, from its ledger; None where the ledger does not say."""

    stage: str
    job: str
    tokens: int | None
    parameters: int | None
    # Solutions that a verifier could not read, and all that it was given.
    too_long: int = 0
    candidates: int | None = None

    @property
    def flops(self) -> float | None:
        """2 N FLOPs for every token read or written."""
        if self.tokens is None or self.parameters is None:
            return None
        return 2.0 * self.parameters * self.tokens


@dataclass(frozen=True)
class Provenance:
    """What the numbers were made with, read when the report is written."""

    commit: str
    versions: Mapping[str, str]
    notes: Sequence[str] = ()
    costs: Sequence[StageCost] = field(default_factory=tuple)


def render(
    tables: Tables,
    spec: ReportSpec,
    table4: pd.DataFrame,
    found: Sequence[Headlines],
    tested: pd.DataFrame,
    *,
    figures: Mapping[str, bytes],
    samples: Mapping[str, Sequence[Sample]],
    provenance: Provenance,
    pools: HtmlTable,
    published: pd.DataFrame | None = None,
) -> str:
    """The report's HTML.

    `figures`: SVG by name; `samples`: by data set; `pools`: how solutions end; `published` as compared.
    """
    costs = {cost: COST_MODELS[cost].label for cost in spec.costs}
    environment = Environment(
        loader=PackageLoader("isoflop.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    claims = [
        (
            claims_table(
                tested, dataset, several(_CLAIMS_TITLE, dataset, spec.datasets), costs, _CLAIMS_NOTE
            ),
            evidence_table(tested, dataset),
        )
        for dataset in spec.datasets
    ]
    if tables.choice is not None:
        claims += claim_tables(tables.choice, spec)
    shown = [
        {
            "name": name,
            "title": FIGURE_TITLES[name],
            "caption": FIGURE_CAPTIONS[name],
            "uri": "data:image/svg+xml;base64," + base64.b64encode(figures[name]).decode(),
            "wide": _width(figures[name]) > _COLUMN,
        }
        for name in spec.figures
    ]
    return environment.get_template("report.html.j2").render(
        spec=spec,
        cost=cost_sentence(spec),
        intervals=intervals_note(tables.curves, spec),
        assumption=assumption(spec),
        too_long=[unread(cost) for cost in provenance.costs if cost.too_long],
        notes=provenance.notes,
        strategy=selector_name(spec.headline.selector),
        headlines=found,
        choice=[] if tables.choice is None else list(worth_telling(tables.choice)),
        claims=claims,
        figures=shown,
        published=None if published is None else published_html(published),
        tables=[*report_tables(tables, spec, table4), *([pools] if pools.rows else [])],
        aggregated=needs_verifier(spec.headline.selector),
        no_texts=NO_TEXTS if spec.covers else "",
        samples=samples,
        provenance=provenance,
        costs=cost_table(provenance.costs),
    )


def _width(svg: bytes) -> float:
    """The width of a figure, in points."""
    match = re.search(rb'<svg[^>]* width="([0-9.]+)pt"', svg)
    assert match is not None  # matplotlib writes it
    return float(match[1])


def report_tables(tables: Tables, spec: ReportSpec, table4: pd.DataFrame) -> list[HtmlTable]:
    """The papers' tables, then for each data set the curves, the gain of the verifier and the fits."""
    shown = [table4_html(table4, spec, measure="Coverage" if spec.covers else "Accuracy")]
    if spec.searches:
        shown.append(table1_html(table1(tables.curves, spec), spec))
    if spec.program_datasets:
        shown.append(table3_html(table3(tables.curves, spec), spec))
    if tables.revised is not None:
        shown.append(rates_table(tables.revised.rates))
    if tables.verified is not None:
        shown.append(verifiers_table(tables.verified.verifiers, spec))
    if tables.choice is not None:
        shown += choice_tables(tables.choice, spec)
    for dataset in spec.datasets:
        if spec.thinking:
            shown.append(thinking_table(tables, spec, dataset))
        shown.append(curves_table(tables, spec, dataset))
        shown += [forecast_table(tables, spec, dataset), crossings_table(tables, spec, dataset)]
        shown.append(differences_table(tables, spec, dataset))
        shown.append(fits_table(tables, spec, dataset))
    return [table for table in shown if table.rows]


def table1_html(table: pd.DataFrame, spec: ReportSpec) -> HtmlTable:
    """Search at a lower budget against sampling at its largest."""
    note = (
        "The layout of Wu et al. 2024, Table 1: sampling at its largest budget, and of every search the "
        "smallest budget that reaches that accuracy, or its largest; which reaches it is read off the "
        "measured accuracies, without their intervals."
    )
    return replace(table4_html(table, spec), title="Search at a lower budget against sampling", note=note)


def table3_html(table: pd.DataFrame, spec: ReportSpec) -> HtmlTable:
    """Pass rates of programs, sampling against REBASE."""
    note = (
        "The layout of Wu et al. 2024, Table 3: the share of problems of which any sample passes the tests, "
        "at every number of samples of the search. Bold: the higher measured of each number."
    )
    only = spec.model_copy(update={"datasets": spec.program_datasets})
    shown = table4_html(table, only, measure="Pass rate", by=PASS_RATES_BY)
    return replace(shown, title="Programs: sampling against REBASE", note=note)


def table4_html(
    table: pd.DataFrame, spec: ReportSpec, *, measure: str = "Accuracy", by: Sequence[str] = ("model",)
) -> HtmlTable:
    """The table in the layout of Wu et al. 2024, Table 4; the best of each policy in bold."""
    best = best_cells(table, spec.datasets, by)
    header = ["Model", "Strategy", "Samples"]
    unit = cost_traits(spec).unit
    flops = f"{unit} (estimated)" if is_estimated(spec) else unit
    for dataset in spec.datasets:
        header += [f"{flops} {dataset}", f"{measure} {dataset}"]
    rows = []
    for row, (_, line) in enumerate(table.iterrows()):
        cells = [Cell(str(line["model"])), Cell(str(line["strategy"])), Cell(str(line["samples"]))]
        for dataset in spec.datasets:
            if pd.isna(line[f"{dataset}_accuracy"]):
                cells += [Cell("–"), Cell("–")]
                continue
            parts = [float(line[f"{dataset}_{name}"]) for name in ("accuracy", "ci_low", "ci_high")]
            cells.append(Cell(scientific(float(line[f"{dataset}_flops"]))))
            cells.append(Cell(Estimate(*parts).in_percent, (row, dataset) in best))
        rows.append(cells)
    note = (
        "The layout of Wu et al. 2024, Table 4: every model and strategy at one number of samples. "
        "Bold: the highest measured of each model, on the problems that pick it; the next need not be worse."
    )
    return HtmlTable("All models and strategies", note, header, rows, text_columns=2)


def curves_table(tables: Tables, spec: ReportSpec, dataset: str) -> HtmlTable:
    """Accuracy by policy and number of samples, a column per selector, and the headline's cost."""
    shown = [
        strategy
        for selector in selector_order()
        if selector != NONE and (strategy := existing(tables.curves, spec, selector)) is not None
    ]
    headline = headline_strategy(tables.curves, spec)
    rows = []
    for policy in spec.policies:
        lines = {strategy: curve(tables.curves, dataset, policy, strategy) for strategy in shown}
        paid = curve(tables.curves, dataset, policy, headline).set_index("budget")[cost_column(spec)]
        budgets = sorted({int(budget) for line in lines.values() for budget in line["budget"]})
        for budget in budgets:
            cells = [Cell(policy), Cell(str(budget))]
            cells.append(Cell(scientific(float(paid.loc[budget])) if budget in paid.index else "–"))
            for line in lines.values():
                at_budget = line[line["budget"] == budget]
                cells.append(Cell(_accuracy(at_budget.iloc[0]) if len(at_budget) else "–"))
            rows.append(cells)
    header = [
        "Model",
        "Samples",
        f"{cost_traits(spec).unit} ({headline.name})",
        *(strategy.name for strategy in shown),
    ]
    measure = "coverage" if spec.covers else "accuracy"
    note = f"{measure.capitalize()} in percent with its interval. All rows are in tables/curves.csv."
    return HtmlTable(f"{dataset}: {measure} by number of samples", note, header, rows, folded=True)


def _accuracy(row: pd.Series) -> str:
    return Estimate(float(row["accuracy"]), float(row["ci_low"]), float(row["ci_high"])).in_percent


def differences_table(tables: Tables, spec: ReportSpec, dataset: str) -> HtmlTable:
    """Weighted minus majority voting by number of samples, a column per policy; empty without a verifier."""
    strategy = existing(tables.curves, spec, "weighted")
    paired = tables.differences[tables.differences["dataset"] == dataset]
    rows = []
    if strategy is not None:
        of_voting = paired[paired["comparison"] == "weighted - majority"]
        # One vote is the same vote under both, so the rows start at 2.
        for budget in sorted({int(budget) for budget in of_voting["budget"]} - {1}):
            gains = [difference(paired, "weighted - majority", p, strategy, budget) for p in spec.policies]
            rows.append(
                [Cell(str(budget)), *(Cell("–" if gain is None else gain.in_points) for gain in gains)]
            )
    note = (
        "Percentage points with their interval, paired over problems: an interval above 0 is a gain. "
        "More comparisons are in tables/differences.csv."
    )
    return HtmlTable(f"{dataset}: weighted minus majority voting", note, ["Samples", *spec.policies], rows)


def fits_table(tables: Tables, spec: ReportSpec, dataset: str) -> HtmlTable:
    """One row per fit of the headline's strategy, with its parameters, status and fit."""
    strategy = headline_strategy(tables.curves, spec)
    x_names = {cost_column(spec): cost_traits(spec).unit, "samples": "samples", "none": "–"}
    chosen = [(strategy, policy) for policy in (*spec.policies, "all")]
    oracle = next((s for s in strategies(tables.curves, spec, oracle=True) if s.selector == "pass"), None)
    if oracle is not None and oracle != strategy:
        chosen += [(oracle, policy) for policy in spec.policies]
    rows = []
    for listed, policy in chosen:
        fits = of_strategy(tables.fits, dataset, policy, listed)
        fits = fits[fits["cost_model"].isin(list(x_names))]
        if listed is oracle and listed != strategy:
            fits = fits[fits["fit"] == "coverage_power_law"]
        for (name, x), group in fits.groupby(["fit", "cost_model"], sort=False):
            fit = fitted(group)
            if fit is not None:
                rows.append(_fit_row(policy, str(name), x_names[str(x)], fit))
    header = ["Model", "Fit", "x", "Parameters (interval)", "Status", "Points", "R²"]
    note = (
        f"Fits of {strategy.name}, and of pass@k for coverage. A status other than ok says why not to rely "
        "on the numbers. Every strategy and cost model is in tables/fits.csv."
    )
    return HtmlTable(f"{dataset}: fits", note, header, rows, text_columns=5, folded=True)


def _fit_row(policy: str, name: str, x: str, fit: Fitted) -> list[Cell]:
    parameters = "; ".join(f"{key} = {value.text}" for key, value in fit.parameters.items())
    status = f"{fit.status}: {fit.note}" if fit.note else fit.status
    r_squared = "–" if pd.isna(fit.r_squared) else f"{fit.r_squared:.3f}"
    texts = (policy, name.replace("_", " "), x, parameters or "–", status, str(fit.points), r_squared)
    return [Cell(text) for text in texts]


def unread(cost: StageCost) -> str:
    """What became of the solutions of a scoring job that were too long for its verifier."""
    of_all = f" of {cost.candidates:,}" if cost.candidates else ""
    return (
        f"{cost.job}: {cost.too_long:,}{of_all} solutions were too long for the verifier and took no part in "
        "its selections."
    )


def cost_table(costs: Sequence[StageCost]) -> HtmlTable:
    """Tokens and FLOPs of every job that keeps a ledger, and their sum by stage."""
    rows = []
    for stage in dict.fromkeys(cost.stage for cost in costs):
        of_stage = [cost for cost in costs if cost.stage == stage]
        rows += [_cost_row(cost.stage, cost.job, cost.tokens, cost.flops) for cost in of_stage]
        tokens = [cost.tokens for cost in of_stage if cost.tokens is not None]
        flops = [cost.flops for cost in of_stage if cost.flops is not None]
        total = _cost_row(stage, "all", sum(tokens), sum(flops))
        rows.append([Cell(cell.text, bold=True) for cell in total])
    header = ["Stage", "Job", "Tokens", "FLOPs"]
    note = (
        "Tokens charged: each prompt once, all that candidates wrote, all the verifier was given; FLOPs "
        "are 2 N for each. What candidates have in common is computed once, so fewer are computed. Stages "
        "without a model, and training, keep no ledger."
    )
    return HtmlTable("Compute by stage", note, header, rows, text_columns=2)


def _cost_row(stage: str, job: str, tokens: int | None, flops: float | None) -> list[Cell]:
    texts = (
        stage,
        job,
        "–" if tokens is None else f"{tokens:,}",
        "–" if flops is None else scientific(flops),
    )
    return [Cell(text) for text in texts]
