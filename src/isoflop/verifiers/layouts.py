"""What a verifier reads: a problem and the steps of a solution as token ids, and where its scores are.

One function per convention; prompts, marks and places are those of the models' own code (the model cards of
Math-Shepherd, RLHFlow, Qwen2.5-Math-PRM and Skywork-o1-Open-PRM).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isoflop.config.verifiers import (
    CausalOrm,
    LlemmaRm,
    MathShepherd,
    Orm,
    QwenPrm,
    Rlhflow,
    Running,
    SkyworkPrm,
    TokenClass,
    TokenPair,
)
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
class _Layout:
    """A text, the characters whose tokens are marks, and the character that the solution begins at."""

    text: str
    marks: list[int]
    begin: int


def tag_solutions(tokenizer: Any, entry: Running, solutions: Sequence[Solution]) -> list[Tagged]:
    """Every solution as the verifier reads it; one place per step, or one in all for an ORM.

    Raises UserError where the tokenizer merges a mark with its surroundings.
    """
    match entry:
        case MathShepherd() | LlemmaRm():
            layouts = [_marked(prompt, steps, entry.step_tag) for prompt, steps in solutions]
            return _located(tokenizer, layouts, token_id(tokenizer, entry.step_tag), special=True)
        case TokenPair() | TokenClass() | CausalOrm():
            if isinstance(entry, CausalOrm):
                solutions = [(prompt, ("".join(steps),)) for prompt, steps in solutions]
            layouts = [
                _marked("" if entry.chat else prompt, steps, entry.step_tag) for prompt, steps in solutions
            ]
            if entry.chat:
                layouts = [
                    _in_chat(tokenizer, entry.system, prompt, layout)
                    for (prompt, _), layout in zip(solutions, layouts, strict=True)
                ]
            return _located(tokenizer, layouts, token_id(tokenizer, entry.step_tag), special=not entry.chat)
        case QwenPrm():
            layouts = [
                _in_chat(tokenizer, entry.system, prompt, _joined(steps, entry.step_tag))
                for prompt, steps in solutions
            ]
            return _located(tokenizer, layouts, token_id(tokenizer, entry.step_tag), special=False)
        case Rlhflow():
            layouts = [_dialogue(tokenizer, prompt, steps, entry.good_token) for prompt, steps in solutions]
            good = token_id(tokenizer, entry.good_token)
            # A causal model says the token after a place there.
            return _located(tokenizer, layouts, good, special=False, before=True)
        case SkyworkPrm():
            return _lines(tokenizer, solutions)
        case Orm():
            return _whole(tokenizer, entry, solutions)


def check_marks(tokenizer: Any, entry: Running) -> None:
    """Read a solution of one step. Raises UserError where its marks would be no tokens."""
    tag_solutions(tokenizer, entry, [(entry.prompt.format(problem="1 + 1 = ?"), ("2\n",))])


def fitting(tagged: Sequence[Tagged], entry: Running, longest: int | None) -> list[Tagged | None]:
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
    layouts = [_marked(prompt, steps, step_tag) for prompt, steps in solutions]
    tagged = _located(tokenizer, layouts, token_id(tokenizer, step_tag), special=True)
    return [(one.ids, one.places) for one in tagged]


def token_id(tokenizer: Any, text: str) -> int:
    """The one token that `text` is. Raises UserError if it is none or several."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    # SentencePiece tokenizers put a word-start piece before text that begins a string.
    if len(ids) > 1 and not tokenizer.decode(ids[:-1]).strip():
        ids = ids[-1:]
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
        raise UserError(f"{text!r} is not one token of this tokenizer (it reads it as {ids})")
    return int(ids[0])


def _marked(prompt: str, steps: Sequence[str], tag: str) -> _Layout:
    """A tag after every step, before the line's end."""
    text, marks = prompt, []
    for step in steps:
        text += step.rstrip("\n") + tag
        marks.append(len(text) - 1)
        text += "\n"
    return _Layout(text, marks, len(prompt))


def _joined(steps: Sequence[str], tag: str) -> _Layout:
    """Steps with nothing but tags between them."""
    text, marks = "", []
    for step in steps:
        text += step.strip() + tag
        marks.append(len(text) - 1)
    return _Layout(text, marks, 0)


def _in_chat(tokenizer: Any, system: str | None, prompt: str, answer: _Layout) -> _Layout:
    """A solution as the assistant's message."""
    stand_in = "\ue000"
    before, after = _split(
        tokenizer, render_chat(tokenizer, conversation(system, prompt, stand_in)), [stand_in]
    )
    text, begin = before + answer.text + after, len(before)
    return _Layout(text, [begin + mark for mark in answer.marks], begin + answer.begin)


def _dialogue(tokenizer: Any, prompt: str, steps: Sequence[str], good: str) -> _Layout:
    """Each step a message of the user's, each answered with the good token; marks are the answers."""
    stand_ins = [f"\ue000{number}\ue001" for number in range(len(steps))]
    messages = []
    for number, (step, stand_in) in enumerate(zip(steps, stand_ins, strict=True)):
        said = step.strip() if number else f"{prompt} {step.strip()}"
        messages += conversation(None, said, stand_in)
    parts = _split(tokenizer, render_chat(tokenizer, messages), stand_ins)
    text, marks = parts[0], []
    for part in parts[1:]:
        marks.append(len(text))
        text += good + part
    return _Layout(text, marks, max(0, text.find(prompt) + len(prompt)) if prompt else 0)


def _split(tokenizer: Any, text: str, stand_ins: Sequence[str]) -> list[str]:
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


def _located(
    tokenizer: Any, layouts: Sequence[_Layout], mark: int, *, special: bool, before: bool = False
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


def _lines(tokenizer: Any, solutions: Sequence[Solution]) -> list[Tagged]:
    """Skywork's reading: the prompt and every step encoded apart, a line's end after each step."""
    line_end = tokenizer("\n", add_special_tokens=False)["input_ids"][-1]
    start = tokenizer.bos_token or ""
    tagged = []
    for prompt, steps in solutions:
        ids = list(tokenizer(start + prompt)["input_ids"])
        begin, places = len(ids), []
        for step in steps:
            flat = re.sub(r"\s*\n\s*", " ", step.strip())
            ids += [*(tokenizer(flat)["input_ids"] if flat else []), line_end]
            places.append(len(ids) - 1)
        tagged.append(Tagged(ids, places, begin))
    return tagged


def _whole(tokenizer: Any, entry: Orm, solutions: Sequence[Solution]) -> list[Tagged]:
    """The solution as it stands; the place is the last token."""
    layouts = [_Layout(prompt + "".join(steps), [], len(prompt)) for prompt, steps in solutions]
    if entry.chat:
        layouts = [
            _in_chat(tokenizer, entry.system, prompt, _Layout("".join(steps).strip(), [], 0))
            for prompt, steps in solutions
        ]
    texts = [layout.text for layout in layouts]
    encoded = tokenizer(texts, add_special_tokens=not entry.chat)["input_ids"] if texts else []
    return [Tagged(ids, [len(ids) - 1], 0) for ids in encoded]
