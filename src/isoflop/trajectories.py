"""What a revision model learns from, built of parallel samples: wrong answers, then a right one.

Snell et al. 2024, section 6.1: the number of wrong answers is uniform from 0 to 4, the last of them is the
one nearest to the right one by character edit distance, the others are random.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein


@dataclass(frozen=True)
class Trajectory:
    """Attempts at a problem that are wrong, the earliest first, and the right answer to learn."""

    wrong: tuple[str, ...]
    right: str


def build_trajectories(
    right: Sequence[str], wrong: Sequence[str], *, most_wrong: int, most: int | None, seed: int
) -> list[Trajectory]:
    """One trajectory per right answer of a problem, or for `most` of them, drawn at random.

    An answer is at most once in a trajectory; one that was sampled twice counts as two. Where several are
    equally near, chance decides. The result is fixed by the arguments.
    """
    chance = random.Random(seed)
    learned = chance.sample(right, len(right) if most is None else min(most, len(right)))
    return [Trajectory(_before(chance, answer, wrong, most_wrong), answer) for answer in learned]


def _before(chance: random.Random, right: str, wrong: Sequence[str], most: int) -> tuple[str, ...]:
    count = min(chance.randint(0, most), len(wrong))
    if not count:
        return ()
    shuffled = chance.sample(wrong, len(wrong))
    nearest = min(range(len(shuffled)), key=lambda place: Levenshtein.distance(shuffled[place], right))
    last = shuffled.pop(nearest)
    return (*shuffled[: count - 1], last)
