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

# The widest steps.
GRID = 2.0**-12
# Far above what float32 rounding moves the logarithm of a score's odds by (a test measures that).
CLOSE = 3e-5
# Bits that are kept of a distance from 0 or 1 where steps are narrower.
_BITS = 9
# Log-odds beyond which doubles cannot tell a score from 0 or 1.
_TINY = 2.0**-50


def close(scores: Floats) -> Floats:
    """How far rounding may move scores: least near 0 and 1, where the odds change most.

    Parameters
    ----------
    scores
        In [0, 1], of any shape.
    """
    return CLOSE * scores * (1 - scores) + 1e-9


@dataclass(frozen=True)
class Grid:
    """Points that scores are rounded to.

    Attributes
    ----------
    fine
        Whether steps are narrower near 0 and 1, where scores differ by little that tell much apart: nine
        significant bits are kept of the distance from there. Elsewhere, and everywhere on the other grid,
        points are the multiples of `GRID`.
    """

    fine: bool

    def settled(self, scores: Floats) -> Floats:
        """The points nearest to scores in [0, 1], of any shape."""
        distance, steps = self._steps(scores)
        rounded: Floats = np.floor(distance / steps + 0.5) * steps
        return np.where(scores > 0.5, 1.0 - rounded, rounded) if self.fine else rounded

    def doubtful(self, scores: Floats) -> NDArray[np.bool_]:
        """Which scores rounding errors could move to another point."""
        distance, steps = self._steps(scores)
        reach = CLOSE * scores * (1 - scores) if self.fine else close(scores)
        doubt: NDArray[np.bool_] = np.abs(distance / steps % 1.0 - 0.5) * steps < reach
        return doubt

    def _steps(self, scores: Floats) -> tuple[Floats, Floats]:
        """What is rounded, and to multiples of what."""
        if not self.fine:
            return scores, np.full(scores.shape, GRID)
        distance = np.minimum(scores, 1.0 - scores)
        _, exponents = np.frexp(np.maximum(distance, _TINY))
        return distance, np.minimum(np.ldexp(1.0, exponents - _BITS), GRID)


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
