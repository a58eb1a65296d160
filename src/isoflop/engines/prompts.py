"""Prompts as token ids, plain or through a chat template, and what a policy wrote as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError

from isoflop.engines.registry import Completion
from isoflop.errors import UserError

Message = Mapping[str, str]


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

    def text(self, prompt: str) -> str:
        """What the model is given to continue."""
        if not self._chat:
            return prompt
        return render_chat(
            self._tokenizer, conversation(self._system, prompt), template=self._template, answer=True
        )

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

    def text(self, ids: Sequence[int]) -> str:
        """The text of some tokens, without special ones."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def piece(self, token: int) -> str:
        """The text of one token alone."""
        if token not in self._pieces:
            self._pieces[token] = self.text([token])
        return self._pieces[token]

    def completion(
        self, ids: Sequence[int], finish: str, prompt_tokens: int, logprob: float = 0.0
    ) -> Completion:
        """The completion that wrote `ids`, the end token of `stop` not among them."""
        pieces = tuple(map(self.piece, ids))
        return Completion(
            text=self.text(ids),
            pieces=(*pieces, "") if finish == "stop" else pieces,
            finish=finish,
            prompt_tokens=prompt_tokens,
            logprob=logprob,
            tokens=tuple(ids),
        )
