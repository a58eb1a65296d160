"""Answers compared with math-verify and sympy, without limits: what runs in the process of `math_worker`.

math-verify compares six decimals and knows nothing of unknowns. Beside it, values at fixed points tell apart
what certainly differs, and show what is the same for positive unknowns.
"""

import logging
import math
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy
from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify
from sympy import (
    Derivative,
    Eq,
    Expr,
    FiniteSet,
    I,
    Integral,
    Interval,
    Limit,
    MatrixBase,
    MatrixExpr,
    Poly,
    PolynomialError,
    Product,
    Rational,
    Sum,
    Symbol,
    Tuple,
)

logging.disable(logging.CRITICAL)

_PERCENT = re.compile(r"%|percent|pct", re.IGNORECASE)
# Words: math-verify reads their letters as symbols, and compares them as text besides.
_WORDS = re.compile(r"\\(?:text|mbox|mathrm|textbf|operatorname)|(?<![\\A-Za-z])[A-Za-z]{3,}|^[A-Za-z]{2,}$")
# What stands for a computation may take for ever to carry out; sums and products of matrices have no value.
_UNEVALUATED = (Derivative, Integral, Limit, MatrixExpr, Product, Sum)
_TARGETS = [LatexExtractionConfig(), ExprExtractionConfig()]


def _point(symbols: Iterable[Symbol], shift: float = 0.0) -> dict[Symbol, Any]:
    """A value for every symbol; the letter i is the imaginary unit, which math-verify does not know."""
    return {one: I if one.name == "i" else Rational(str(_coordinate(one.name) + shift)) for one in symbols}


def _coordinate(symbol: str) -> float:
    """A positive number for a symbol, the same wherever it occurs, that no two symbols of an answer share."""
    digits = (ord(letter) * math.pow(0.0137, place + 0.5) for place, letter in enumerate(symbol))
    return 1.0 + sum(digits)


def _apart(values: list[complex] | None, others: list[complex] | None, precision: float = 1e-5) -> bool:
    """Whether one of the values has no equal, far beyond the six decimals that math-verify compares."""
    if values is None or others is None:
        return False
    pairs = ((values, others), (others, values))
    return any(
        all(abs(one - other) > precision * (1 + 1e-4 * abs(one)) for other in there)
        for here, there in pairs
        for one in here
    )


@lru_cache(maxsize=4096)
def parse_answer(answer: str) -> Any:
    """What math-verify reads in an answer; a box marks all of it as the answer."""
    return parse(f"\\boxed{{{answer}}}", _TARGETS, parsing_timeout=None)


def _value(expression: Any) -> complex:
    """Its value at one point, the same for all answers. Raises ValueError where it has none."""
    if not isinstance(expression, Expr) or expression.has(*_UNEVALUATED):
        raise ValueError
    symbols = expression.free_symbols
    if not all(type(one) is Symbol for one in symbols):
        raise ValueError
    return complex(expression.subs(_point(symbols)).evalf())


def _members(parsed: Any) -> list[complex]:
    """The values of what a set or tuple lists; of an interval its ends; of an equation its right side."""
    if isinstance(parsed, FiniteSet | Tuple | MatrixBase):
        return [one for part in parsed for one in _members(part)]
    if isinstance(parsed, Interval):
        return [_value(parsed.start), _value(parsed.end)]
    return [_value(parsed.rhs if isinstance(parsed, Eq) else parsed)]


@lru_cache(maxsize=4096)
def _values(answer: str) -> list[complex] | None:
    """What certainly tells answers apart; percentages have two values and are left out."""
    parsed = parse_answer(answer)
    if not parsed or isinstance(parsed[0], str) or _PERCENT.search(answer):
        return None
    if parsed[0].free_symbols and _WORDS.search(answer):
        return None
    try:
        return _members(parsed[0])
    except (TypeError, ValueError, OverflowError):  # no number after all, or not a finite one
        return None


def _same_where_positive(first: str, second: str) -> bool:
    """Whether two expressions agree to 18 digits at three points with positive unknowns.

    Square roots and logarithms of unknowns are taken for positive ones, as in textbooks.
    """
    parsed, other = parse_answer(first)[:1], parse_answer(second)[:1]
    pair = [*parsed, *other]
    if len(pair) < 2 or not all(isinstance(one, Expr) and not one.has(*_UNEVALUATED) for one in pair):
        return False
    symbols = set().union(*(one.free_symbols for one in pair))
    if not all(type(one) is Symbol for one in symbols) or _WORDS.search(first) or _WORDS.search(second):
        return False
    for shift in (0.0, 0.61, 1.83) if symbols else (0.0,):
        point = _point(symbols, shift)
        here, there = (one.subs(point).evalf(30) for one in pair)
        if not (here.is_number and there.is_number and here.is_finite and there.is_finite):
            return False
        if abs(here - there) > 1e-18 * max(1, abs(here)):
            return False
    return True


@lru_cache(maxsize=4096)
def _roots(answer: str) -> list[complex] | None:
    """Where an equation holds along one of its symbols, the others being at the point."""
    parsed = parse_answer(answer)
    if not parsed or not isinstance(parsed[0], Eq) or _WORDS.search(answer):
        return None
    symbols = sorted(parsed[0].free_symbols, key=str)
    try:
        line = {one: _coordinate(one.name) for one in symbols[1:]}
        polynomial = Poly((parsed[0].lhs - parsed[0].rhs).subs(line), symbols[0])
        return [complex(one) for one in numpy.roots([complex(one) for one in polynomial.all_coeffs()])]
    except (IndexError, PolynomialError, TypeError, ValueError, OverflowError, numpy.linalg.LinAlgError):
        return None  # no symbols, no polynomial, or not of numbers


def _certainly_different(first: str, second: str) -> bool:
    """Found out without symbolic work."""
    parsed, other = parse_answer(first)[:1], parse_answer(second)[:1]
    if not (parsed and other and isinstance(parsed[0], Eq) and isinstance(other[0], Eq)):
        return _apart(_values(first), _values(second))
    # Equations may be multiples of one another: what counts is where they hold.
    same_symbols = parsed[0].free_symbols == other[0].free_symbols
    return same_symbols and _apart(_roots(first), _roots(second), 1e-3)


def compare(first: str, second: str) -> bool:
    """Whether two answers are equivalent, in either direction. May take for ever, and may raise anything."""
    if _certainly_different(first, second):
        return False
    parsed, parsed_other = parse_answer(first), parse_answer(second)
    # verify treats its two sides differently where one is an equation, a set or an interval.
    one_direction = all(isinstance(part, Expr | str) for part in (*parsed, *parsed_other))
    pairs = [(parsed, parsed_other)] if one_direction else [(parsed, parsed_other), (parsed_other, parsed)]
    if any(verify(gold, target, timeout_seconds=None, raise_on_error=True) for gold, target in pairs):
        return True
    return _same_where_positive(first, second)
