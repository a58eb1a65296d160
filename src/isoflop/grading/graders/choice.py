r"""Grader `choice`: multiple choice (MMLU, GPQA, ARC, AQuA), answered by the letter of one choice.

Prose has letters too: "A train leaves", "I think", "E = mc^2". So a letter counts where something states it
("The answer is (B).", "C is correct.", a box, a line of its own at the start or end), and where it does not
go on with a word, a formula or a name. A statement of several letters is no single answer.
"""

import re
from collections.abc import Iterator

from isoflop.grading.equivalence import ComparingGrader
from isoflop.grading.grader import GraderKind, GraderSettings
from isoflop.grading.statements import MAX_STATEMENT_LENGTH, answering, boxed, is_heading, until_next_question
from isoflop.registries import DEFAULT_CHOICES

_SURE = r"(?:most\s+)?(?:likely|probably|therefore|thus|then|hence|clearly)"
_VERB = (
    rf"(?:,?\s{_SURE},?\s)?(?:is|was|(?:would|should|must|will|has\s+to)(?:\s+{_SURE})?\s+be)(?![a-zA-Z'’])"
)
_BEST = r"(?:correct|right|best|final|chosen|proper|appropriate|suitable|likely|my|our)"
_STATEMENT = re.compile(
    rf"""
      \#\#\#\#
    | (?:\banswer(?:\s+(?:choice|option|letter|key))?(?:\s+(?:to|for|among|from)\s[^.:\n]{{1,80}}?)?
       |\b{_BEST}\s+(?:option|choice|letter|one)
       )[*_`"'\ \t]{{0,4}}(?:{_VERB}|:|=|>|\s[-–—]\s)
    | ^[\#*_\ \t]{{0,10}}(?:final\ )?answer[*_\ \t]{{0,4}}$
    | 答案(?:是|为|[:：])
    | \b(?:matches|corresponds\s+to|which\s+is)\s+(?:answer\s+)?(?:option|choice|answer)\b
    | \b(?:I|we)(?:\s+(?:will|would|therefore|thus)|['’](?:ll|d))?\s+(?:choose|select|pick|go\s+with)\b
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_DENIED = re.compile(
    r"\b(?:wrong|incorrect|first|second|other|previous|another|possible|no)\s+$", re.IGNORECASE
)
# "(B) is correct.", but not "Statement I is correct.": after a beginning, or what introduces a choice.
_STATED_AFTER = re.compile(
    r"""
    (?:^[>*_\ \t]*|[.!?:,;]\s+|\b(?:so|thus|hence|therefore|that|option|choice|answer)\s+)
    (?:(?:option|choice|answer)\s+)?[*_(\["'$]{0,4}(?P<letter>(?-i:[A-Z])|(?<=\()[a-z](?=\)))[*_)\]"'$]{0,4}
    \s+is\s+(?:(?:therefore|thus|indeed|clearly)\s+)?
    (?:the\s+)?(?:(?:only|most|best)\s+)?(?:correct|right|best|answer)(?:\s+(?:answer|option|choice|one))?
    (?=[*_]{0,3}[ \t]*(?P<end>[.!,;\n]|$))
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)

# What may stand between a phrase and its letter: signs, commands of fonts, and words that say nothing.
_WORD = (
    r"(?:the|therefore|thus|hence|clearly|likely|most|probably|definitely|indeed|also|either|both"
    r"|correct|final|answer|option|choice|letter)s?\b"
)
_FONT = r"\\(?:text(?:bf|it|rm|sf)?|mathrm|mathbf|mathsf|mbox|boldsymbol)\b"
_BEFORE = re.compile(rf"(?:[\s*_`~\"'“‘<>(\[{{$:：]|\\[(\[,; ]|{_FONT}|{_WORD})*", re.IGNORECASE)
_CLOSING = re.compile(r"(?:[)\]}*_`$\"'”’]|\\[)\]])*")
# After a letter that no sign marks: an end, a pause, an explanation; "A train" and "D = 3" are none.
_MARKS = frozenset(")]}*$")
_PAUSE = re.compile(
    r"""\s*$|[ \t]*\n|\s*[,;!?。，；：:]|\s[-–—]\s|\s*[–—]|\s*\(|\s*</
      | \s+(?:because|since|as|for|which|with|due|not|rather|instead|and\s+not|but|given|where|based
             |i\.e\.|meaning|according)\b
    """,
    re.VERBOSE,
)
# "B." ends; "D. H. Lawrence", "A.M." and "B.12" are names.
_PERIOD = re.compile(r"\.(?![A-Za-z0-9]|\s*[A-Z]\.)")
_NEXT = re.compile(r"\s*(?:,\s*(?:(?:and|or)\b)?|[/&+]|(?:and|or)\b)\s*", re.IGNORECASE)
_LONE = re.compile(r"[ \t*_`>]*[(\[]?[A-Za-z][)\].:*_`]*[ \t]*")
# A choice and its text; "I." alone begins a chapter.
_LISTED = re.compile(r"^[ \t*_>-]*(?:\((?:[A-Z]|[a-z])\)|[A-HJ-Za-z]\)|[A-HJ-Z][.:](?=\s))", re.MULTILINE)
_REFERENCE = re.compile(r"[\s(\[*]*([A-Za-z])[\s)\].:*]*")
_REST_OPEN = re.compile(r"[\s,]*\Z")
_SEVERAL = ""
_LOOK_BACK = 20  # characters before a phrase, for a word that denies it
_LEAD_IN = 300  # characters between a phrase and its letter


class ChoiceGrader(ComparingGrader):
    """The letter of one choice: "The answer is (B).", a box, a bare letter; compared as letters.

    Where a text states several, the last completed statement counts, and one of several letters is none.
    """

    def __init__(self, choices: int = DEFAULT_CHOICES) -> None:
        """How many answers a problem offers at most; letters beyond that are none."""
        self._last = chr(ord("A") + choices - 1)

    def extract(self, text: str, *, truncated: bool = False) -> str | None:
        """The letter of the last completed statement, in upper case."""
        text = answering(text)
        stated = sorted(self._statements(text, truncated))
        if stated:
            known = len(until_next_question(text, stated[0][0]))
            stated = [one for one in stated if one[0] < known]
        return (stated[-1][1] or None) if stated else None

    def equivalent(self, first: str, second: str) -> bool | None:
        """The same letter; as strings where one of them is none."""
        return (_letter(first) or first) == (_letter(second) or second)

    def reference_fault(self, answer: str) -> str | None:
        """A reference must be the letter of a choice."""
        letter = _letter(answer)
        if letter is None:
            return (
                f"it is no letter from A to {self._last}; write the letter of the right choice into the file "
                "(numbers of choices begin with 0 in some files and with 1 in others, so none is read)"
            )
        if letter > self._last:
            return f"it lies beyond {self._last}; set choices to {ord(letter) - ord('A') + 1} or more"
        return None

    def _statements(self, text: str, truncated: bool) -> Iterator[tuple[int, str]]:
        """Where a letter is stated, and which; `_SEVERAL` for several."""
        for position, inside in boxed(text):
            if (letter := self._read(inside, 0, cut=False)) is not None:
                yield position, letter
        for match in _STATEMENT.finditer(text):
            if is_heading(match[0], text[match.end() : match.end() + MAX_STATEMENT_LENGTH]):
                continue
            if _DENIED.search(text[max(0, match.start() - _LOOK_BACK) : match.start()]):
                continue
            if (letter := self._read(text, match.end(), cut=truncated)) is not None:
                yield match.start(), letter
        for match in _STATED_AFTER.finditer(text):
            letter = match["letter"].upper()
            if letter <= self._last and (match["end"] or not truncated):
                yield match.start("letter"), letter
        yield from self._alone(text, truncated)

    def _alone(self, text: str, truncated: bool) -> Iterator[tuple[int, str]]:
        """The first and the last line, where it is a letter; the first one also with the choice's text."""
        lines = [match for match in re.finditer(r"[^\n]+", text) if match[0].strip()]
        for line in lines[:1] + lines[1:][-1:]:
            cut = truncated and line is lines[-1]
            with_text = line is lines[0] and _LISTED.match(line[0])
            if with_text and len(_LISTED.findall(text)) > 1:
                continue  # the choices are told again
            if with_text or _LONE.fullmatch(line[0]):
                letter = self._read(line[0], 0, cut=cut)
                if letter is not None:
                    yield line.start(), letter

    def _read(self, text: str, start: int, *, cut: bool) -> str | None:
        """The letter that `text` goes on with at `start`, `_SEVERAL` of several, None where there is none.

        With `cut`, one that more text could still have changed is none either.
        """
        found = self._one(text, start)
        if found is None:
            return None
        letter, end, stands = found
        going_on = _NEXT.match(text, end)
        other = self._one(text, going_on.end()) if going_on else None
        if other is not None and (other[2] or _NEXT.match(text, other[1])):
            return letter if other[0] == letter else _SEVERAL
        return letter if stands and not (cut and _REST_OPEN.match(text, end)) else None

    def _one(self, text: str, start: int) -> tuple[str, int, bool] | None:
        """A letter after what may stand before it, where its closing signs end, whether it stands alone."""
        before = _BEFORE.match(text, start, start + _LEAD_IN)
        place = before.end() if before else start
        letter = text[place : place + 1]
        if not (letter.isascii() and letter.isalpha() and letter.upper() <= self._last):
            return None
        closing = _CLOSING.match(text, place + 1)
        end = closing.end() if closing else place + 1
        signs, after = text[place + 1 : end], text[end : end + 1]
        marked = bool(set(signs) & _MARKS) or (bool(signs) and not after.isalnum())
        stands = marked or bool(_PERIOD.match(text, end) or _PAUSE.match(text, end))
        return letter.upper(), end, stands


def _letter(text: str) -> str | None:
    match = _REFERENCE.fullmatch(text)
    return match[1].upper() if match else None


def _make(settings: GraderSettings) -> ChoiceGrader:
    return ChoiceGrader(settings.choices)


GRADER = GraderKind(name="choice", order=4, lettered=True, examples=("A", "B", "C"), make=_make)
