"""The figures and the table of chains of revisions: what they show is what the tables say."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from isoflop.errors import UserError
from isoflop.fits.revision_rates import BROKEN, FIXED, PASS
from isoflop.report.figures import style as figure_style
from isoflop.report.figures.allocation import baseline_label
from isoflop.report.figures.revisions import (
    compared_selections,
    longest_chains,
    ratio_text,
    revision_chain,
    revision_ratio,
    revision_ratio_by_bin,
    revision_sequential,
    revision_verifiers,
)
from isoflop.report.html_rates import rates_table
from isoflop.report.spec import Headline, ReportSpec, figure_names, judgements
from isoflop.stages.report import main

SELECTED = (
    ("orm-history", "weighted", "last"), ("orm", "weighted", "last"), ("prm", "weighted", "min"),
    ("prm", "weighted", "last"), ("none", "majority", "none"), ("orm-history", "best_of_n", "last"),
)  # fmt: skip


def spec(**changes: Any) -> ReportSpec:
    return ReportSpec(
        experiment="x",
        title="x",
        datasets=("d",),
        policies=("small",),
        generators=("sampling",),
        revisions={"revisions": ("orm-history", "orm", "prm")},
        outcome_verifiers=("orm-history", "orm"),
        step_aggregations=("last", "min"),
        headline=Headline(selector="weighted", step_aggregation="min", cost_model="total"),
        level=0.95,
        config_yaml="x",
        seed=1,
        code="0",
    ).model_copy(update=changes)


def accuracy(verifier: str, length: int, budget: int) -> float:
    return round(0.3 + 0.01 * budget + 0.002 * length + 0.0005 * len(verifier), 4)


def curves(lengths: tuple[int, ...] = (1, 2, 4), largest: int = 8, policy: str = "reviser") -> pd.DataFrame:
    rows = []
    for length in lengths:
        for verifier, selector, how in SELECTED:
            for chains in (1, 2, 4, 8):
                if (budget := length * chains) > largest:
                    continue
                value = accuracy(verifier + how, length, budget)
                rows.append(
                    {
                        "dataset": "d", "policy": policy, "generator": f"revisions/{length}",
                        "verifier": verifier, "selector": selector, "step_aggregation": how,
                        "subset": "all", "budget": budget, "accuracy": value,
                        "ci_low": value - 0.1, "ci_high": value + 0.05,
                    }
                )  # fmt: skip
    one_level = [row | {"subset": "1", "accuracy": 0.0} for row in rows]
    return pd.DataFrame([*rows, *one_level])


def rates() -> pd.DataFrame:
    rows = [
        ("1", PASS, 0.4), ("2", PASS, 0.5), ("2", BROKEN, 0.2), ("2", FIXED, 0.3), ("3", PASS, 0.6),
        ("3", BROKEN, 0.1), ("all", BROKEN, 0.15), ("all", FIXED, 0.3),
    ]  # fmt: skip
    return pd.DataFrame(
        [
            {
                "dataset": "d", "policy": "reviser", "generator": "revisions", "place": place,
                "measure": measure, "value": value, "ci_low": value - 0.1, "ci_high": value + 0.1,
                "answers": 1200, "problems": 10,
            }
            for place, measure, value in rows
        ]
    )  # fmt: skip


def by_difficulty(lengths: tuple[int, ...] = (1, 2, 4)) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "dataset": "d", "policy": "reviser", "family": family, "strategy": f"revisions/{length}{how}",
                "budget": budget, "samples": budget, "difficulty": kind, "bin": name,
                "accuracy": 0.1 * int(name) + 0.01 * length + 0.001 * budget + (0.005 if how else 0),
                "ci_low": 0.0, "ci_high": 1.0,
            }
            for family in ("ratios", "again")
            for how in ("", "+majority", "+best_of_n")
            for kind in ("oracle", "predicted")
            for length in lengths
            for budget in (4, 8, 16)
            if budget < 16 or length > 2
            for name in ("1", "2", "10")
        ]
    )  # fmt: skip


def lines(axes: Axes) -> list[list[tuple[float, float]]]:
    """The points of all lines with markers or bars, once each."""
    found = [
        [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]
        for line in axes.lines
        if line.get_marker() not in {"None", "|", "_"}
    ]
    return [line for line in found if line]


def text(figure: Figure) -> str:
    return " ".join(one.get_text() for one in figure.findobj(Text))


def legend(figure: Figure) -> list[str]:
    return [one.get_text() for one in figure.legends[0].get_texts()]


def bar_ends(axes: Axes) -> list[tuple[float, float]]:
    """Lower and upper ends of all interval bars."""
    segments = [segment for bars in axes.containers for segment in bars.lines[2][0].get_segments()]
    return [(round(float(low), 6), round(float(high), 6)) for (_, low), (_, high) in segments]


def test_pass_and_turned_answers_are_those_of_the_table_by_place() -> None:
    with figure_style.style():
        figure = revision_chain(rates())
    above, below = figure.axes
    assert [round(y, 6) for _, y in lines(above)[0]] == [0.4, 0.5, 0.6]
    assert [x for x, _ in lines(above)[0]] == [1, 2, 3]
    assert bar_ends(above) == [(0.3, 0.5), (0.4, 0.6), (0.5, 0.7)]
    [reference] = [line for line in above.lines if line.is_dashed()]
    assert set(np.asarray(reference.get_ydata())) == {0.4}
    drawn = {tuple(y for _, y in line) for line in lines(below)}
    assert drawn == {(0.2, 0.1), (0.3,)}
    assert legend(figure) == [PASS, BROKEN, FIXED, "pass@1 of parallel samples"]


def test_sequential_is_the_longest_chains_of_every_budget() -> None:
    with figure_style.style():
        figure = revision_sequential(curves(), spec())
    [axes] = figure.axes
    longest = {1: 1, 2: 2, 4: 4, 8: 4}
    wanted = []
    for verifier in ("orm-historylast", "nonenone"):
        wanted.append([(n, accuracy(verifier, longest[n], n)) for n in longest])
        wanted.append([(n, accuracy(verifier, 1, n)) for n in longest])
    assert lines(axes) == wanted
    assert legend(figure) == [
        f"{how}, {what}"
        for what in ("weighted voting", "majority voting")
        for how in ("sequential", "parallel")
    ]


def test_a_budget_that_the_longest_chains_do_not_divide_has_shorter_ones() -> None:
    rows = compared_selections(curves((1, 3), 4), spec())
    own = longest_chains(rows[rows["selector"] == "majority"])
    assert dict(zip(own["budget"], own["length"], strict=True)) == {1: 1, 2: 1, 3: 3, 4: 1}


def test_the_ratio_is_the_length_over_the_number_of_chains() -> None:
    with figure_style.style():
        figure = revision_ratio(curves(), spec())
    weighted, majority = figure.axes
    assert legend(figure) == ["2 answers", "4 answers", "8 answers"]
    for axes, verifier in ((weighted, "orm-historylast"), (majority, "nonenone")):
        for budget, line in zip((2, 4, 8), lines(axes), strict=True):
            lengths = [length for length in (1, 2, 4) if length <= budget]
            assert [y for _, y in line] == [accuracy(verifier, length, budget) for length in lengths]
            # A little apart, by less than half the distance of two ratios.
            exact = [length**2 / budget for length in lengths]
            assert np.abs(np.log2([x for x, _ in line]) - np.log2(exact)).max() <= 0.4
    assert [ratio_text(ratio) for ratio in (0.125, 1.0, 8.0, 0.75, 9 / 16)] == [
        "1:8",
        "1:1",
        "8:1",
        "3:4",
        "9:16",
    ]


def test_bins_are_at_the_largest_number_of_answers_with_three_lengths() -> None:
    """At 16 answers one length alone is measured; a strategy in two families is drawn once."""
    with figure_style.style():
        figure = revision_ratio_by_bin(by_difficulty(), spec())
    own, majority = figure.axes
    assert own.get_title(loc="left") == "reviser, 8 answers"
    assert legend(figure) == ["bin 1 (easiest)", "bin 2", "bin 10"]
    for axes, more in ((own, 0.0), (majority, 0.005)):
        for name, line in zip((1, 2, 10), lines(axes), strict=True):
            wanted = [0.1 * name + 0.01 * length + 0.008 + more for length in (1, 2, 4)]
            assert [y for _, y in line] == pytest.approx(wanted)


def test_one_selection_by_bin_is_named_at_the_axis() -> None:
    rows = by_difficulty()
    figure = revision_ratio_by_bin(rows[~rows["strategy"].str.contains("majority")], spec())
    assert figure.axes[0].get_ylabel() == "accuracy of weighted voting (%)"


def test_verifiers_of_revisions_have_a_line_each() -> None:
    with figure_style.style():
        figure = revision_verifiers(curves(), spec())
    [axes] = figure.axes
    longest = {1: 1, 2: 2, 4: 4, 8: 4}
    # Verifiers of whole solutions have one score, others the headline's aggregation.
    names = ("orm-historylast", "ormlast", "prmmin")
    assert lines(axes) == [[(n, accuracy(name, longest[n], n)) for n in longest] for name in names]
    assert legend(figure) == ["orm-history", "orm", "prm"]


def test_a_headline_without_a_verifier_takes_the_weighted_vote() -> None:
    majority = Headline(selector="majority", step_aggregation="last", cost_model="total")
    rows = compared_selections(curves(), spec(headline=majority))
    assert set(zip(rows["selector"], rows["verifier"], strict=True)) == {
        ("weighted", "orm-history"), ("majority", "none"),
    }  # fmt: skip


def test_what_is_missing_is_told() -> None:
    one = curves((1,))
    alone = spec(revisions={"revisions": ("orm",)})
    told = {
        "No chain of revisions": revision_chain(rates().iloc[:0]),
        "no chains of several lengths": revision_sequential(one, spec()),
        "in chains of several lengths": revision_ratio(one, spec()),
        "three lengths at one number": revision_ratio_by_bin(by_difficulty((1, 2)), spec()),
        "One verifier": revision_verifiers(one[one["verifier"].isin(["none", "orm"])], alone),
    }
    for words, figure in told.items():
        assert words in text(figure)
    nothing = by_difficulty().assign(strategy="sampling")
    assert "three lengths at one number" in text(revision_ratio_by_bin(nothing, spec()))


def test_only_studies_with_revisions_have_their_figures() -> None:
    plain = figure_names(2, 0, choice=True)
    assert not [name for name in plain if name.startswith("revision")]
    usual = {"revision_chain", "revision_sequential", "revision_ratio"}
    assert set(figure_names(2, 0, revisions=[1])) - set(figure_names(2, 0)) == usual
    assert set(figure_names(2, 0, revisions=[0, 2])) - set(figure_names(2, 0)) == usual | {
        "revision_verifiers"
    }
    assert set(figure_names(2, 0, revisions=[1], choice=True)) - set(plain) == usual | {
        "revision_ratio_by_bin"
    }
    assert spec().figures == figure_names(1, 0, revisions=[3])


def test_verifiers_of_whole_solutions_score_in_one_way() -> None:
    assert judgements(["prm", "orm"], {"orm"}, ["last", "min", "product"]) == 4
    assert judgements(["orm"], {"orm"}, ["last", "min"]) == 1
    assert spec().aggregation("orm") == "last"
    assert spec().aggregation("prm") == "min"


def test_the_table_has_every_place_and_all_of_them() -> None:
    table = rates_table(rates())
    rows = [[cell.text for cell in row] for row in table.rows]
    assert rows[1] == [
        "reviser", "2", "50.0% (40.0–60.0) of 1,200", "20.0% (10.0–30.0) of 1,200",
        "30.0% (20.0–40.0) of 1,200",
    ]  # fmt: skip
    assert rows[2][-2:] == ["10.0% (0.0–20.0) of 1,200", "–"]
    assert rows[3][1:3] == ["all", "–"]
    assert [row[0].bold for row in table.rows] == [False, False, False, True]
    assert {len(row) for row in rows} == {len(table.header)}
    both = rates_table(pd.concat([rates(), rates().assign(dataset="e")]))
    assert (both.header[:2], both.text_columns) == (["Data", "Model"], 2)
    assert [row[0].text for row in both.rows] == ["d"] * 4 + ["e"] * 4


def test_a_missing_table_of_revisions_is_named(tmp_path: Path) -> None:
    from synthetic_results import Shape, write_results

    wanted = write_results(tmp_path, Shape(policies=("policy-0.9M",), problems=20))
    (tmp_path / "tables" / "revisions.csv").unlink()
    with pytest.raises(UserError, match=r"revisions\.csv: cannot be read"):
        main([json.dumps(wanted.model_dump(mode="json")), str(tmp_path), str(tmp_path)])


def test_the_baseline_of_ratios_is_called_what_it_is() -> None:
    assert baseline_label("revisions/1") == "parallel samples (revisions/1)"
    assert baseline_label("sampling") == "sampling"
