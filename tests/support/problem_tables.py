"""Tables of generated problems, as the problems stage makes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from isoflop.config.datasets import WordproblemsSource
from isoflop.data.loading import load_wordproblems
from isoflop.data.problems import problem_columns
from isoflop.data.word_problems import LEVELS
from isoflop.files import write_table
from isoflop.tables import PROBLEMS


def write_problems(
    path: Path, split: Literal["train", "dev", "test"], size: int, seed: int, levels: Sequence[int] = LEVELS
) -> Path:
    """Write the first `size` problems of a split; returns `path`."""
    source = WordproblemsSource(
        source="wordproblems", split=split, size=size, seed=seed, levels=tuple(levels)
    )
    problems, _ = load_wordproblems(source)
    write_table(path, problem_columns(problems), PROBLEMS, {"source": source.source})
    return path
