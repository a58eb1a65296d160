"""Where a text states an answer: boxes, and phrases such as "The answer is"."""

import re

MAX_STATEMENT_LENGTH = 2000  # characters after the phrase that are looked at

SENTENCE_END = re.compile(r"\.(?=\s|\*|$)|\n")

STATEMENT = re.compile(
    r"""
      \#\#\#\#
    | ^[ \t]*A:                                             # the style of GSM8K's published model solutions
    | \banswer(?:[*_ \t]{0,4}:|[*_ \t]{0,4}\sis\b|\s=)      # "the answer is", "Answer:", "**Answer**:"
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)

_BOX_OR_BRACE = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_BARE_BOX = re.compile(r"\\boxed\s+([0-9a-zA-Z]+)(?![{\\])")


def boxed(text: str) -> list[tuple[int, str]]:
    r"""Position and content of every closed \boxed{...} or \fbox{...}, in the order in which they open.

    One pass over the text, so hostile nesting costs no more than its length.
    """
    if "\\boxed" not in text and "\\fbox" not in text:
        return []
    found = [(match.start(), match[1]) for match in _BARE_BOX.finditer(text)]
    opened: list[tuple[int, int] | None] = []  # where a box and its content start; None for another brace
    for match in _BOX_OR_BRACE.finditer(text):
        token = match[0]
        if token == "{":
            opened.append(None)
        elif token == "}":
            start = opened.pop() if opened else None
            if start is not None:
                found.append((start[0], text[start[1] : match.start()]))
        elif token.endswith("{") and len(token) > 2:
            opened.append((match.start(), match.end()))
    return sorted(found)
