"""How precisely a study of a given size will measure: half-widths of intervals, and problems that decide."""

import math


def problems_to_decide(problems: int, half_width: float, effect: float) -> int | None:
    """Number of problems at which an interval around `effect` just leaves out 0; None for an effect of 0.

    `half_width`: of the interval that `problems` problems gave (in the unit of `effect`). It shrinks with
    the square root of the number of problems: ceil(problems (half_width / |effect|)^2), at least 1.
    """
    if effect == 0:
        return None
    # Rounding must not add a problem where the quotient is a whole number.
    return max(1, math.ceil(problems * (half_width / abs(effect)) ** 2 - 1e-9))
