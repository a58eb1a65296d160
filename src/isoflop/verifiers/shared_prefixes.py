"""One score for one beginning: ties between candidates that share their steps are not broken by rounding."""

from collections.abc import Sequence
from dataclasses import replace

from isoflop.engines.registry import ScoreRequest, StepScores

# Beginnings that are read in different batches differ by some 1e-7 in float32.
_ROUNDING = 1e-5


def scored_alike(requests: Sequence[ScoreRequest], answers: Sequence[StepScores]) -> list[StepScores]:
    """Scores of which equal beginnings have equal ones.

    Parameters
    ----------
    requests, answers
        What a verifier of steps was asked, and its scores of every step; none where a solution was too long.

    Returns
    -------
    The answers, in their order. A step's score is that of the first request with the same prompt and the same
    steps up to it, unless it differs from it by more than rounding (1e-5): such a verifier sees what follows.
    """
    first: dict[tuple[str, tuple[str, ...]], float] = {}
    alike = []
    for request, answer in zip(requests, answers, strict=True):
        scores = []
        for count, score in enumerate(answer.scores, start=1):
            known = first.setdefault((request.prompt, request.steps[:count]), score)
            scores.append(known if abs(known - score) <= _ROUNDING else score)
        alike.append(replace(answer, scores=tuple(scores)))
    return alike
