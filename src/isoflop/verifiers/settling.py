"""Scores that do not depend on the batch: rounded to a grid, where rounding errors cannot reach.

What float32 computes of a text differs in the last bits with what is read beside it, with the number of
threads, and with the machine. Rounded to a grid whose steps are far wider, it is the same number, unless it
lies so near the middle between two of them that either could come out: such a score is found again in
float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Text = tuple[Sequence[int], Sequence[int]]
"""Tokens, and the places of scores among them, rising."""

# From here on steps are as wide as here: of a score's distance from 0, and of that from 1, of which doubles
# hold multiples of 2^-53 alone, so that seven bits of a smaller one would be their rounding.
_TINY = 2.0**-50
_SURE = 2.0**-33
# What doubles near 1 are off by, with room.
_ROUNDED = 2.0**-51


@dataclass(frozen=True)
class Grid:
    """Points that scores are rounded to.

    Attributes
    ----------
    step
        Between neighbouring points, where steps are widest.
    bits
        How many significant bits of a score's distance from 0 or 1 are kept where that is small, so that
        scores stay apart which differ by little and tell much apart; None for the same step everywhere.
    reach
        How far rounding errors may move the logarithm of a score's odds.
    """

    step: float
    bits: int | None
    reach: float

    def settled(self, scores: Floats) -> Floats:
        """The points nearest to scores in [0, 1], of any shape."""
        distance, steps = self._steps(scores)
        rounded: Floats = np.floor(distance / steps + 0.5) * steps
        return rounded if self.bits is None else np.where(scores > 0.5, 1.0 - rounded, rounded)

    def doubtful(self, scores: Floats) -> NDArray[np.bool_]:
        """Which scores rounding errors could move to another point."""
        distance, steps = self._steps(scores)
        doubt: NDArray[np.bool_] = np.abs(distance / steps % 1.0 - 0.5) * steps < self.close(scores)
        return doubt

    def close(self, scores: Floats) -> Floats:
        """How far rounding may move scores: least near 0 and 1, where the odds change most."""
        # What the head itself computes in float64 near 0 and 1 counts where steps are as wide there.
        least = 1e-9 if self.bits is None else np.where(scores > 0.5, _ROUNDED, 0.0)
        close: Floats = self.reach * scores * (1 - scores) + least
        return close

    def _steps(self, scores: Floats) -> tuple[Floats, Floats]:
        """What is rounded, and to multiples of what."""
        if self.bits is None:
            return scores, np.full(scores.shape, self.step)
        distance = np.minimum(scores, 1.0 - scores)
        _, exponents = np.frexp(np.maximum(distance, np.where(scores > 0.5, _SURE, _TINY)))
        return distance, np.minimum(np.ldexp(1.0, exponents - self.bits), self.step)


# What guides a search: weights, of which 0.0001 more or less moves no child. Far above what batches of steps
# move scores by (a test measures that).
SEARCHED = Grid(step=2.0**-12, bits=None, reach=3e-5)
# What picks between solutions. On the shipped verifiers batches move log-odds by up to 4e-5, and float32 is
# up to 8e-5 from float64 (benchmarks/scores.py); wide steps keep the doubtful ones few.
SCORED = Grid(step=2.0**-10, bits=7, reach=2e-4)


def beginnings(text: Text) -> list[bytes]:
    """A name for the tokens up to each place: equal ones for equal tokens.

    Parameters
    ----------
    text
        Tokens and places.
    """
    ids, places = text
    tokens, digest, begin, names = np.asarray(ids, dtype=np.int64), blake2b(digest_size=16), 0, []
    for place in places:
        digest.update(tokens[begin : place + 1].tobytes())
        names.append(digest.digest())
        begin = place + 1
    return names


def alike(texts: Sequence[Text], scores: Sequence[Floats]) -> list[Floats]:
    """Scores of which equal beginnings have equal ones, also where no grid settles them.

    Parameters
    ----------
    texts
        Tokens of each text, and the places of its scores.
    scores
        By text and place.

    Returns
    -------
    The scores, each that of the first text with the same tokens up to there.
    """
    first: dict[bytes, float] = {}
    return [
        np.array(
            [
                first.setdefault(name, score)
                for name, score in zip(beginnings(text), values.tolist(), strict=True)
            ]
        )
        for text, values in zip(texts, scores, strict=True)
    ]
