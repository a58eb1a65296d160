"""Find answers and compare them: numbers, LaTeX, programs, choices."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.grading.equivalence import AnswerClasses, classify
    from isoflop.grading.grader import Grader, is_right, make_grader
    from isoflop.grading.numbers import format_number, parse_number

__all__ = ["AnswerClasses", "Grader", "classify", "format_number", "is_right", "make_grader", "parse_number"]

face(__name__)
