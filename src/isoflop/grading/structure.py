r"""What kind of thing an answer is before it is compared: a list, a pair, a set, an equation, quantities.

A parser of expressions takes "100, 200" for one number, "(3,1)" and "\{1,3\}" for the same, "2x+3y=12" for 12
and "3 hours 20 minutes" for 3. Here such answers are taken apart, in normal form (isoflop.grading.latex).
"""

import re
from collections.abc import Callable, Sequence

Equivalent = Callable[[str, str], bool | None]

_OPENING, _CLOSING = "([{", ")]}"
# What is no name on the left of an equation: a sum, product, power, fraction or multiple of unknowns.
_COMPUTED = re.compile(r"[-+^*/]|\\(?:cdot|times|frac|sqrt)(?![a-zA-Z])|[0-9] ?[A-Za-z\\(]")
# Two letters or more in capitals are a segment or an angle, which geometry asks for: \frac{NO}{BO}.
_COMMAND_OR_SEGMENT = re.compile(r"\\[a-zA-Z]+|[A-Z]{2,}")
_SUBSCRIPT = re.compile(r"_(?:[A-Za-z0-9]|\{[^{}]*\})")
_WORD_UNIT = re.compile(r"\\(?:text|mathrm|mbox|textrm)\{[^{}]*\}")
_QUANTITY = re.compile(rf"(-?[0-9][0-9.,]*|\\frac\{{[0-9]+\}}\{{[0-9]+\}}) ?({_WORD_UNIT.pattern})")
_BETWEEN = re.compile(r"(?: |,|\\times|\\cdot|\\text\{ ?and ?\})*")
_SEVERAL = re.compile(r"\\pm(?![a-zA-Z])|\b(?:and|or)\b|\\text\{ ?(?:and|or) ?\}")
# Braces alone are not printed, nor is a command that sets words; what lists have between their last two.
_BARE_BRACES = re.compile(r"(?:\\text)?\{([^{}]*,[^{}]*)\}")
_AND_OR = re.compile(r",?\s*(?:\\text\{ ?(?:and|or) ?\}|\b(?:and|or)\b)\s*")
_BRACKETS = re.compile(r"(?:[(\[]|\\\{|\\text\{|\{)(.*)(?:[)\]]|\\\}|\})")
_MATRIX = re.compile(r"(.+?)(\\begin\{([bpvBV]?matrix)\})(.*)(\\end\{\3\})", re.DOTALL)
_SCALAR = re.compile(r"-|-?[0-9]+(?:\.[0-9]+)?|-?\\frac\{-?[0-9]+\}\{[0-9]+\}")


def parts(text: str, separator: str = ",") -> list[str]:
    """`text` at its separators outside of brackets; one between thousands is none."""
    found, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        if letter in _OPENING:
            depth += 1
        elif letter in _CLOSING:
            depth -= 1
        elif letter == separator and depth == 0 and not _in_a_number(text, index):
            found.append(text[start:index])
            start = index + 1
    return [part.strip() for part in (*found, text[start:])]


def _in_a_number(text: str, index: int) -> bool:
    """Whether a comma is between digits of one number: 1,000 but neither 1, 000 nor 1,2."""
    before, after = text[max(0, index - 40) : index], text[index : index + 5]
    grouped = re.search(r"(?<![0-9])[0-9]{1,3}(?:,[0-9]{3})*$", before)
    return bool(grouped and re.match(r",[0-9]{3}(?![0-9])", after))


def verdict_on_structure(first: str, second: str, equivalent: Equivalent) -> bool | None:
    """The verdict where what the answers are settles it, else None; both in normal form.

    `equivalent` compares members. An equation is not its bare right side unless its left one is a name; a
    list is not a number, nor a pair a set; lists and sets have no order; quantities with units are compared
    one by one.
    """
    for verdict in (_on_equations, _on_lists, _on_pairs, _on_quantities, _on_scaled_matrices):
        found = verdict(first, second, equivalent)
        if found is not None:
            return found
    return None


def _on_equations(first: str, second: str, equivalent: Equivalent) -> bool | None:
    sides = [parts(text, "=") for text in (first, second)]
    if len(sides[0]) == len(sides[1]) or min(map(len, sides)) > 1:
        return None
    (equation, other) = (sides[0], second) if len(sides[0]) > 1 else (sides[1], first)
    if "\\begin" in other or any("," in side or "\\text" in side or not side for side in equation):
        return None  # several equations, or words; others decide
    if re.search(r"[a-z]{3,} [a-z]", equation[0]):
        return None  # words; others decide
    # Without unknowns it is a calculation, and says what it comes to.
    unknowns = [re.search(r"[A-Za-z]", _COMMAND_OR_SEGMENT.sub("", side)) for side in equation]
    if unknowns[-1] and not re.search(r"[A-Za-z]", equation[0]):
        return False  # 7 = 11a + c
    if unknowns[0] and _COMPUTED.search(_SUBSCRIPT.sub("", equation[0])):
        return False
    return equivalent(equation[-1].strip(), other)


def _on_lists(first: str, second: str, equivalent: Equivalent) -> bool | None:
    members = [_members(text) for text in (first, second)]
    if members[0] is None and members[1] is None:
        return None
    if members[0] is None or members[1] is None:
        # A set or a pair may be a list; one number is none.
        alone, listed = (first, members[1]) if members[0] is None else (second, members[0])
        if re.fullmatch(r"-?[0-9][0-9.,]*", alone):
            return False
        if listed is None or _bracketed(alone) != "(":
            return None
        pair = parts(alone[1:-1])
        if len(pair) != len(listed):
            return None
        return _all_of([equivalent(one, other) for one, other in zip(pair, listed, strict=True)])
    return _same_members(members[0], members[1], equivalent)


def _members(text: str) -> list[str] | None:
    """The members of a list without brackets, of numbers, single letters or words; None for anything else."""
    inside = _BARE_BRACES.fullmatch(text)
    found = parts(_AND_OR.sub(",", inside[1] if inside else text))
    if len(found) < 2 or not all(found) or "\\begin" in text or "=" in text:
        return None
    return found


def has_several_members(text: str) -> bool:
    """Whether an answer in normal form is a list, pair or set, or says "and", "or" or plus-minus."""
    if "\\boxed" in text or _SEVERAL.search(text):
        return True
    inside = _BRACKETS.fullmatch(text)
    return len(parts(inside[1] if inside else text)) > 1


def _same_members(first: Sequence[str], second: Sequence[str], equivalent: Equivalent) -> bool | None:
    """Whether every member has its own equal among the others, whatever the order."""
    if len(first) != len(second):
        return False
    left, undecided = list(second), False
    for member in first:
        verdicts = [equivalent(member, other) for other in left]
        if True in verdicts:
            del left[verdicts.index(True)]
        elif None in verdicts:
            undecided = True
        else:
            return False
    return None if undecided else True


def _on_pairs(first: str, second: str, _: Equivalent) -> bool | None:
    """A pair has an order and a set has none."""
    kinds = {_bracketed(first), _bracketed(second)}
    return False if kinds == {"(", "\\{"} else None


def _bracketed(text: str) -> str | None:
    """`(` of a pair in round brackets, `\\{` of a set of several, None of anything else."""
    for opening, closing in (("(", ")"), ("\\{", "\\}")):
        if text.startswith(opening) and text.endswith(closing):
            inside = text[len(opening) : -len(closing)]
            if len(parts(inside)) > 1 and not re.search(r"\)[^(]*\(", inside):
                return opening
    return None


def _on_quantities(first: str, second: str, equivalent: Equivalent) -> bool | None:
    """Several numbers with units each: 3 hours 20 minutes, 10 cm x 4 cm."""
    found = [_quantities(text) for text in (first, second)]
    if found[0] is None and found[1] is None:
        return None
    if found[0] is None or found[1] is None or len(found[0]) != len(found[1]):
        return False
    verdicts = [
        equivalent(number, other) if unit == other_unit else False
        for (number, unit), (other, other_unit) in zip(found[0], found[1], strict=True)
    ]
    return _all_of(verdicts)


def _all_of(verdicts: Sequence[bool | None]) -> bool | None:
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _quantities(text: str) -> list[tuple[str, str]] | None:
    """Numbers and units of a text that is two quantities or more, else None."""
    found, position = [], 0
    while match := _QUANTITY.match(text, position):
        unit = re.sub(r"\\[a-z]+\{|[{}~ ]", "", match[2]).lower().rstrip("s.")
        found.append((match[1], unit))
        between = _BETWEEN.match(text, match.end())
        assert between is not None  # it may be empty
        position = between.end()
    return found if len(found) > 1 and position == len(text) else None


def _on_scaled_matrices(first: str, second: str, equivalent: Equivalent) -> bool | None:
    """A number before a matrix multiplies its entries."""
    scaled = [_scaled_in(text) for text in (first, second)]
    if scaled == [first, second]:
        return None
    return equivalent(*scaled)


def _scaled_in(text: str) -> str:
    """The matrix with the number before it in its entries."""
    match = _MATRIX.fullmatch(text)
    if match is None or not _SCALAR.fullmatch(match[1].removesuffix("\\cdot").strip()):
        return text
    scalar = match[1].removesuffix("\\cdot").strip()
    factor = "-1" if scalar == "-" else scalar
    rows = [
        "&".join(f"{factor}\\cdot({entry.strip()})" for entry in row.split("&"))
        for row in match[4].split("\\\\")
        if row.strip()
    ]
    return match[2] + "\\\\".join(rows) + match[5]
