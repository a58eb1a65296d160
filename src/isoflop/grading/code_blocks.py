"""Where a text holds programs: its code blocks, closed or not, and what of several belongs together."""

import ast
import builtins
import re
import textwrap
import warnings
from collections.abc import Sequence

_FENCE = re.compile(r"(?:```|~~~)[ \t]*([\w+-]*)[^\n`]*$", re.MULTILINE)
_PYTHON = frozenset({"", "python", "python3", "py"})
# The marks of MBPP's few-shot prompt and of Code Llama's.
_MARKS = (("[BEGIN]", "[DONE]"), ("[PYTHON]", "[/PYTHON]"))
# Tests of its own are no answer.
_DEFINITION = re.compile(
    r"^(?:async\s+def|def|class)\s+(?!test_|Test[A-Z_])\w|^\w+\s*=\s*lambda\b", re.MULTILINE
)
_CODE_LINE = re.compile(r"^(?:(?:async\s+def|def|class|import|from|@)\s*\w|\w+\s*=\s*lambda\b)", re.MULTILINE)
# Fences in a docstring that are tried as the end of a block.
_TRIED = 20


def stated_program(text: str, *, truncated: bool) -> str | None:
    """The last code block that defines a function or class, else the last one; else a text of code.

    With it go earlier blocks that define what it uses. A block that is not closed is complete unless the text
    was cut off: what closes it may have been the stop string.
    """
    blocks = [block for block, closed in _blocks(text) if closed or not truncated]
    if not blocks and not truncated and not _FENCE.search(text) and _CODE_LINE.search(text):
        blocks = [text]
    programs = [program for block in blocks if (program := _tidy(block))]
    chosen = [index for index, program in enumerate(programs) if _DEFINITION.search(program)]
    if not chosen:
        return programs[-1] if programs else None
    return _with_helpers(programs, chosen[-1])


def _with_helpers(programs: Sequence[str], index: int) -> str:
    """A program after the earlier ones that define what it uses and nothing that it defines itself."""
    parts = [programs[index]]
    defined, missing = _names(programs[index])
    for earlier in reversed(programs[:index]):
        offered, needed = _names(earlier)
        if offered & missing and not offered & defined:
            parts.insert(0, earlier)
            defined, missing = defined | offered, (missing | needed) - offered - defined
    return "\n\n".join(parts)


def _names(program: str) -> tuple[set[str], set[str]]:
    """What a program defines, and what it uses and does not define; nothing of what is no Python."""
    tree = _parsed(program)
    if tree is None:
        return set(), set()
    stored: set[str] = set()
    used: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else stored).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            stored.add(node.name)
        elif isinstance(node, ast.arg):
            stored.add(node.arg)
        elif isinstance(node, ast.alias):
            stored.add((node.asname or node.name).partition(".")[0])
    own = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    return own, used - stored - set(dir(builtins))


def _parsed(program: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings(action="ignore"):  # about escapes in somebody's strings
            return ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _blocks(text: str) -> list[tuple[str, bool]]:
    """The code blocks of `text` in their order, and whether each is closed."""
    for opening, closing in _MARKS:
        if opening in text:
            parts = (part.partition(closing) for part in text.split(opening)[1:])
            return [
                (block, bool(mark))
                for inside, mark, _ in parts
                for block, _ in (_fenced(inside) or [(inside, True)])
            ]
    return _fenced(text)


def _fenced(text: str) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    fences = list(_FENCE.finditer(text))
    index = 0
    while index < len(fences):
        opening = fences[index]
        closing = _closing(text, fences, index)
        end = fences[closing].start() if closing is not None else len(text)
        if opening[1].lower() in _PYTHON:
            found.append((text[opening.end() : end], closing is not None))
        index = len(fences) if closing is None else closing + 1
    return found


def _closing(text: str, fences: Sequence[re.Match[str]], opening: int) -> int | None:
    """The fence that closes a block: the first at which it is Python (docstrings hold some), or the next."""
    rest = range(opening + 1, min(len(fences), opening + 1 + _TRIED))
    if not rest:
        return None
    if fences[opening][1].lower() in _PYTHON:
        for index in rest:
            program = _tidy(text[fences[opening].end() : fences[index].start()])
            if program and not fences[index][1] and _parsed(program):
                return index
    return rest[0]


def _tidy(block: str) -> str | None:
    """The block without what changes only its looks: its indentation as a whole, spaces at line ends."""
    lines = [line.rstrip() for line in textwrap.dedent(block.replace("\r\n", "\n")).split("\n")]
    return "\n".join(lines).strip("\n") or None
