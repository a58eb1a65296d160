"""Exact arithmetic in LaTeX against the same expression computed with fractions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.grading.arithmetic import exact_value

Expression = tuple[str, Fraction]


def _numbers() -> st.SearchStrategy[Expression]:
    whole = st.integers(0, 999).map(lambda value: (str(value), Fraction(value)))
    decimal = st.tuples(st.integers(0, 99), st.integers(0, 99)).map(
        lambda pair: (f"{pair[0]}.{pair[1]:02d}", Fraction(100 * pair[0] + pair[1], 100))
    )
    return whole | decimal


def _grown(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda two: (f"({two[0][0]}+{two[1][0]})", two[0][1] + two[1][1])),
        pairs.map(lambda two: (f"({two[0][0]} - {two[1][0]})", two[0][1] - two[1][1])),
        pairs.map(lambda two: (f"{{{two[0][0]}}}\\cdot{{{two[1][0]}}}", two[0][1] * two[1][1])).map(
            lambda one: (f"({one[0]})", one[1])
        ),
        pairs.filter(lambda two: two[1][1] != 0).map(
            lambda two: (f"\\frac{{{two[0][0]}}}{{{two[1][0]}}}", two[0][1] / two[1][1])
        ),
        st.tuples(inner, st.integers(1, 3)).map(
            lambda two: (f"({two[0][0]})^{{{two[1]}}}", two[0][1] ** two[1])
        ),
    )


@given(st.recursive(_numbers(), _grown, max_leaves=8))
def test_a_value_is_that_of_the_same_computation(expression: Expression) -> None:
    text, value = expression
    assert exact_value(text) == value
    assert exact_value(f"-{text}") == -value


@pytest.mark.parametrize(
    "text",
    ["", "x", "1/0", "2\\frac{1}{2}", "5 6", "9^{9^{9}}", "9^{999999}", "(1", "1)", "2^-", "\\frac{1}"],
)
def test_what_is_no_arithmetic_or_too_large_has_no_value(text: str) -> None:
    assert exact_value(text) is None
