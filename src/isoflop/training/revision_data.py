"""What a revision model learns from, built of parallel samples: wrong answers, then a right one.

Snell et al. 2024, section 6.1: the number of wrong answers is uniform from 0 to 4, the last of them is the
one nearest to the right one by character edit distance, the others are random. Attempts as they were sampled,
right ones too, may take the place of wrong ones in a share of the trajectories.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein


@dataclass(frozen=True)
class Trajectory:
    """Attempts at a problem, the earliest first, and the right answer to learn."""

    attempts: tuple[str, ...]
    right: str


def build_trajectories(
    right: Sequence[str],
    wrong: Sequence[str],
    *,
    most_wrong: int,
    most: int | None,
    seed: int,
    as_sampled: float = 0.0,
) -> list[Trajectory]:
    """One trajectory per right answer of a problem, or for `most` of them, drawn at random.

    A sample is at most once in a trajectory; what was sampled twice counts as two. Where several are equally
    near, chance decides. `as_sampled`: the share whose attempts are any of the other samples. The result is
    fixed by the arguments.
    """
    chance = random.Random(seed)
    learned = chance.sample(range(len(right)), len(right) if most is None else min(most, len(right)))
    built = []
    for place in learned:
        if chance.random() < as_sampled:
            others = [*right[:place], *right[place + 1 :], *wrong]
            before = tuple(chance.sample(others, min(chance.randint(0, most_wrong), len(others))))
        else:
            before = _before(chance, right[place], wrong, most_wrong)
        built.append(Trajectory(before, right[place]))
    return built


def _before(chance: random.Random, right: str, wrong: Sequence[str], most: int) -> tuple[str, ...]:
    count = min(chance.randint(0, most), len(wrong))
    if not count:
        return ()
    shuffled = chance.sample(wrong, len(wrong))
    nearest = min(range(len(shuffled)), key=lambda place: Levenshtein.distance(shuffled[place], right))
    last = shuffled.pop(nearest)
    return (*shuffled[: count - 1], last)
