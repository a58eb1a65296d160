"""Verdicts on invented parts: quantifiers, family-wise control, and what an undecided one tells."""

from dataclasses import replace

import numpy as np
import pytest

from isoflop.fits.bootstrap import Interval, problem_weights
from isoflop.fits.evidence import Evidence
from isoflop.verdicts.judge import (
    CLAIMS_COLUMNS,
    CONTRADICTED,
    MIXED,
    NOT_TESTED,
    SUPPORTED,
    UNDECIDED,
    Claim,
    Partly,
    claims_csv,
    judge,
    judge_found,
    judge_statement,
)
from isoflop.verdicts.statements import (
    Element,
    Part,
    Statement,
    critical_value,
    mean_element,
    mean_of_parts,
    mean_part,
    on_average,
    subset_element,
)

PROBLEMS, DRAWS, LEVEL = 200, 400, 0.95
Z = 1.959964


def part(value: float, error: float = 0.01, seed: int = 0, name: str = "p") -> Part:
    """A part of that value and standard error, with normal draws."""
    draws = value + error * np.random.default_rng(seed).standard_normal(DRAWS)
    interval = Interval(value - Z * error, value + Z * error)
    return Part(name, "s", (Element(np.concatenate([[value], draws]), error, interval),))


def parts(*values: float) -> tuple[Part, ...]:
    return tuple(part(value, seed=seed, name=f"p{seed}") for seed, value in enumerate(values))


def statement(quantifier: str, *values: float, margin: float = 0.0) -> Statement:
    many = parts(*values)
    primary = mean_of_parts("t", many, LEVEL).primary if quantifier == "on average" else None
    return Statement("t", quantifier, many, primary, margin)  # type: ignore[arg-type]


# Standard errors are 0.01; 0.022 is above 0 alone but not beside three others.
@pytest.mark.parametrize(
    ("quantifier", "values", "margin", "verdict", "decided"),
    [
        ("for all", (0.05, 0.05, 0.05), 0.0, SUPPORTED, "3 of 3"),
        ("for all", (0.05, 0.00, 0.05), 0.0, UNDECIDED, "2 of 3"),
        ("for all", (0.05, -0.05, 0.05), 0.0, CONTRADICTED, "1 of 3"),
        ("for all", (0.00, 0.00, 0.00), 0.03, SUPPORTED, "3 of 3"),
        ("for all", (0.00, -0.022, 0.00, 0.00), 0.01, UNDECIDED, "0 of 4"),
        # Worse, but by less than the margin: the statement is about the margin.
        ("for all", (0.00, -0.04, 0.00), 0.07, SUPPORTED, "3 of 3"),
        ("on average", (0.05, 0.00, 0.01), 0.0, SUPPORTED, "1 of 3"),
        ("on average", (0.01, -0.01, 0.005), 0.0, UNDECIDED, "0 of 3"),
        ("on average", (-0.05, 0.0, -0.01), 0.0, CONTRADICTED, "1 of 3"),
        ("on average", (0.06, -0.05, 0.0), 0.0, MIXED, "1 of 3 for it, 1 of 3 against it"),
        ("there is", (0.05, -0.05, 0.0), 0.0, SUPPORTED, "1 of 3"),
        ("there is", (0.022, 0.0, 0.0, 0.0), 0.0, UNDECIDED, "0 of 4"),
        ("there is", (-0.03, -0.04, -0.03), 0.0, CONTRADICTED, "3 of 3"),
        ("there is", (-0.03, 0.00, -0.03), 0.0, UNDECIDED, "2 of 3"),
    ],
)
def test_quantifiers(
    quantifier: str, values: tuple[float, ...], margin: float, verdict: str, decided: str
) -> None:
    judged = judge_statement(statement(quantifier, *values, margin=margin), PROBLEMS, LEVEL)
    assert (judged.verdict, judged.decided) == (verdict, decided)
    assert (judged.half_width is None) is (verdict != UNDECIDED)


def test_a_lower_bound_below_zero_decides_nothing() -> None:
    for values, verdict in (
        ((-0.05, -0.06), UNDECIDED),
        ((0.06, -0.05, 0.05), SUPPORTED),
        ((0.05, 0.06), SUPPORTED),
    ):
        found = judge_statement(replace(statement("on average", *values), lower_bound=True), PROBLEMS, LEVEL)
        assert found.verdict == verdict
        assert CONTRADICTED not in {one.verdict for one in found.parts}


def test_what_is_undecided_says_how_wide_and_what_would_decide() -> None:
    judged = judge_statement(statement("on average", 0.01), PROBLEMS, LEVEL)
    assert judged.verdict == UNDECIDED
    assert judged.half_width is not None
    assert judged.half_width == pytest.approx(Z * 0.01, rel=0.1)
    # The half-width is about twice the effect seen, so about four times the problems.
    assert judged.needed == pytest.approx(PROBLEMS * (judged.half_width / 0.01) ** 2, abs=1)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (((0.05,), (0.05,)), SUPPORTED),
        (((0.05,), (0.0,)), UNDECIDED),
        (((0.0,), (-0.05,)), CONTRADICTED),
        (((0.05,), (-0.05,)), MIXED),
        (((0.05, -0.05), (0.05,)), MIXED),
        # Contradicted alone, but not at the stricter level of one of two.
        (((0.0,), (-0.0205,)), UNDECIDED),
    ],
)
def test_a_claim_is_all_of_its_statements(values: tuple[tuple[float, ...], ...], verdict: str) -> None:
    statements = tuple(statement("on average", *one) for one in values)
    assert judge(Claim(1, "s", "d", "any", statements), PROBLEMS, LEVEL).verdict == verdict


@pytest.mark.parametrize(
    ("values", "verdict"), [((0.05,), UNDECIDED), ((-0.05,), CONTRADICTED), ((0.0,), UNDECIDED)]
)
def test_what_was_tested_in_part_is_not_supported(values: tuple[float, ...], verdict: str) -> None:
    found = Partly((statement("on average", *values),), "needs more")
    evidence = Evidence("d", ["p"] * PROBLEMS, None, {}, problem_weights(PROBLEMS, 10, 1), LEVEL)
    judged = judge_found(1, "s", found, evidence, "any")
    assert judged.verdict == verdict
    assert claims_csv([judged], "e").iloc[0]["note"] == "needs more"


def test_a_claim_that_is_not_tested_says_what_is_missing() -> None:
    judged = judge(Claim(7, "s", "d", "total", (), "needs a generator of kind mcts"), PROBLEMS, LEVEL)
    assert judged.verdict == NOT_TESTED
    [row] = claims_csv([judged], "e").to_dict("records")
    assert (row["verdict"], row["note"], row["row"]) == (
        NOT_TESTED,
        "needs a generator of kind mcts",
        "claim",
    )


def test_the_table_has_the_claim_its_statements_and_their_parts() -> None:
    statements = (statement("on average", 0.05, 0.05), statement("for all", 0.0, -0.022, margin=0.01))
    table = claims_csv([judge(Claim(5, "s", "d", "any", statements), PROBLEMS, LEVEL)], "e")
    assert tuple(table.columns) == CLAIMS_COLUMNS
    assert table["row"].tolist() == ["claim", "statement", "part", "part", "statement", "part", "part"]
    first, second = (table.iloc[place] for place in (1, 4))
    assert (first["interval"], first["part"], first["value"]) == ("its own", "mean of 2 parts", "0.05")
    assert (table.iloc[2]["interval"], second["value"]) == ("joint", "")
    assert "margin of 0.01" in second["note"]
    assert int(second["problems_to_decide"]) > PROBLEMS


def test_joint_intervals_hold_as_often_as_they_say() -> None:
    """Max-T against brute force: the share of draws in which any interval misses is 1 - level."""
    rng = np.random.default_rng(4)
    shared = rng.standard_normal(4000)
    elements = []
    for _ in range(8):
        draws = 0.8 * shared + 0.6 * rng.standard_normal(4000)
        elements.append(Element(np.concatenate([[0.0], draws]), 1.0, Interval(-2, 2)))
    critical = critical_value(elements, LEVEL)
    missed = np.any([np.abs(one.draws[1:]) > critical for one in elements], axis=0).mean()
    assert missed == pytest.approx(1 - LEVEL, abs=0.001)
    # Correlated parts need less than Bonferroni's 2.73 standard errors.
    assert Z < critical < 2.7


def evidence(seed: int = 1) -> Evidence:
    weights = problem_weights(PROBLEMS, DRAWS, seed)
    return Evidence("d", [str(place) for place in range(PROBLEMS)], None, {}, weights, LEVEL)


def test_certainty_is_never_claimed() -> None:
    """All differences equal, as where all answers are wrong: the interval still has a width."""
    element = mean_element(np.zeros(PROBLEMS), evidence())
    assert element.value == 0.0
    assert element.interval.low < 0 < element.interval.high
    assert element.error == pytest.approx(np.sqrt(1 / (PROBLEMS + 2)) / np.sqrt(PROBLEMS + 2), rel=1e-6)
    same = on_average("t", "s", {"a": np.zeros(PROBLEMS), "b": np.zeros(PROBLEMS)}, evidence())
    assert judge_statement(same, PROBLEMS, LEVEL).verdict == UNDECIDED


def test_the_error_of_a_mean_is_that_of_its_problems() -> None:
    values = np.random.default_rng(2).uniform(-1, 1, PROBLEMS)
    element = mean_element(values, evidence())
    assert element.value == pytest.approx(values.mean())
    assert element.error == pytest.approx(values.std() / np.sqrt(PROBLEMS), rel=0.1)


def test_a_contrast_of_subsets_is_the_difference_of_their_means() -> None:
    values = np.random.default_rng(3).uniform(-1, 1, PROBLEMS)
    hard = np.arange(PROBLEMS) % 4 == 0
    element = subset_element(values, evidence(), hard, ~hard)
    assert element.value == pytest.approx(values[hard].mean() - values[~hard].mean())
    expected = np.hypot(
        values[hard].std() / np.sqrt(hard.sum()), values[~hard].std() / np.sqrt((~hard).sum())
    )
    assert element.error == pytest.approx(expected, rel=0.15)
    assert np.isfinite(element.draws).all()


def test_of_two_elements_the_least_counts() -> None:
    one, other = part(0.05, seed=1), part(0.00, seed=2)
    both = Part("pair", "least", (*one.elements, *other.elements))
    assert both.value == 0.0
    low, high = both.alone(LEVEL)
    assert low == pytest.approx(-Z * 0.01)
    # That one of two is below is less easily shown than of one alone.
    assert high > Z * 0.01


def test_rounding_decides_nothing() -> None:
    tiny = mean_part("p", "s", np.full(PROBLEMS, 1e-17), evidence())
    exact = Part("p", "s", (Element(np.full(1 + DRAWS, 1e-12), 1e-15, Interval(1e-13, 2e-12)),))
    for one in (tiny, exact):
        judged = judge_statement(Statement("t", "on average", (one,), one), PROBLEMS, LEVEL)
        assert judged.verdict == UNDECIDED
