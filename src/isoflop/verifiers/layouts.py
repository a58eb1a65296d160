"""What a verifier reads: a problem and the steps of a solution as token ids, and where its scores are.

Parts that layouts are made of; every kind's own layout is beside its keys (isoflop.verifiers.kinds).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isoflop.config.models import Chat
from isoflop.config.verifiers import RunningVerifier
from isoflop.engines.prompts import conversation, render_chat
from isoflop.errors import UserError

Solution = tuple[str, Sequence[str]]
"""The prompt, its template filled in, and the steps."""


@dataclass(frozen=True)
class Tagged:
    """Token ids, the places whose hidden states the scores are read from, and where the solution begins."""

    ids: list[int]
    places: list[int]
    begin: int


@dataclass(frozen=True)
class Layout:
    """A text, the characters whose tokens are marks, and the character that the solution begins at."""

    text: str
    marks: list[int]
    begin: int


def tagged_plain(tokenizer: Any, step_tag: str, solutions: Sequence[Solution]) -> list[Tagged]:
    """The prompt, then steps with a tag at the end of each one's line."""
    layouts = [_marked(prompt, steps, step_tag) for prompt, steps in solutions]
    return located(tokenizer, layouts, token_id(tokenizer, step_tag), special=True)


def tagged_or_chat(tokenizer: Any, entry: Chat, step_tag: str, solutions: Sequence[Solution]) -> list[Tagged]:
    """The same, or with `chat` the prompt as the user's message and the steps as the assistant's."""
    if not entry.chat:
        return tagged_plain(tokenizer, step_tag, solutions)
    layouts = [
        in_chat(tokenizer, entry.system, prompt, _marked("", steps, step_tag)) for prompt, steps in solutions
    ]
    return located(tokenizer, layouts, token_id(tokenizer, step_tag), special=False)


def fitting(tagged: Sequence[Tagged], entry: RunningVerifier, longest: int | None) -> list[Tagged | None]:
    """None for what is longer than `longest` tokens; raises UserError for it unless the entry says `mark`."""
    found: list[Tagged | None] = []
    for one in tagged:
        fits = longest is None or len(one.ids) <= longest
        if not fits and entry.too_long == "refuse":
            raise UserError(
                f"a solution of {len(one.ids)} tokens exceeds the verifier's {longest} positions; "
                "too_long: mark leaves such solutions without scores"
            )
        found.append(one if fits else None)
    return found


def marked_solutions(
    tokenizer: Any, solutions: Sequence[Solution], step_tag: str
) -> list[tuple[list[int], list[int]]]:
    """Token ids and the places of the tags, as in Math-Shepherd's data: what such a model learns from."""
    return [(one.ids, one.places) for one in tagged_plain(tokenizer, step_tag, solutions)]


def token_id(tokenizer: Any, text: str) -> int:
    """The one token that `text` is. Raises UserError if it is none or several."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    # SentencePiece tokenizers put a word-start piece before text that begins a string.
    if len(ids) > 1 and not tokenizer.decode(ids[:-1]).strip():
        ids = ids[-1:]
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
        raise UserError(f"{text!r} is not one token of this tokenizer (it reads it as {ids})")
    return int(ids[0])


def _marked(prompt: str, steps: Sequence[str], tag: str) -> Layout:
    """A tag after every step, before the line's end."""
    text, marks = prompt, []
    for step in steps:
        text += step.rstrip("\n") + tag
        marks.append(len(text) - 1)
        text += "\n"
    return Layout(text, marks, len(prompt))


def in_chat(tokenizer: Any, system: str | None, prompt: str, answer: Layout) -> Layout:
    """A solution as the assistant's message."""
    stand_in = "\ue000"
    before, after = split_at(
        tokenizer, render_chat(tokenizer, conversation(system, prompt, stand_in)), [stand_in]
    )
    text, begin = before + answer.text + after, len(before)
    return Layout(text, [begin + mark for mark in answer.marks], begin + answer.begin)


def split_at(tokenizer: Any, text: str, stand_ins: Sequence[str]) -> list[str]:
    """What is before, between and after the stand-ins, each of which must be there once."""
    parts, rest = [], text
    for stand_in in stand_ins:
        if text.count(stand_in) != 1:
            raise UserError(
                f"{tokenizer.name_or_path}: the chat template repeats or leaves out an assistant's message"
            )
        before, _, rest = rest.partition(stand_in)
        parts.append(before)
    return [*parts, rest]


def located(
    tokenizer: Any, layouts: Sequence[Layout], mark: int, *, special: bool, before: bool = False
) -> list[Tagged]:
    """Tokens of each text, read as one, with the places of the marks or of what is `before` them."""
    if not layouts:
        return []
    if not tokenizer.is_fast:
        raise UserError(f"{tokenizer.name_or_path}: a verifier needs a fast tokenizer (tokenizer.json)")
    encoded = tokenizer([layout.text for layout in layouts], add_special_tokens=special)
    found = []
    for row, layout in enumerate(layouts):
        ids = encoded["input_ids"][row]
        places = [encoded.char_to_token(row, character) for character in layout.marks]
        for character, place in zip(layout.marks, places, strict=True):
            if place is None or ids[place] != mark:
                around = layout.text[max(0, character - 20) : character + 10]
                raise UserError(
                    f"{tokenizer.name_or_path}: the mark after a step is not a token of its own in {around!r}"
                )
        begin = encoded.char_to_token(row, layout.begin) if layout.begin < len(layout.text) else None
        shifted = [place - 1 for place in places] if before else places
        found.append(Tagged(ids, shifted, min(begin or 0, shifted[0])))
    return found
