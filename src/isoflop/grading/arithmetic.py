r"""Exact values of arithmetic in LaTeX: 2^{2010} - 1, \frac{1}{3^{70}}, 6.63 \times 10^{-34}.

Only numbers, signs, + - * / ^, fractions and brackets; anything else has no value here. Sizes are limited, so
that a tower of powers costs nothing.
"""

import re
from fractions import Fraction

# Bits of a numerator or denominator, and nested brackets.
_MAX_BITS = 200_000
_MAX_DEPTH = 60

_TOKEN = re.compile(
    r"""
      (?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)
    | (?P<times>\\(?:cdot|times|ast)(?![a-zA-Z])|\*|×|·)
    | (?P<over>/|÷|\\div(?![a-zA-Z]))
    | (?P<sign>[-+−])
    | (?P<power>\^)
    | (?P<fraction>\\[dt]?frac(?![a-zA-Z]))
    | (?P<open>[({\[])
    | (?P<close>[)}\]])
    | \s+
    """,
    re.VERBOSE,
)
_CLOSING = {"(": ")", "{": "}", "[": "]"}


class _NoValueError(Exception):
    """The text is no arithmetic, or too large."""


def exact_value(text: str) -> Fraction | None:
    """The exact value of all of `text`; None where it is no arithmetic or beyond the limits."""
    try:
        tokens = _tokens(text)
        value, index = _sum(tokens, 0, 0)
    except (_NoValueError, ZeroDivisionError):
        return None
    return value if tokens and index == len(tokens) else None


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _NoValueError
        if match.lastgroup:
            tokens.append((match.lastgroup, match[0]))
        position = match.end()
    return tokens


def _sum(tokens: list[tuple[str, str]], index: int, depth: int) -> tuple[Fraction, int]:
    if depth > _MAX_DEPTH:
        raise _NoValueError
    value, index = _product(tokens, index, depth)
    while index < len(tokens) and tokens[index][0] == "sign":
        sign = 1 if tokens[index][1] == "+" else -1
        term, index = _product(tokens, index + 1, depth)
        value = _limited(value + sign * term)
    return value, index


def _product(tokens: list[tuple[str, str]], index: int, depth: int) -> tuple[Fraction, int]:
    sign = 1
    while index < len(tokens) and tokens[index][0] == "sign":
        sign *= 1 if tokens[index][1] == "+" else -1
        index += 1
    before, (value, index) = tokens[index][0] if index < len(tokens) else "", _power(tokens, index, depth)
    while index < len(tokens):
        kind = tokens[index][0]
        if kind in ("times", "over"):
            factor, index = _power(tokens, index + 1, depth)
            value = _limited(value / factor if kind == "over" else value * factor)
        elif kind == "open" and tokens[index][1] == "(":
            factor, index = _power(tokens, index, depth)
            value = _limited(value * factor)
        elif kind == "fraction" and before == "number":
            raise _NoValueError  # a mixed number, or a product: others decide
        else:
            break
        before = kind
    return sign * value, index


def _power(tokens: list[tuple[str, str]], index: int, depth: int) -> tuple[Fraction, int]:
    value, index = _atom(tokens, index, depth)
    if index < len(tokens) and tokens[index][0] == "power":
        exponent, index = _exponent(tokens, index + 1, depth)
        if exponent.denominator != 1 or (value == 0 and exponent <= 0):
            raise _NoValueError
        bits = max(value.numerator.bit_length(), value.denominator.bit_length())
        if abs(exponent) * bits > _MAX_BITS and abs(value) != 1:
            raise _NoValueError
        value = value ** (int(exponent) % 2 if abs(value) == 1 else int(exponent))
    return value, index


def _exponent(tokens: list[tuple[str, str]], index: int, depth: int) -> tuple[Fraction, int]:
    """What stands after ^: one digit, or what is in braces; towers have no value."""
    if index >= len(tokens):
        raise _NoValueError
    kind, text = tokens[index]
    if kind == "number":
        if len(text) > 1:
            raise _NoValueError  # LaTeX raises the first digit alone
        value, index = Fraction(text), index + 1
    elif kind == "open":
        value, index = _atom(tokens, index, depth)
    else:
        raise _NoValueError
    if index < len(tokens) and tokens[index][0] == "power":
        raise _NoValueError
    return value, index


def _atom(tokens: list[tuple[str, str]], index: int, depth: int) -> tuple[Fraction, int]:
    if index >= len(tokens):
        raise _NoValueError
    kind, text = tokens[index]
    if kind == "number":
        return Fraction(text), index + 1
    if kind == "fraction":
        top, index = _group(tokens, index + 1, depth)
        bottom, index = _group(tokens, index, depth)
        return _limited(top / bottom), index
    if kind == "open":
        value, index = _sum(tokens, index + 1, depth + 1)
        if index >= len(tokens) or tokens[index][1] != _CLOSING[text]:
            raise _NoValueError
        return value, index + 1
    raise _NoValueError


def _group(tokens: list[tuple[str, str]], index: int, depth: int) -> tuple[Fraction, int]:
    if index >= len(tokens) or tokens[index] != ("open", "{"):
        raise _NoValueError
    return _atom(tokens, index, depth)


def _limited(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > 4 * _MAX_BITS:
        raise _NoValueError
    return value
