"""Thinking longer against voting more: paired, at equal cost, under every cost that is known."""

import itertools

import numpy as np
import pytest

from isoflop.fits.curves import Curve, CurveKey
from isoflop.fits.differences import THINKING, THINKING_ONCE, Comparison, thought_comparisons

PROBLEMS = 6
BUDGETS = np.array([1, 2, 4, 8])


def curve(
    policy: str, accuracy: list[float], tokens: float, selector: str = "majority", **other: float
) -> Curve:
    """Every problem as accurate as all; `tokens` an answer."""
    credits = np.repeat(np.array(accuracy)[:, None], PROBLEMS, axis=1)
    prices = {"tokens": tokens, "seconds": np.nan, "flops_wu2024": np.nan, "flops_total": np.nan} | other
    return Curve(
        CurveKey("d", policy, "runs", "none", selector, "none", "all"),
        None,
        BUDGETS[: len(accuracy)],
        credits,
        np.ones((3, PROBLEMS)),
        accuracy=credits.mean(axis=1),
        low=credits.mean(axis=1),
        high=credits.mean(axis=1),
        draws=np.zeros((3, len(accuracy))),
        measured={name: price * BUDGETS[: len(accuracy)] for name, price in prices.items()},
        limit=None,
    )


def compared(*curves: Curve, costs: tuple[str, ...] = ("tokens",), order: str = "lmh") -> list[Comparison]:
    return list(thought_comparisons(curves, [tuple(order)], costs))


LOW = curve("l", [0.4, 0.4, 0.5, 0.6], 100)
MEDIUM = curve("m", [0.7, 0.7, 0.75, 0.8], 200)
HIGH = curve("h", [0.9, 0.9, 0.9, 0.9], 800)


def test_at_equal_cost_the_other_is_read_between_its_budgets() -> None:
    rows = compared(LOW, MEDIUM)
    once = [one for one in rows if one.name == THINKING_ONCE]
    assert [(one.left.label.split("/")[0], one.left.budget, one.right.budget) for one in once] == [
        ("m", "1", "8")
    ]
    equal = [one for one in rows if one.name == THINKING]
    # 200, 400 and 800 tokens buy 2, 4 and 8 short thoughts; 1,600 buy more than there are.
    assert [(one.left.budget, float(one.right.budget)) for one in equal] == [("1", 2), ("2", 4), ("4", 8)]
    gaps = [one.left.credits.mean() - one.right.credits.mean() for one in equal]
    assert gaps == pytest.approx([0.3, 0.2, 0.15])
    for one in equal:
        assert one.left.costs["tokens"] == pytest.approx(one.right.costs["tokens"])


def test_between_two_budgets_by_the_logarithm_of_the_cost() -> None:
    [row] = [one for one in compared(LOW, curve("m", [0.7], 300)) if one.name == THINKING]
    share = np.log2(300 / 200)
    assert row.right.credits == pytest.approx((1 - share) * 0.4 + share * 0.5)


def test_every_longer_thought_meets_every_shorter_one_in_the_order_given() -> None:
    rows = compared(HIGH, LOW, MEDIUM)
    pairs = [(one.left.label[0], one.right.label[0]) for one in rows if one.name == THINKING_ONCE]
    assert sorted(pairs) == sorted((b, a) for a, b in itertools.combinations("lmh", 2))
    backwards = compared(HIGH, LOW, MEDIUM, order="hml")
    assert {(one.left.label[0], one.right.label[0]) for one in backwards} >= {("l", "h")}


def test_costs_that_nobody_knows_and_oracles_are_left_out() -> None:
    rows = compared(LOW, MEDIUM, costs=("seconds", "wu2024", "total"))
    assert {one.name for one in rows} == {THINKING_ONCE}
    oracles = [curve(name, [0.5, 0.6], 100, selector="pass") for name in "lm"]
    assert compared(*oracles) == []
    # An answer alone that costs more than all votes there are is compared at unequal cost only.
    rows = compared(curve("l", [0.4], 1), MEDIUM)
    assert {one.name for one in rows} == {THINKING_ONCE}
