"""Where a text states an answer: boxes, and phrases such as "The answer is"."""

import re

from isoflop.thinking import CLOSING, OPENING

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

# A second backslash before a box comes from text that was escaped twice.
_BOX_OR_BRACE = re.compile(r"\\{1,2}(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
# A box without braces: a number or one letter, or a command with its arguments; the word alone is none.
_BARE_BOX = re.compile(r"\\boxed\s+(-?[0-9][0-9.,/]*[0-9]|-?[0-9]|[A-HJ-Zb-z])(?![0-9a-zA-Z{\\])")
_BOXED_COMMAND = re.compile(r"\\boxed\s*(?=\\(?:[dt]?frac|sqrt|text|mathrm|mathbf|overline|pi)(?![a-zA-Z]))")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
# A sample of a base model may go on with a question of its own.
_NEXT_QUESTION = re.compile(r"\n[ \t]*(?:Q|Question|Problem)\s*[0-9]*\s*:")
_HEADING_WORDS = re.compile(r"\s*(?:[0-9]+[.)]\s+\S|[A-Za-z][A-Za-z ,:'-]*\n)")


def answering(text: str) -> str:
    """What answers: nothing of what a reasoning model thinks, ended or not."""
    ends = list(CLOSING.finditer(text))
    answer = text[ends[-1].end() :] if ends else text
    begun = OPENING.search(answer)
    return answer if begun is None else answer[: begun.start()]


def until_next_question(text: str, first: int) -> str:
    """The text up to a question that the model asks itself after `first`, where an answer was stated."""
    asked = _NEXT_QUESTION.search(text, first)
    return text if asked is None else text[: asked.start()]


def is_heading(mark: str, rest: str) -> bool:
    """Whether `####` begins a heading and no answer: "#### 2. Check", or words with more text below."""
    return mark.startswith("#") and _HEADING_WORDS.match(rest) is not None


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
    found += [(match.start(), _with_arguments(text, match.end())) for match in _BOXED_COMMAND.finditer(text)]
    return sorted(found)


def _with_arguments(text: str, start: int) -> str:
    """The command at `start` with the braces and brackets that follow it at once, as far as they close."""
    command = _COMMAND.match(text, start)
    assert command is not None  # it is what was looked for
    end = command.end()
    while end < len(text) and text[end] in "{[":
        depth = 0
        for index in range(end, min(len(text), end + MAX_STATEMENT_LENGTH)):
            depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(text[index], 0)
            if depth == 0:
                end = index + 1
                break
        else:
            break
    return text[start:end]
