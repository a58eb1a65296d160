"""Tags that a policy itself writes at the end of every step, as the data that it learnt from has them.

The policies of Wu et al. 2024 write " ки", where their reward model reads a score. The tables of candidates
and trees hold what was written, and a search goes on from it; graders and verifiers are given the text
without tags, since a tag is no part of an answer and a verifier puts its own.
"""

import re
from collections.abc import Sequence


def untagged(steps: Sequence[str], tag: str | None, *, more: bool = False) -> list[str]:
    """The steps without `tag`, as many as before; None: as they are.

    A tag is taken out with the spaces around it, and ends its line. `more`: other steps follow these.
    """
    if tag is None:
        return list(steps)
    pattern = re.compile(rf"[ \t]*{re.escape(tag.strip())}[ \t]*\n?")
    told = [pattern.sub("\n", step) for step in steps]
    if told and not more and not steps[-1].endswith("\n"):
        told[-1] = told[-1].removesuffix("\n")
    return told


def untagged_text(text: str, tag: str | None) -> str:
    """A solution without `tag`."""
    return untagged([text], tag)[0]


def with_words(steps: Sequence[str], tag: str | None, *, more: bool = False) -> list[str]:
    """The steps without `tag`, and without those that were nothing else; never fewer than one.

    Without a tag all steps stay.
    """
    told = untagged(steps, tag, more=more)
    return told if tag is None else [step for step in told if step.strip()] or told[:1]


def for_all_steps(scores: Sequence[float], steps: Sequence[str], tag: str | None) -> list[float]:
    """A score for each of `steps`, from one for each of `with_words(steps, tag)`; none from none.

    A step that was a tag alone has the score of the step before it, or where there is none of the next.
    """
    if tag is None or not scores:
        return list(scores)
    found, place = [], -1
    for step in untagged(steps, tag):
        place += bool(step.strip())
        found.append(scores[max(place, 0)])
    return found
