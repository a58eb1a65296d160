"""Verifiers and step aggregations against one another (Snell et al. 2024, appendix; Wu et al. 2024, 3)."""

from matplotlib.figure import Figure

from isoflop.report.figures import style as fs
from isoflop.report.figures.panels import band, handle, message, policy_panels
from isoflop.report.lookup import Tables, curve, headline_strategy
from isoflop.report.spec import ReportSpec
from isoflop.strategy import Strategy, needs_verifier, selector_name


def compared(tables: Tables, spec: ReportSpec) -> dict[str, Strategy]:
    """Every verifier and step aggregation of the headline's generator, by what a legend calls it.

    Under the headline's selector, or best-of-n where that asks no verifier.
    """
    selector = spec.headline.selector if needs_verifier(spec.headline.selector) else "best_of_n"
    generator = headline_strategy(tables.curves, spec).generator
    rows = tables.curves[(tables.curves["generator"] == generator) & (tables.curves["selector"] == selector)]
    strategies = {}
    for verifier in (name for name in spec.verifiers if name in set(rows["verifier"])):
        for how in dict.fromkeys(rows.loc[rows["verifier"] == verifier, "step_aggregation"]):
            name = how if len(spec.verifiers) == 1 else f"{verifier}, {how}"
            if verifier in spec.outcome_verifiers:
                name = verifier  # one score of a solution is the same under every aggregation
            strategies[name] = Strategy(generator, selector, verifier, str(how))
    return strategies


def verifiers(tables: Tables, spec: ReportSpec) -> Figure:
    """Accuracy over the number of samples by verifier and step aggregation, a panel per policy."""
    series = compared(tables, spec)
    if len(series) < 2:
        return message("This experiment scores solutions in one way.")
    styles = fs.generator_styles(list(series))
    (selector,) = {strategy.selector for strategy in series.values()}
    label = f"accuracy of {selector_name(selector)} (%)"
    figure, panels = policy_panels(tables, spec, "samples per problem", label)
    for axes, dataset, policy in panels:
        budgets: set[int] = set()
        for name, strategy in series.items():
            line = curve(tables.curves, dataset, policy, strategy)
            budgets |= set(line["budget"].astype(int))
            band(axes, line, styles[name])
        if budgets:
            fs.samples_axis(axes, sorted(budgets))
    fs.legend_above(figure, [handle(styles[name], name) for name in series])
    return figure
