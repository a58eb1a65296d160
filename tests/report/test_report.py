"""The publish stage on a results folder of invented numbers: files, figures and the report."""

import dataclasses
import json
import os
import re
import shutil
import signal
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_results
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from synthetic_results import HOSTILE, Shape, model, write_results

from isoflop import cli
from isoflop.errors import UserError
from isoflop.fits.evidence import Series
from isoflop.report.figures import curves as figures_module
from isoflop.report.figures import style as figure_style
from isoflop.report.figures.curves import draw_all
from isoflop.report.findings import headlines
from isoflop.report.lookup import Tables
from isoflop.report.paper_tables import table4
from isoflop.report.spec import PROGRAM_TABLES, SEARCH_TABLES, TABLES, ReportSpec
from isoflop.results import damaged_files
from isoflop.stages import report as stage
from isoflop.stages.report import main
from isoflop.stages.shared.provenance import own_ledgers
from isoflop.stages.shared.study_tables import read_tables
from isoflop.strategy import Strategy

# Wider than the plotted line, so that neighbouring labels that touch count as overlapping.
PADDING = 1.0
# Of two data sets' policies; the others share the family `all`.
FAMILIES = {"policy-0.1M": "tiny", "policy-0.3M": "tiny"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReportSpec]:
    folder = tmp_path_factory.mktemp("results")
    spec = write_results(folder)
    main([spec.model_dump_json(), str(folder), str(folder)])
    return folder, spec


@pytest.fixture(scope="module")
def two_sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReportSpec]:
    folder = tmp_path_factory.mktemp("two")
    spec = write_results(
        folder, Shape(datasets=("wordproblems", "other_set"), with_levels=False, families=FAMILIES)
    )
    return folder, spec


def read(made: tuple[Path, ReportSpec]) -> Tables:
    return read_tables(*made)


def test_every_promised_file_is_written_and_nothing_else(made: tuple[Path, ReportSpec]) -> None:
    folder, spec = made
    wanted = {f"{name}.{end}" for name in spec.figures for end in ("png", "svg")}
    assert {path.name for path in (folder / "figures").iterdir()} == wanted | {".sums"}
    inputs = {"curves.csv", "fits.csv", "differences.csv", "by_difficulty.csv", "compute_optimal.csv"}
    inputs |= {"exchange.csv", "exchange_curves.csv", "claims_snell2024.csv", "revisions.csv"}
    inputs |= {"verifiers.csv", "calibration.csv"}
    assert {path.name for path in (folder / "tables").iterdir()} == {
        *TABLES,
        *SEARCH_TABLES,
        *PROGRAM_TABLES,
        ".sums",
    } | inputs
    assert not list(damaged_files(folder))
    summed = {path.name.removesuffix(".sha256") for path in folder.rglob(".sums/*")}
    assert {"report.html", "table4.md", "curves.csv", *wanted} <= summed


def test_figures_are_the_same_bytes_in_any_number_of_processes(
    made: tuple[Path, ReportSpec], tmp_path: Path
) -> None:
    folder, spec = made
    main(["--runtime", '{"drawers": 3}', spec.model_dump_json(), str(folder), str(tmp_path)])
    for path in (folder / "figures").glob("*.*g"):
        assert (tmp_path / "figures" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_fault_of_one_figure_is_the_stages_own(
    made: tuple[Path, ReportSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, spec = made
    arguments = ["--runtime", '{"drawers": 2}', spec.model_dump_json(), str(folder), str(tmp_path)]

    def refused(*_: object) -> Figure:
        raise UserError("no such line")

    monkeypatch.setattr(figures_module, "saturation", refused)
    with pytest.raises(UserError, match=r"^no such line$"):
        main(arguments)
    # As the system does where memory is short.
    monkeypatch.setattr(figures_module, "saturation", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(UserError, match="a process that draws figures was killed"):
        main(arguments)


def test_policies_that_are_never_or_always_right_are_published_too(tmp_path: Path) -> None:
    certain = {"policy-0.1M": 0.0, "policy-2.7M": 1.0}
    spec = write_results(tmp_path, Shape(policies=tuple(certain), certain=certain, problems=40))
    main([spec.model_dump_json(), str(tmp_path), str(tmp_path)])
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "policy-0.1M" in report
    assert "nan" not in re.sub(r"data:[^\"]+", "", report).lower().split()


def test_selectors_by_confidence_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, credit = synthetic_results.strategies, synthetic_results.credit
    alike = {"confidence": "best_of_n", "confidence_weighted": "weighted"}

    def with_confidence(generator: str) -> list[tuple[str, str, str]]:
        more = [] if generator == "greedy" else [("none", name, "none") for name in alike]
        return [*asked(generator), *more]

    monkeypatch.setattr(synthetic_results, "strategies", with_confidence)
    monkeypatch.setattr(
        synthetic_results, "credit", lambda name, *numbers: credit(alike.get(name, name), *numbers)
    )
    spec = write_results(tmp_path, Shape(policies=("policy-0.1M", "policy-2.7M"), problems=40))
    headline = spec.headline.model_copy(update={"selector": "confidence_weighted"})
    spec = spec.model_copy(update={"headline": headline})
    # Figures are drawn and not saved: only texts are looked at.
    monkeypatch.setattr(stage, "_saved", lambda *_: b'<svg width="100pt"></svg>')
    main([spec.model_dump_json(), str(tmp_path), str(tmp_path)])
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    for name in ("best-of-n by confidence", "voting weighted by confidence", "sampling+conf", "sampling+cwv"):
        assert name in html, name
    differences = pd.read_csv(tmp_path / "tables/differences.csv")
    against = differences[differences["comparison"] == "strategy - greedy"]["left"]
    assert against.str.endswith("sampling/none/confidence/none").any()


def test_search_at_a_lower_budget_is_set_against_sampling(made: tuple[Path, ReportSpec]) -> None:
    folder, spec = made
    curves = read((folder, spec)).curves
    rows = pd.read_csv(folder / "tables" / "table1.csv")
    assert set(rows["strategy"]) == {"sampling+wv", "rebase+wv", "mcts+wv", "lookahead+wv"}
    for policy in spec.policies:
        own = rows[rows["model"] == policy].set_index("strategy")
        sampled = own.loc["sampling+wv"]
        assert sampled["samples"] == 256
        tree = curves.query(
            f"policy == '{policy}' and generator == 'rebase' and selector == 'weighted' "
            "and step_aggregation == 'min' and subset == 'all'"
        ).sort_values("budget")
        reached = tree[tree["accuracy"] >= sampled["wordproblems_accuracy"]]["budget"].tolist()
        assert own.loc["rebase+wv", "samples"] == (reached or [64])[0]


def test_a_second_run_writes_the_same_bytes(made: tuple[Path, ReportSpec], tmp_path: Path) -> None:
    folder, spec = made
    main([spec.model_dump_json(), str(folder), str(tmp_path)])
    everything = [path for path in tmp_path.rglob("*") if path.is_file()]
    written = [path for path in everything if path.parent.name != ".sums"]
    assert len(everything) == 2 * len(written)
    assert len(written) == 2 * len(spec.figures) + len(TABLES) + len(SEARCH_TABLES) + len(PROGRAM_TABLES) + 1
    for path in everything:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes(), path.name


def test_pngs_have_200_dots_per_inch_and_print_width(made: tuple[Path, ReportSpec]) -> None:
    folder, spec = made
    for name in spec.figures:
        with Image.open(folder / "figures" / f"{name}.png") as image:
            assert image.width / 200 in {figure_style.COLUMN_WIDTH, figure_style.TEXT_WIDTH}


def laid_out(figure: Figure) -> Figure:
    with figure_style.style():
        figure.set_dpi(figure_style.PNG_DPI)
        figure.draw_without_rendering()
    return figure


@pytest.fixture(scope="module")
def figures(made: tuple[Path, ReportSpec], two_sets: tuple[Path, ReportSpec]) -> dict[str, Figure]:
    return {
        f"{name} of {len(spec.datasets)} data sets": laid_out(figure)
        for folder, spec in (made, two_sets)
        for name, figure in draw_all(read((folder, spec)), spec)
    }


def visible_texts(figure: Figure) -> list[Text]:
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    # Axis labels that an inner panel of shared axes hides stay in the tree without being drawn.
    hidden = {
        label
        for axes in figure.axes
        for axis, bounds in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()))
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for label in (tick.label1, tick.label2)
        if not min(bounds) * 0.999 <= tick.get_loc() <= max(bounds) * 1.001
    }
    return [text for text in found if text not in hidden]


def check_text(figure: Figure, name: str) -> None:
    """No text is small, cut off or over another."""
    boxes = [(text, text.get_window_extent()) for text in visible_texts(figure)]
    assert boxes
    for text, box in boxes:
        assert text.get_fontsize() >= 7, f"{name}: {text.get_text()}"
        edges = (box.x0, box.y0, figure.bbox.x1 - box.x1, figure.bbox.y1 - box.y1)
        assert min(edges) >= -1, f"{name}: {text.get_text()} is cut off"
    for i, (first, box) in enumerate(boxes):
        for second, other in boxes[:i]:
            beside = box.x1 + PADDING <= other.x0 or other.x1 + PADDING <= box.x0
            clear = beside or box.y1 <= other.y0 or other.y1 <= box.y0
            assert clear, f"{name}: {first.get_text()!r} overlaps {second.get_text()!r}"


def test_text_is_legible_inside_the_figure_and_does_not_overlap(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        check_text(figure, name)


def test_legends_cover_no_data(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        assert not any(axes.get_legend() for axes in figure.axes), name
        for legend in figure.legends:
            box = legend.get_window_extent()
            for axes in figure.axes:
                assert not box.overlaps(axes.get_window_extent()), name


def test_a_figure_shows_the_numbers_of_the_table(
    made: tuple[Path, ReportSpec], figures: dict[str, Figure]
) -> None:
    rows = read(made).curves.query(
        "policy == 'policy-0.9M' and selector == 'weighted' and step_aggregation == 'min' "
        "and subset == 'all' and generator == 'sampling'"
    )
    wanted = list(zip(rows["flops_total"], 1 - rows["accuracy"], strict=True))
    lines = figures["error_by_size of 1 data sets"].axes[0].lines
    assert wanted in [list(zip(*line.get_data(), strict=True)) for line in lines]


def test_the_fit_drawn_is_the_one_of_the_largest_weight(made: tuple[Path, ReportSpec]) -> None:
    """Of a strategy's fits under one cost model that hold; without one, the legend has none either."""
    folder, spec = made
    tables = read((folder, spec))
    axes = figures_module.error_by_size(tables, spec).axes[0]
    dashed = [line for line in axes.lines if line.is_dashed() and len(line.get_xdata())]
    strategy = (
        "selector == 'weighted' and step_aggregation == 'min' and subset == 'all' and generator == 'sampling'"
    )
    held = tables.draws.query(f"kind == 'fit' and cost_model == 'flops_total' and {strategy}")
    assert len(dashed) == held["policy"].nunique() > 0
    policy = str(held["policy"].iloc[0])
    own = held[held["policy"] == policy]
    weak = own.assign(fit="weaker", y=0.123)
    rows = tables.fits.query(f"policy == '{policy}' and cost_model == 'flops_total' and {strategy}").iloc[:1]
    weights = [rows.assign(fit=fit, parameter="akaike_weight", value=value)
               for fit, value in ((own["fit"].iloc[0], 0.8), ("weaker", 0.2), ("failed", 0.9))]  # fmt: skip
    both = dataclasses.replace(tables, draws=pd.concat([weak, own]), fits=pd.concat(weights))
    [line] = [line for line in figures_module.error_by_size(both, spec).axes[0].lines
              if line.is_dashed() and len(line.get_xdata())]  # fmt: skip
    first = own[own["fit"] == own["fit"].iloc[0]].sort_values("x")
    assert line.get_ydata().tolist() == first["y"].tolist()
    none = figures_module.error_by_size(dataclasses.replace(tables, draws=tables.draws.iloc[:0]), spec)
    assert "fit" not in [text.get_text() for text in none.legends[0].get_texts()]


def test_without_levels_the_figure_says_so(figures: dict[str, Figure]) -> None:
    figure = figures["accuracy_by_level of 2 data sets"]
    assert "no difficulty levels" in " ".join(text.get_text() for text in figure.findobj(Text))


def restricted(tables: Tables, curves: pd.DataFrame, copies: Mapping[str, str]) -> Tables:
    """The tables of an experiment with these curves alone; `copies`: policies by those they are copies of."""
    how = ["policy", "generator", "selector", "verifier", "step_aggregation"]
    kept: dict[tuple[str, ...], set[int]] = {}
    for row in curves[curves["subset"] == "all"].to_dict("records"):
        kept.setdefault(tuple(row[name] for name in how), set()).add(row["budget"])
    evidence = {}
    for dataset, one in tables.evidence.items():
        series = {}
        for key, budgets in kept.items():
            policy, strategy = key[0], Strategy(*key[1:])
            found = one.series.get((copies.get(policy, policy), strategy))
            if found is None:
                continue
            at = np.isin(found.budgets, list(budgets))
            series[policy, strategy] = Series(
                policy,
                strategy,
                found.budgets[at],
                found.credits[at],
                {cost: values[at] for cost, values in found.costs.items()},
            )
        evidence[dataset] = dataclasses.replace(one, series=series)
    sizes = dict(zip(curves["policy"], curves["policy_params"].astype(int), strict=True))
    return dataclasses.replace(tables, curves=curves, evidence=evidence, parameters=sizes)


def test_odd_experiments_have_every_figure_and_sentence(made: tuple[Path, ReportSpec]) -> None:
    folder, spec = made
    tables = read((folder, spec))
    curves = tables.curves
    majority = spec.headline.model_copy(update={"selector": "majority"})
    best_of_n = spec.headline.model_copy(update={"selector": "best_of_n"})
    names = {f"a-long-policy-name-{i}B": i * 1e9 for i in (1, 3, 7)}
    extra = [
        curves[curves["policy"] == "policy-2.7M"].assign(policy=name, policy_params=size)
        for name, size in names.items()
    ]
    many = pd.concat([curves, *extra], ignore_index=True)
    copies = dict.fromkeys(names, "policy-2.7M")
    # Figures are drawn where their layout is another.
    cases: list[tuple[pd.DataFrame, dict[str, object], bool]] = [
        (curves[curves["generator"] != "greedy"], {}, False),
        (curves[curves["verifier"] == "none"], {"verifiers": (), "headline": majority}, True),
        (curves[curves["selector"] == "best_of_n"], {"headline": best_of_n}, False),
        (curves[curves["policy"] == "policy-0.9M"], {"policies": ("policy-0.9M",)}, True),
        (curves[curves["budget"] == 1], {}, False),
        (many, {"policies": tuple(dict.fromkeys(many["policy"]))}, True),
    ]
    for table, changes, drawn in cases:
        odd, changed = restricted(tables, table, copies), spec.model_copy(update=changes)
        if drawn:
            for name, figure in draw_all(odd, changed):
                check_text(laid_out(figure), f"{name} of {changes}")
        assert headlines(odd, changed)[0].best
        assert len(table4(table, changed)) >= 1


def test_only_greedy_candidates_are_refused_by_name(made: tuple[Path, ReportSpec]) -> None:
    folder, spec = made
    tables = read((folder, spec))
    greedy = dataclasses.replace(tables, curves=tables.curves[tables.curves["generator"] == "greedy"])
    with pytest.raises(UserError, match="add a generator that samples"):
        headlines(greedy, spec)


class References(HTMLParser):
    """Every attribute that could load or link something, and every element that could run something."""

    LOADING = frozenset(
        {"src", "href", "srcset", "action", "data", "poster", "formaction", "background", "ping"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in self.LOADING:
                self.loads.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)


def test_the_report_refers_to_nothing_outside(made: tuple[Path, ReportSpec]) -> None:
    folder, spec = made
    html = (folder / "report.html").read_text(encoding="utf-8")
    found = References()
    found.feed(html)
    assert len([load for load in found.loads if load.startswith("data:image/")]) == len(spec.figures)
    assert all(load.startswith(("data:image/", "#")) for load in found.loads)
    assert not found.tags & {"script", "link", "iframe", "object", "embed", "base", "form", "svg"}
    assert not found.handlers
    style = html.partition("<style>")[2].partition("</style>")[0]
    assert style
    assert "url(" not in style
    assert "@import" not in style


@pytest.fixture(scope="module")
def odd_report(made: tuple[Path, ReportSpec], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report of hostile texts, and of solutions that were too long for the verifier."""
    folder, spec = made
    copy = tmp_path_factory.mktemp("odd") / "results"
    shutil.copytree(folder, copy)
    path = copy / "score/wordproblems/policy-0.1M/sampling/prm.ledger.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"too_long": 1234, "candidates": 5000}))
    hostile = spec.model_copy(update={"title": HOSTILE, "config_yaml": f"</pre>{HOSTILE}"})
    with pytest.MonkeyPatch.context() as patch:
        # No figure tells of what is odd: they are those of the copy.
        patch.setattr(stage, "_saved", lambda _, base: base.with_suffix(".svg").read_bytes())
        main([hostile.model_dump_json(), str(copy), str(copy)])
    return (copy / "report.html").read_text(encoding="utf-8")


def test_hostile_model_text_and_config_are_escaped(odd_report: str) -> None:
    assert "&lt;script&gt;alert(" in odd_report
    assert "<script" not in odd_report
    assert '<img src="http' not in odd_report
    found = References()
    found.feed(odd_report)
    assert "script" not in found.tags
    assert not found.handlers


def test_the_report_shows_right_wrong_and_fooled_samples(made: tuple[Path, ReportSpec]) -> None:
    folder, spec = made
    html = (folder / "report.html").read_text(encoding="utf-8")
    for kind in ("right", "wrong", "verifier fooled", "passed over"):
        assert f">{kind}</span>" in html
    assert "The answer is" in html
    assert str(spec.seed) in html
    # One job per policy in each of two stages, and the sum of each stage.
    flops = sum(2 * model(policy)["parameters"] * 1_501_200 for policy in spec.policies)
    assert f"{flops:.1e}".replace("e+0", "e").replace("e+", "e") in html


ROOT = Path(__file__).parents[2]


def test_the_outcome_is_the_paths_and_the_sentences(
    made: tuple[Path, ReportSpec],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, _ = made
    config = (ROOT / "config.yaml").read_text(encoding="utf-8")
    config = config.replace("experiment: shipped", "experiment: 'mine'  # a study")
    (tmp_path / "mine.yaml").write_text(config, encoding="utf-8")
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"results/mine/report\.html does not exist"):
        cli.main(["show", "mine.yaml"])
    shutil.copytree(folder, "results/mine")
    cli.main(["show", "mine.yaml"])
    printed = capsys.readouterr().out
    assert "results/mine/report.html" in printed
    assert "results/mine/tables" in printed
    for budget in ("Low", "Middle", "High"):
        assert f"- {budget} budget, at most" in printed


def test_the_outcome_of_a_training_is_its_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ROOT / "configs" / "train-shipped.yaml"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"policy-0\.1M/README\.md does not exist"):
        cli.main(["show", str(config)])
    for name in ("policy-0.1M", "policy-0.3M", "policy-0.9M", "policy-2.7M", "prm-1.7M"):
        folder = tmp_path / "results" / "train-shipped" / "train" / name
        folder.mkdir(parents=True)
        (folder / "README.md").touch()
    cli.main(["show", str(config)])
    assert capsys.readouterr().out.count("model:") == 5


def test_an_unknown_key_of_the_specification_is_named(made: tuple[Path, ReportSpec]) -> None:
    folder, spec = made
    wrong = json.dumps(spec.model_dump(mode="json") | {"colour": "red"})
    with pytest.raises(UserError, match="colour"):
        main([wrong, str(folder), str(folder)])


def test_a_policy_without_rows_is_named(made: tuple[Path, ReportSpec], tmp_path: Path) -> None:
    folder, spec = made
    wrong = spec.model_copy(update={"policies": (*spec.policies, "policy-9B")})
    with pytest.raises(UserError, match=r"policy policy-9B .* has no rows"):
        main([wrong.model_dump_json(), str(folder), str(tmp_path)])


def test_a_missing_table_is_named(tmp_path: Path, made: tuple[Path, ReportSpec]) -> None:
    folder, spec = made
    (tmp_path / "fit").mkdir()
    shutil.copy(folder / "fit" / "draws.parquet", tmp_path / "fit")
    with pytest.raises(UserError, match=r"curves\.csv: cannot be read"):
        main([spec.model_dump_json(), str(tmp_path), str(tmp_path)])


def test_solutions_too_long_for_the_verifier_are_told(made: tuple[Path, ReportSpec], odd_report: str) -> None:
    told = "wordproblems/policy-0.1M/sampling/prm: 1,234 of 5,000 solutions were too long for the verifier"
    assert told in odd_report
    assert "too long for the verifier" not in (made[0] / "report.html").read_text(encoding="utf-8")


def test_a_finding_says_what_revisions_do(made: tuple[Path, ReportSpec]) -> None:
    _, spec = made
    tables = read(made)
    assert tables.revised is not None
    rates = tables.revised.rates.query("dataset == 'wordproblems' and policy == 'reviser-2.7M'")
    shares = {(row["measure"], row["place"]): f"{100 * row['value']:.1f}%" for _, row in rates.iterrows()}
    last = str(max(int(place) for measure, place in shares if measure == "pass@1"))
    (said,) = [text for text in headlines(tables, spec)[0].findings if "reviser-2.7M" in text]
    assert said.startswith("A revision by reviser-2.7M (revisions) makes")
    for told in (
        ("correct to incorrect", "all"),
        ("incorrect to correct", "all"),
        ("pass@1", "1"),
        ("pass@1", last),
    ):
        assert shares[told].rstrip("%") in said


def test_ledgers_are_those_of_the_experiments_jobs(made: tuple[Path, ReportSpec], tmp_path: Path) -> None:
    _, spec = made
    pools = (("wordproblems", "reviser-2.7M", "revisions"),)
    ours = [
        "sample/wordproblems/policy-0.1M/sampling.ledger.json",
        "sample/wordproblems/reviser-2.7M/revisions.ledger.json",
        "score/wordproblems/policy-0.1M/sampling/prm.ledger.json",
        "score/wordproblems/reviser-2.7M/revisions/orm-history.ledger.json",
    ]
    others = [
        "sample/wordproblems/policy-0.1M/earlier.ledger.json",
        "sample/wordproblems/reviser-2.7M/sampling.ledger.json",
        "sample/elsewhere/policy-0.1M/sampling.ledger.json",
        "score/wordproblems/reviser-2.7M/revisions/earlier.ledger.json",
    ]
    for name in (*ours, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    found = own_ledgers(tmp_path, spec.model_copy(update={"pools": pools}))
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ours
