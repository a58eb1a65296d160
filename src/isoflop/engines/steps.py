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


def tokens_per_step(pieces: Sequence[str], steps: Sequence[str], separator: str) -> list[int]:
    """How many tokens each of `steps` has; `pieces` are the tokens' texts, in order.

    A token belongs to the step that its first character is in; tokens without text (the end token)
    belong to the last step begun. Pieces decoded one by one may lack spaces that the text has, so the
    boundaries are found in the pieces themselves.
    Raises UserError if the pieces have another number of steps than the text.
    """
    own = split_steps("".join(pieces), separator)
    if len(own) != len(steps):
        raise UserError(
            f"tokens cannot be assigned to steps: {len(steps)} in the text, {len(own)} in its tokens"
        )
    counts = [0] * len(own)
    place = 0
    end = len(own[0])
    position = 0
    for piece in pieces:
        while piece and position >= end and place + 1 < len(own):
            place += 1
            end += len(own[place])
        counts[place] += 1
        position += len(piece)
    return counts
