"""Texts take their numbers from committed tables: look-ups, formats, and what a template may not type."""

from pathlib import Path

import pytest

from isoflop.errors import UserError
from isoflop.prose import pages as prose
from isoflop.prose.formats import FORMATS, above, below, formatted, listed, markdown, must, undecided
from isoflop.prose.lint import typed_numbers
from isoflop.prose.tables import Number, Table, read_csv

ROOT = Path(__file__).parents[2]
CURVES = """\
policy,generator,subset,budget,accuracy,ci_low,ci_high,problems,gain,gain_low,gain_high,note
small,greedy,all,1,0.226667,0.18,0.27745,300,,,,
small,sampling,all,1,0.172,0.14,0.21,300,0.0448,0.0021,0.0871,
small,sampling,all,64,0.397,0.342,0.448,300,-0.034,-0.064,-0.01,
small,sampling,1,64,0.8,0.7,0.9,60,-0.0002,-0.02,0.01,"few, easy"
"""


@pytest.fixture
def curves() -> Table:
    return read_csv(CURVES, "study/curves.csv")


def test_a_cell_is_looked_up_by_the_values_of_other_columns(curves: Table) -> None:
    row = curves.row(generator="sampling", subset="all", budget=64)
    accuracy = row["accuracy"]
    assert isinstance(accuracy, Number)
    assert (accuracy, accuracy.low, accuracy.high, str(accuracy)) == (0.397, 0.342, 0.448, "0.397")
    assert (row["policy"], row["note"]) == ("small", "")
    assert [str(one["budget"]) for one in curves.rows(subset="all")] == ["1", "1", "64"]
    assert [str(one["subset"]) for one in curves.rows(generator="sampling", subset=["1", "2"])] == ["1"]
    assert curves.has(budget=64.0, subset="1")
    assert not curves.has(budget=63)


def test_a_part_of_a_table_is_looked_up_in_as_the_whole(curves: Table) -> None:
    sampled = curves.where(generator="sampling", subset="all")
    assert sampled.row(budget=64)["accuracy"] == 0.397
    assert len(sampled.rows()) == 2
    with pytest.raises(UserError, match=r"curves.csv where .*subset = all: no row has budget = 2"):
        sampled.row(budget=2)
    with pytest.raises(UserError, match=r"study/curves.csv: no row has subset = 9"):
        curves.where(subset=9)


def test_an_interval_belongs_to_the_column_right_before_it(curves: Table) -> None:
    problems = curves.row(generator="greedy")["problems"]
    with pytest.raises(UserError, match="300 has no interval"):
        formatted(problems, "number_ci")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"policy": "large"}, r"study/curves.csv: no row has policy = large"),
        (
            {"generator": "sampling", "subset": "all"},
            "2 rows have generator = sampling, subset = all",
        ),
        ({"generators": "sampling"}, "no column 'generators'; there are policy, generator, subset"),
        ({}, "4 rows have anything"),
    ],
)
def test_what_is_not_in_exactly_one_row_is_refused(
    curves: Table, wanted: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        curves.row(**wanted)


def test_broken_tables_and_unknown_columns_are_refused(curves: Table) -> None:
    with pytest.raises(UserError, match=r"study/x\.csv, row 3: 1 cells, but 2 columns"):
        read_csv("a,b\n1,2\n3\n", "study/x.csv")
    with pytest.raises(UserError, match="no column 'accurracy'"):
        curves.row(generator="greedy")["accurracy"]
    with pytest.raises(UserError, match="no row has a = 1"):
        read_csv("a,b\n", "study/x.csv").row(a=1)


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (Number("0.41549", 0.384, 0.446), "percent", "41.5%"),
        (Number("0.41549", 0.384, 0.446), "percent_ci", "41.5% (38.4 to 44.6)"),
        (Number("0.41549", 0.384, 0.446), "percent_ci(0)", "42% (38 to 45)"),
        (Number("0.41549", 0.384, 0.446), "in_percent_ci", "41.5 (38.4 to 44.6)"),
        (0.5, "in_percent(0)", "50"),
        (Number("0.0448", 0.0021, 0.0871), "points_ci", "+4.5 (0.2 to 8.7)"),
        (Number("-0.0334", -0.07, 0.006), "points_ci", "−3.3 (−7.0 to 0.6)"),
        (-0.0002, "points", "−0.0"),
        (Number("0.000"), "points", "0.0"),
        (Number("-0.0002", -0.0001, 0.01), "points_ci", "−0.0 (−0.0 to 1.0)"),
        (Number("5.94", 0.0, 12.3), "factor_ci", "5.9× (not reached to 12)"),
        (0.0, "factor", "not reached"),
        ("not reached", "factor", "not reached"),
        (0.351, "factor", "0.35×"),
        (Number("1.236", 1.11, 1.448), "number_ci", "1.24 (1.11 to 1.45)"),
        (0.9996, "number", "1.00"),
        (1239.6, "number", "1,240"),
        (12.0, "number(2)", "12"),
        (39097, "count", "39,097"),
        (Number("1.1e9"), "flops", "1.1e9"),
        ("mixed", "verdict", "mixed"),
        ("small", None, "small"),
    ],
)
def test_formats(value: object, form: str | None, text: str) -> None:
    assert formatted(value, form) == text


@pytest.mark.parametrize(
    ("value", "form", "message"),
    [
        ("", "percent", "'' is no number"),
        (float("nan"), "points", "'nan' is no number"),
        (True, "count", "'True' is no number"),
        (0.5, "points_ci", "0.5 has no interval"),
        (Number("0.5", 0.4), "percent_ci", "0.5 has no interval"),
        (1.5, "count", "1.5 is no whole number"),
        ("likely", "verdict", "'likely' is no verdict; those are supported"),
        (1.5, "bold", "no format 'bold'; there are in_percent"),
    ],
)
def test_what_a_format_cannot_say_is_refused(value: object, form: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        formatted(value, form)


def test_an_interval_is_above_below_or_undecided() -> None:
    for low, high, told in ((0.1, 0.2, "above"), (-0.2, -0.1, "below"), (-0.1, 0.1, "undecided")):
        value = Number("0.1", low, high)
        found = {"above": above(value), "below": below(value), "undecided": undecided(value)}
        assert [name for name, holds in found.items() if holds] == [told]
    assert undecided(Number("0", 0.0, 0.0))


def test_lists_and_tables(curves: Table) -> None:
    rows = curves.rows(generator="sampling")
    assert listed([0.1, 0.25, 0.5], "in_percent(0)") == "10, 25 and 50"
    assert listed(["a"]) == "a"
    assert listed([]) == ""
    assert markdown(rows[:2], "Samples = budget | count", "Model = policy", "Gain = gain | points_ci") == (
        "| Samples | Model | Gain |\n"
        "| --: | :-- | --: |\n"
        "| 1 | small | +4.5 (0.2 to 8.7) |\n"
        "| 64 | small | −3.4 (−6.4 to −1.0) |"
    )
    with pytest.raises(UserError, match="'budget' of a table is not `Title = column`"):
        markdown(rows, "budget")


def test_a_sentence_can_insist_on_what_it_says() -> None:
    assert must(True, "REBASE leads") == ""
    with pytest.raises(UserError, match=r"the tables do not say .* REBASE leads"):
        must(False, "REBASE leads")


def project(folder: Path, template: str, table: str = CURVES) -> Path:
    (folder / "docs/templates/studies").mkdir(parents=True)
    (folder / "docs/studies/study").mkdir(parents=True)
    (folder / "docs/studies/study/curves.csv").write_text(table, encoding="utf-8")
    (folder / "docs/templates/studies/study.md.j2").write_text(template, encoding="utf-8")
    return folder


GOOD = """\
# A study
{% set c = t('study/curves') %}
{% set gain = c.row(subset='all', budget=64).gain %}
{% do must(gain is below, '64 samples lose') %}
64 samples lose {{ gain | points_ci }}; took 8 minutes. {# measured by hand: time make run #}
{% for row in c.rows(generator='sampling', subset='all') %}
- {{ row.budget }}: {{ row.accuracy | percent_ci }}
{% endfor %}
{{ c.rows(subset='all') | map(attribute='accuracy') | listed('in_percent(0)') }}%
"""


def test_a_template_is_rendered_with_its_numbers(tmp_path: Path) -> None:
    prose.write_pages(project(tmp_path, GOOD))
    assert (tmp_path / "docs/studies/study.md").read_text(encoding="utf-8") == (
        "<!-- Written by `isoflop docs` from docs/templates/studies/study.md.j2. -->\n"
        "# A study\n"
        "64 samples lose −3.4 (−6.4 to −1.0); took 8 minutes.\n"
        "- 1: 17.2% (14.0 to 21.0)\n"
        "- 64: 39.7% (34.2 to 44.8)\n"
        "23, 17 and 40%\n"
    )


def test_a_changed_table_changes_the_text_or_ends_with_the_template_and_line(tmp_path: Path) -> None:
    project(tmp_path, GOOD, CURVES.replace("-0.034,-0.064,-0.01", "-0.054,-0.084,-0.03"))
    prose.write_pages(tmp_path)
    written = (tmp_path / "docs/studies/study.md").read_text(encoding="utf-8")
    assert "lose −5.4 (−8.4 to −3.0)" in written
    turned = CURVES.replace("-0.034,-0.064,-0.01", "0.034,-0.064,0.1")
    (tmp_path / "docs/studies/study/curves.csv").write_text(turned, encoding="utf-8")
    with pytest.raises(UserError, match=r"docs/templates/studies/study.md.j2, line 4: .*64 samples lose"):
        prose.write_pages(tmp_path)
    assert (tmp_path / "docs/studies/study.md").read_text(encoding="utf-8") == written


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("\n{{ t('study/fits').row() }}\n", "line 2: docs/studies/study/fits.csv: cannot be read"),
        (
            "\n\n{{ t('study/curves').row(budget=3).accuracy }}\n",
            "line 3: .*no row has budget = 3",
        ),
        ("{{ gian }}\n", "line 1: 'gian' is undefined"),
        ("text\n{% for %}\n", "line 2: "),
        ("text\n12% of all\n", "'line 2: 12%' is typed"),
    ],
)
def test_faults_of_a_template_are_told_with_its_line(tmp_path: Path, template: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        prose.write_pages(project(tmp_path, template))
    assert not (tmp_path / "docs/studies/study.md").exists()


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("gains 12% here", ["line 1: 12%"]),
        ("a\nof 41.5 percent", ["line 2: 41.5 percent"]),
        ("5 points", ["line 1: 5 points"]),
        ("16 times less, 24x, 3×", ["line 1: 16 times", "line 1: 24x", "line 1: 3×"]),
        ("at 1e9 FLOPs", ["line 1: 1e9 FLOPs"]),
        (
            "leads (-3.4 to 1), (66-76), (2, 5)",
            [f"line 1: ({one})" for one in ("-3.4 to 1", "66-76", "2, 5")],
        ),
        ("AUC 0.87", ["line 1: 0.87"]),
        ("takes 8 minutes and 1.9 GB", ["line 1: 8 minutes", "line 1: 1.9 GB"]),
        ("{{ x }}5%", ["line 1: 5%"]),
        ("{{ 0.045 | points }}", ["line 1: {{ 0.045 | points }}"]),
        ("{{ '4.5' }}", ["line 1: {{ '4.5' }}"]),
        ("{% set gain = 0.045 %}{{ gain | points }}", ["line 1: {% set gain = 0.045 %}"]),
        ("8 minutes {# because #}", ["line 1: 8 minutes"]),
        ("8 minutes {# measured by hand: #}", ["line 1: 8 minutes"]),
        ("8 minutes\n{# measured by hand: time make #}", ["line 1: 8 minutes"]),
        ("8 minutes {# measured by hand: time make #}", []),
        ("at 95% {# setting: bootstrap.level #}", []),
        ("have 1.19 {# from the paper: section 4.1 #}", []),
        ("{{ x | percent }} of 64 samples by policies of 0.1M to 2.7M", []),
        ("{{ '.' if loop.last else ';' }} {{ 'x'.y | percent }}", []),
        ("{{ row(ratio=0.16).gain | points }}{% if x > 0.5 %}", []),
        ("`12%` [12 samples](a-12%.md) <!-- 12% -->", []),
        ("```\n12%\n```\ntext", []),
        ("Wu et al. 2024, section 4", []),
        ("Apache-2.0, Llama-3.1-8B", []),
    ],
)
def test_results_are_looked_up_and_not_typed(template: str, found: list[str]) -> None:
    assert list(typed_numbers(template)) == found


def test_every_format_is_told_of_where_templates_are_explained() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [name for name in FORMATS if f"`{name}`" not in page] == []


@pytest.mark.parametrize("name", prose.templates(ROOT))
def test_committed_texts_are_what_their_templates_say(name: str) -> None:
    written = (ROOT / prose.templates(ROOT)[name]).read_text(encoding="utf-8")
    assert written == prose.rendered(prose.environment(ROOT), name), (
        "run `make docs` and commit what it writes"
    )


@pytest.mark.parametrize("name", prose.templates(ROOT))
def test_committed_templates_type_no_results(name: str) -> None:
    assert list(typed_numbers((ROOT / prose.TEMPLATES / name).read_text(encoding="utf-8"))) == []
