"""Steps of a solution: where they end, and how many tokens each has."""

from collections.abc import Sequence


def split_steps(text: str, separator: str) -> list[str]:
    """The steps of `text`, separators included, so that their concatenation is `text`.

    A step of white space alone is not a step: it belongs to the one before it (or after it, at the
    start). There is always at least one step; the empty solution is one empty step.
    """
    steps: list[str] = []
    start = 0
    while start < len(text):
        found = text.find(separator, start)
        end = len(text) if found < 0 else found + len(separator)
        piece = text[start:end]
        if steps and (not piece.strip() or not steps[-1].strip()):
            steps[-1] += piece
        else:
            steps.append(piece)
        start = end
    return steps or [""]


def tokens_per_step(pieces: Sequence[str], steps: Sequence[str]) -> list[int]:
    """How many tokens each step has; `pieces` are the tokens' texts, in order.

    A token belongs to the step that its first character is in; tokens without text (the end token)
    belong to the last step begun. Lengths may differ slightly from the text's where a token is part
    of a character, which moves no boundary by more than that token.
    """
    counts = [0] * len(steps)
    place = 0
    end = len(steps[0])
    position = 0
    for piece in pieces:
        while piece and position >= end and place + 1 < len(steps):
            place += 1
            end += len(steps[place])
        counts[place] += 1
        position += len(piece)
    return counts
