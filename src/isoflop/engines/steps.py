"""Steps of a solution: where they end, and how many tokens each has."""

import re
from collections.abc import Sequence
from functools import cache

from isoflop.errors import UserError


@cache
def step_end(separator: str) -> re.Pattern[str]:
    """What a step ends with: the separator, in which lines may end as in Windows."""
    return re.compile(re.escape(separator).replace(re.escape("\n"), "\r?\n"))


def split_steps(text: str, separator: str) -> list[str]:
    """The steps of `text`, separators included, so that their concatenation is `text`.

    A line may end as in Windows, by `\\r\\n`, wherever the separator has `\\n`.

    A step of white space alone is not a step: it belongs to the one before it (or after it, at the
    start). There is always at least one step; the empty solution is one empty step.
    """
    steps: list[str] = []
    start = 0
    mark = step_end(separator)
    while start < len(text):
        found = mark.search(text, start)
        end = len(text) if found is None else found.end()
        piece = text[start:end]
        if steps and (not piece.strip() or not steps[-1].strip()):
            steps[-1] += piece
        else:
            steps.append(piece)
        start = end
    return steps or [""]


def ended_steps(text: str, separator: str) -> int:
    """How many steps of `text` have ended: those that `separator` follows."""
    mark = step_end(separator)
    return sum(mark.search(step.lstrip()) is not None for step in split_steps(text, separator))


def stopped_at(text: str, stop: Sequence[str], before: int = 0) -> int | None:
    """Where the first stop string in `text` begins: what is written ends there; None if there is none.

    The first `before` characters were there before: a stop string may begin in them, but not end.
    """
    found = (text.find(one, max(0, before + 1 - len(one))) for one in stop)
    return min((place for place in found if place >= 0), default=None)


def tokens_per_step(pieces: Sequence[str], steps: Sequence[str], separator: str) -> list[int]:
    """How many tokens each of `steps` has; `pieces` are the tokens' texts, in order.

    A token belongs to the step that its first character is in; tokens without text (the end token)
    belong to the last step begun. Pieces decoded one by one may lack spaces that the text has, so the
    boundaries are found in the pieces themselves; they are given the spaces where it takes those.
    Raises UserError if the pieces have another number of steps than the text.
    """
    found_steps = split_steps("".join(pieces), separator)
    if len(found_steps) != len(steps):
        pieces = _spaced(pieces, "".join(steps))
        found_steps = split_steps("".join(pieces), separator)
    if len(found_steps) != len(steps):
        raise UserError(
            f"tokens cannot be assigned to steps: {len(steps)} in the text, {len(found_steps)} in its tokens"
        )
    counts = [0] * len(found_steps)
    step = 0
    end = len(found_steps[0])
    position = 0
    for piece in pieces:
        while piece and position >= end and step + 1 < len(found_steps):
            step += 1
            end += len(found_steps[step])
        counts[step] += 1
        position += len(piece)
    return counts


def _spaced(pieces: Sequence[str], text: str) -> list[str]:
    """The pieces with the spaces before them that `text` has and they lack."""
    spaced, position = [], 0
    for piece in pieces:
        begin = position
        while piece and text.startswith(" ", position) and not text.startswith(piece, position):
            position += 1
        position += len(piece)
        spaced.append(text[begin : position - len(piece)] + piece)
    return spaced
