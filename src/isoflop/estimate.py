"""A number with its interval, and how numbers are written in sentences and tables."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, as a table gives it; NaN where it is not determined."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is a value at all."""
        return not math.isnan(self.value)

    @property
    def text(self) -> str:
        """To three significant digits: 1.31 (1.11 to 1.52)."""
        if not self.known:
            return "not determined"
        if math.isnan(self.low) or math.isnan(self.high):
            return f"{self.value:.3g}"
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"

    @property
    def in_points(self) -> str:
        """A difference of accuracies in percentage points: +3.1 (1.9 to 4.4)."""
        text = f"{100 * self.value:+.1f} ({100 * self.low:.1f} to {100 * self.high:.1f})"
        return text.replace("-", "−")

    @property
    def in_percent(self) -> str:
        """An accuracy as a percentage: 41.5% (38.4–44.6)."""
        return f"{percent(self.value)}% ({percent(self.low)}–{percent(self.high)})"


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction in [0, 1] as a percentage without its sign: 0.1234 -> 12.3."""
    return f"{100.0 * fraction:.{digits}f}"


def scientific(value: float, digits: int = 2) -> str:
    """A count with a power of ten for reading: 123456 -> 1.2e5; plain below ten thousand."""
    if abs(value) < 1e4:
        return f"{value:.{digits}g}" if abs(value) < 10 else f"{value:.0f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def size_label(params: float) -> str:
    """A parameter count as it is said: 912384 -> 0.91M, 6.9e9 -> 6.9B."""
    for unit, scale in (("T", 1e12), ("B", 1e9), ("M", 1e6)):
        if params >= 0.05 * scale:
            count = params / scale
            return f"{count:.0f}{unit}" if count >= 10 else f"{count:.2g}{unit}"
    return f"{params / 1e3:.2g}k"


def fraction(value: float) -> str:
    """Six decimals, without a minus sign before zero.

    Parameters
    ----------
    value
        Of any sign.
    """
    return f"{round(value, 6) + 0.0:.6f}"


def number(value: float | None) -> str:
    """Six significant digits.

    Parameters
    ----------
    value
        Empty where it is None, nan or infinite: not determined.
    """
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"
