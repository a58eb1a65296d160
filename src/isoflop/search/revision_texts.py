"""What a model that revises, or judges a revision, is told: the problem with earlier attempts at it."""

from collections.abc import Sequence

from isoflop.config.generators import AttemptTexts


def with_attempts(texts: AttemptTexts, problem: str, attempts: Sequence[str], latest: int) -> str:
    """The text that takes the problem's place: the problem itself where there are no attempts.

    Parameters
    ----------
    texts
        How attempts are written.
    problem
        Its text.
    attempts
        Earlier solutions, the earliest first.
    latest
        How many of them are shown, the last ones.
    """
    shown = attempts[max(0, len(attempts) - latest) :]
    if not shown:
        return problem
    written = "".join(texts.attempt.format(attempt=attempt.strip()) for attempt in shown)
    return texts.asked.format(problem=problem, attempts=written)
