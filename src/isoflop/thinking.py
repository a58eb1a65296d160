"""What a thinking model writes before it answers: where its thoughts are in a text, and how many tokens."""

import re
from collections.abc import Iterator, Sequence

CLOSING = re.compile(r"</think(?:ing)?>|◁/think▷|\[/THINK\]")
OPENING = re.compile(r"<think(?:ing)?>|◁think▷|\[THINK\]")
_OPENED = re.compile(rf"(?:{OPENING.pattern})\s*\Z")


def opens_thoughts(prompt: str) -> bool:
    """Whether a prompt ends in an opening tag, as many chat templates do: what follows are thoughts."""
    return _OPENED.search(prompt) is not None


def thoughts(text: str, *, begun: bool = False) -> Iterator[tuple[int, int]]:
    """Where the thoughts of `text` begin and end, tags included; the last of them may be unfinished.

    `begun`: the prompt has opened them. They begin with the text, too, where its first tag is a closing one.
    """
    tags = sorted(
        [(found.start(), found.end(), True) for found in OPENING.finditer(text)]
        + [(found.start(), found.end(), False) for found in CLOSING.finditer(text)]
    )
    begin = 0 if begun or (tags and not tags[0][2]) else None
    for start, end, opening in tags:
        if opening:
            begin = start if begin is None else begin
        elif begin is not None:
            yield begin, end
            begin = None
    if begin is not None:
        yield begin, len(text)


def thinking_tokens(pieces: Sequence[str], *, begun: bool = False) -> int:
    """How many tokens are thoughts; `pieces` are their texts, in order.

    A token belongs where its first character does, and one without text where the token before it does.
    """
    spans = iter(thoughts("".join(pieces), begun=begun))
    span = next(spans, None)
    position, count, inside = 0, 0, begun
    for piece in pieces:
        if piece:
            while span is not None and position >= span[1]:
                span = next(spans, None)
            inside = span is not None and span[0] <= position
        count += inside
        position += len(piece)
    return count
