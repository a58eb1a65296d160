"""Claims of a paper as tests: parts with a statistic, its interval and a verdict.

Statistics are written so that a positive one speaks for the claim. A part is supported where the interval of
its statistic is above 0, contradicted where it is below, else undecided. A claim is supported if some part is
and none is contradicted, contradicted if some part is and none supported, and undecided otherwise.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isoflop.bootstrap import known_interval

Floats = NDArray[np.float64]

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
ANY = "any"  # where no cost enters
# Sums in another order differ by less: what is 0 must not be decided by its last bit.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Part:
    """One test of a claim. `value`, `low`, `high`: its statistic and interval; NaN where there is none."""

    claim: int
    dataset: str
    cost_model: str
    part: str
    statistic: str
    value: float
    low: float
    high: float
    verdict: str
    note: str = ""


def measured_part(
    claim: int,
    dataset: str,
    cost: str,
    part: str,
    statistic: str,
    draws: Floats,
    level: float,
    note: str = "",
) -> Part:
    """A part whose statistic is `draws[0]`, [1 + draws]; draws that are not a number are left out."""
    low, high = known_interval(draws[1:], level)
    return Part(claim, dataset, cost, part, statistic, float(draws[0]), low, high, decided(low, high), note)


def verdict(parts: Iterable[Part]) -> str:
    """The verdict on a claim from those on its parts."""
    found = {part.verdict for part in parts}
    if SUPPORTED in found and CONTRADICTED not in found:
        return SUPPORTED
    return CONTRADICTED if CONTRADICTED in found and SUPPORTED not in found else UNDECIDED


def claims_csv(parts: Sequence[Part], experiment: str, sentences: Mapping[int, str]) -> pd.DataFrame:
    """The parts as a table, with the claims' sentences by number."""
    columns = [field.name for field in fields(Part)]
    rows = [{"experiment": experiment, **{name: getattr(part, name) for name in columns}} for part in parts]
    table = pd.DataFrame(rows, columns=["experiment", *columns])
    table = table.rename(columns={"low": "ci_low", "high": "ci_high"})
    for name in ("value", "ci_low", "ci_high"):
        table[name] = table[name].map(lambda value: "" if not np.isfinite(value) else f"{value:.4g}")
    table.insert(2, "sentence", [sentences[part.claim] for part in parts])
    return table


def decided(low: float, high: float) -> str:
    """The verdict on a part by the interval of its statistic."""
    return SUPPORTED if low > _ROUNDING else CONTRADICTED if high < -_ROUNDING else UNDECIDED
