"""Problems, where they come from, and published solutions."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.data.pooling import Pool, pool
    from isoflop.data.problems import FieldMapping, Problem, build_problems
    from isoflop.data.rows import read_rows
    from isoflop.data.solutions import Solution
    from isoflop.data.word_problems import generate_problems

__all__ = [
    "FieldMapping",
    "Pool",
    "Problem",
    "Solution",
    "build_problems",
    "generate_problems",
    "pool",
    "read_rows",
]

face(__name__)
