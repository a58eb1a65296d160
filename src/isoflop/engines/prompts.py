"""Prompts as token ids, plain or through a chat template, and what a policy wrote as text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jinja2 import TemplateError
from numpy.typing import NDArray

from isoflop.engines.registry import Completion, GenerationRequest
from isoflop.engines.steps import ended_steps, stopped_at
from isoflop.errors import UserError
from isoflop.thinking import opens_thoughts, thinking_tokens

Message = Mapping[str, str]

# What tokenizers show for bytes that are no whole character, and how many tokens one has at most.
_BROKEN = "\ufffd"
_LONGEST_CHARACTER = 8


def render_chat(
    tokenizer: Any, messages: Sequence[Message], *, template: str | None = None, answer: bool = False
) -> str:
    """The text of a chat; with `answer`, up to where the assistant's next message begins.

    Raises UserError where the tokenizer has no chat template, or the template refuses the messages.
    """
    if template is None and tokenizer.chat_template is None:
        raise UserError(f"{tokenizer.name_or_path}: the tokenizer has no chat template; give chat_template")
    try:
        text: str = tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            chat_template=template,
            tokenize=False,
            add_generation_prompt=answer,
        )
    except (TemplateError, ValueError, TypeError) as error:
        raise UserError(f"{tokenizer.name_or_path}: the chat template fails: {error}") from error
    return text


def conversation(system: str | None, user: str, *answers: str) -> list[Message]:
    """Messages: the system's where there is one, the user's, the assistant's."""
    messages: list[Message] = [{"role": "system", "content": system}] if system is not None else []
    messages.append({"role": "user", "content": user})
    return messages + [{"role": "assistant", "content": answer} for answer in answers]


class PromptEncoder:
    """Token ids of a policy's prompts."""

    def __init__(
        self, tokenizer: Any, *, chat: bool = False, system: str | None = None, template: str | None = None
    ) -> None:
        self._tokenizer, self._chat = tokenizer, chat
        self._system, self._template = system, template
        if chat:
            # A template that fails is a fault of the config: found before the first problem.
            self.text("1 + 1 = ?")
        # Asked once for every completion of a prompt.
        self.thinks = lru_cache(4096)(self._thinks)

    def text(self, prompt: str) -> str:
        """What the model is given to continue."""
        if not self._chat:
            return prompt
        return render_chat(
            self._tokenizer, conversation(self._system, prompt), template=self._template, answer=True
        )

    def _thinks(self, prompt: str) -> bool:
        """Whether what follows the prompt begins with thoughts that it has opened."""
        return opens_thoughts(self.text(prompt))

    def ids(self, prompts: Sequence[str]) -> list[tuple[int, ...]]:
        """Token ids by prompt. A chat template writes the special tokens itself."""
        if not prompts:
            return []
        texts = [self.text(prompt) for prompt in prompts]
        return [tuple(ids) for ids in self._tokenizer(texts, add_special_tokens=not self._chat)["input_ids"]]


class Decoder:
    """Texts of what a policy wrote."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._pieces: dict[int, str] = {}
        self._pairs: list[str] = []

    def text(self, ids: Sequence[int]) -> str:
        """The text of some tokens, without special ones."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def piece(self, token: int) -> str:
        """The text of one token alone."""
        if token not in self._pieces:
            self._pieces[token] = self.text([token])
        return self._pieces[token]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """What each token adds to the text of those before it; their concatenation is the text.

        A character of several tokens is the first one's.
        """
        pieces = [""] * len(ids)
        # The last tokens are decoded again with those that follow: some tokenizers leave out a first space.
        context = known = begun = 0
        for end in range(1, len(ids) + 1):
            before, text = self.text(ids[context:known]), self.text(ids[context:end])
            if text.endswith(_BROKEN) and end - begun < _LONGEST_CHARACTER and end < len(ids):
                continue
            added, last = text[len(before) :], self.piece(ids[end - 1])
            if end - begun > 1 and _BROKEN not in last and added.endswith(last):
                # It completes nothing: those before it are bytes of no character.
                added, pieces[end - 1] = added.removesuffix(last), last
            pieces[begun], begun = added, end
            if len(text) > len(before):
                context, known = known, end
        return pieces

    def enders(self, mark: str, vocabulary: int) -> NDArray[np.int64]:
        """The tokens that may complete `mark` in some text: those that can bring its last character."""
        if not self._pairs:
            # Beside itself a token shows a space that it brings, and alone may not.
            self._pairs = [self.text([token, token]) for token in range(vocabulary)]
        last = mark[-1]
        return np.array(
            [
                token
                for token, text in enumerate(self._pairs)
                if last in text or (_BROKEN in text and not last.isascii())
            ],
            dtype=np.int64,
        )

    def cut(self, written: Sequence[int], ids: Sequence[int], stop: Sequence[str]) -> int | None:
        """How many characters of the text of `ids` stay before a stop string; None where there is none.

        `written` are the tokens before `ids`. Of a stop string that begins in them, nothing stays.
        """
        before = len(self.text(written)) if written else 0
        text = self.text([*written, *ids])
        place = stopped_at(text, stop, before)
        return None if place is None else max(0, len(self.text(ids)) - (len(text) - place))

    def completion(
        self,
        ids: Sequence[int],
        finish: str,
        prompt_tokens: int,
        logprob: float = 0.0,
        *,
        kept: int | None = None,
        thinks: bool | None = None,
    ) -> Completion:
        """The completion that wrote `ids`, the end token of `stop` not among them.

        `kept`: how many characters are before a stop string, which there is then instead of an end token.
        `thinks`: whether it began with thoughts; None to count none.
        """
        text, pieces = self.text(ids), [self.piece(token) for token in ids]
        if kept is not None or any(_BROKEN in piece for piece in pieces):
            pieces = self.pieces(ids)
        if kept is not None:
            pieces, text = _beginning(pieces, kept), text[:kept]
        elif finish == "stop":
            pieces.append("")
        return Completion(
            text=text,
            pieces=tuple(pieces),
            finish=finish,
            prompt_tokens=prompt_tokens,
            logprob=logprob,
            tokens=tuple(ids),
            thinking=None if thinks is None else thinking_tokens(pieces, begun=thinks),
        )


def _beginning(pieces: Sequence[str], characters: int) -> list[str]:
    """As many pieces, of which only the first `characters` are left."""
    left = []
    for piece in pieces:
        left.append(piece[:characters])
        characters = max(0, characters - len(piece))
    return left


@dataclass(frozen=True)
class NewTokens:
    """The tokens that requests of a batch have just written. `active`: their places in `requests`; `row_of`:
    those of their texts in `written`, the tokens before; all [active]."""

    requests: Sequence[GenerationRequest]
    active: NDArray[np.int64]
    row_of: NDArray[np.int64]
    tokens: NDArray[np.int64]
    written: Sequence[Sequence[int]]

    def at(self, place: int) -> tuple[GenerationRequest, int, int]:
        """Of the request at a place: itself, its row and its token."""
        return self.requests[self.active[place]], int(self.row_of[place]), int(self.tokens[place])


@dataclass(frozen=True)
class Ended:
    """Which requests end with their new token [active], by an end token, a stop string or a step; `kept`:
    characters before the stop string."""

    stopped: NDArray[np.bool_]
    cut: NDArray[np.bool_]
    step: NDArray[np.bool_]
    kept: dict[int, int]

    def how(self, place: int) -> tuple[str, int | None]:
        """Finish reason and characters kept, where only some are."""
        if self.cut[place]:
            return "stop", self.kept[place]
        return "stop" if self.stopped[place] else "step" if self.step[place] else "length", None


class Endings:
    """What ends requests of a batch that write token by token; `ends` are the end tokens."""

    def __init__(self, decoder: Decoder, vocabulary: int, ends: Sequence[int]) -> None:
        self._decoder, self._vocabulary = decoder, vocabulary
        self._ends = np.array(ends, dtype=np.int64)
        self._enders: dict[str, NDArray[np.int64]] = {}

    def find(self, new: NewTokens, separators: Iterable[str], stops: Iterable[tuple[str, ...]]) -> Ended:
        """An end token comes before a stop string, and that before a step.

        `separators`, `stops`: all that any of the requests has.
        """
        stopped = np.isin(new.tokens, self._ends)
        cut, step = np.zeros_like(stopped), np.zeros_like(stopped)
        kept = {place: count for stop in stops for place, count in self._cuts(new, stop)}
        cut[list(kept)] = True
        cut &= ~stopped
        for separator in separators:
            step[list(self._steps(new, separator))] = True
        return Ended(stopped, cut, step & ~stopped & ~cut, kept)

    def _cuts(self, new: NewTokens, stop: tuple[str, ...]) -> Iterator[tuple[int, int]]:
        """Which requests have a stop string with their new token, and how many characters they keep."""
        enders = np.concatenate([self._of(one) for one in stop])
        kept: dict[tuple[int, int, tuple[int, ...]], int | None] = {}
        for place in np.flatnonzero(np.isin(new.tokens, enders)).tolist():
            request, row, token = new.at(place)
            if request.stop != stop:
                continue
            key = (row, token, request.written)
            if key not in kept:
                kept[key] = self._decoder.cut(request.written, [*new.written[row], token], stop)
            count = kept[key]
            if count is not None:
                yield place, count

    def _steps(self, new: NewTokens, separator: str) -> Iterator[int]:
        """Which requests have all steps that they asked for with their new token."""
        counts: dict[tuple[int, int], int] = {}
        for place in np.flatnonzero(np.isin(new.tokens, self._of(separator))).tolist():
            request, row, token = new.at(place)
            if request.separator != separator:
                continue
            if (row, token) not in counts:
                counts[row, token] = ended_steps(self._decoder.text([*new.written[row], token]), separator)
            if counts[row, token] >= request.steps:
                yield place

    def _of(self, mark: str) -> NDArray[np.int64]:
        """The tokens that may complete a separator or a stop string."""
        if mark[-1] not in self._enders:
            self._enders[mark[-1]] = self._decoder.enders(mark, self._vocabulary)
        return self._enders[mark[-1]]
