"""Expected half-widths against simulated worlds and the shipped studies."""

import pytest

from isoflop.precision import problems_to_decide


@pytest.mark.parametrize(
    ("problems", "half_width", "effect", "expected"),
    [
        (300, 0.04, 0.02, 1200),
        (300, 0.04, -0.02, 1200),
        (300, 0.02, 0.04, 75),
        (7, 0.1, 0.3, 1),
        (300, 0.0, 0.02, 1),
        (300, 0.04, 0.0, None),
    ],
)
def test_problems_to_decide(problems: int, half_width: float, effect: float, expected: int | None) -> None:
    assert problems_to_decide(problems, half_width, effect) == expected
