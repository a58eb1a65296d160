"""The policy engine of a server that is running already: an OpenAI-compatible endpoint of vLLM or SGLang.

Prompts go out as token ids and completions come back as token ids: no text is tokenised again, so a server
that returns none is refused. What the request does not say a server takes from the model's generation
config, so it says all that changes what is drawn.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from isoflop.config.models import Policy as PolicyEntry
from isoflop.config.models import Server
from isoflop.engines.http_client import ServerClient, ServerError
from isoflop.engines.request_queue import JoiningPolicy, Part, Written
from isoflop.errors import UserError
from isoflop.messages import suggest

_PATH = "/completions"
_QUESTION = "1 + 1 = ?"
_FEW_TOKENS = 8
_BYTES_PER_TOKEN = 1024  # of an answer at most, tokens of the prompt counted too
_LEAST_BYTES = 2**20
_MOST_NAMES = 20  # of models, in a message
_LONG = 10**15  # a number too long for one
_LEAST_LOGPROB = -1e6
_ROUNDING = 1e-3  # how far above 0 a log-probability may be
# How far the same log-probability may be off in two answers: far more than by rounding in bfloat16.
_TOLERANCE = 0.25


class ServerPolicy(JoiningPolicy):
    """A causal language model behind a server as a policy (isoflop.engines.registry.Policy).

    Raises UserError where the server is not there, or is no server that this engine can use.
    """

    def __init__(self, entry: PolicyEntry, server: Server, batch_size: int = 512) -> None:
        super().__init__(entry)
        assert entry.model is not None  # what is trained here has been located
        self._name, self._url = server.name or entry.model, server.url
        self._filters = False
        self._client: ServerClient[Written] = ServerClient(server, min(server.concurrency, batch_size))
        try:
            self.longest = self._served_length(entry.max_length)
            self._check(entry.model)
        except BaseException:
            self.close()
            raise

    def submit(self, number: int, part: Part) -> None:
        """Ask for a part."""
        if (part.top_k or part.min_p) and not self._filters:
            self._check_filters()
        self._client.ask(
            number, _PATH, self._body(part), lambda answer: self._written(answer, part), _most_bytes(part)
        )

    def collect(self) -> Iterable[tuple[int, Written]]:
        """The parts that have come; waits for one."""
        return self._client.answers()

    def abandon(self, numbers: Sequence[int]) -> None:
        """Forget what was asked."""
        self._client.drop()

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def _body(self, part: Part) -> dict[str, Any]:
        optional = {"seed": part.seed, "stop": list(part.stop) or None}
        return {
            "model": self._name,
            "prompt": list(part.prompt),
            "max_tokens": part.max_tokens,
            "temperature": part.temperature,
            "top_p": part.top_p,
            "stop_token_ids": sorted(self.ends),
            "logprobs": 0,
            "return_token_ids": True,
            # Not the generation config's; -1 keeps all.
            "top_k": part.top_k or -1,
            "min_p": part.min_p,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            # The separator belongs to the step: vLLM's word for it, and SGLang's.
            "include_stop_str_in_output": True,
            "no_stop_trim": True,
        } | {key: value for key, value in optional.items() if value is not None}

    def _written(self, answer: Any, part: Part) -> Written:
        """What was written. Raises ServerError if the answer was broken off, UserError if it is no use."""
        choice = self._choice(answer)
        finish = choice.get("finish_reason")
        if finish not in ("stop", "length"):
            raise ServerError(f"a completion ended with finish_reason {self._client.quoted(finish, 40)}")
        tokens = choice.get("token_ids")
        if not _whole_numbers(tokens):
            raise self._failure(
                "returns no token ids; it must know return_token_ids, as vLLM 0.10.2 and newer ones do"
            )
        listed = choice.get("logprobs")
        logprobs = listed.get("token_logprobs") if isinstance(listed, dict) else None
        if not _numbers(logprobs) or len(logprobs) != len(tokens):
            raise self._failure(f"returns no log-probability for each of {len(tokens)} tokens")
        self._check_values(tokens, logprobs, part)
        if finish == "length" and len(tokens) < part.max_tokens:
            raise self._failure(
                f"cut a completion after {len(tokens)} tokens of {part.max_tokens}; it has a limit of its "
                "own (max_new_tokens of a generation config?)"
            )
        return Written(tokens, logprobs, finish == "stop")

    def _check_values(self, tokens: list[int], logprobs: list[float], part: Part) -> None:
        """Refuse what no model can have written."""
        if len(tokens) > part.max_tokens:
            raise self._failure(f"wrote {len(tokens)} tokens where {part.max_tokens} were asked for")
        unknown = [token for token in tokens if not 0 <= token < self.vocabulary]
        if unknown:
            raise self._failure(
                f"wrote token {_short(unknown[0])}, and the model has {self.vocabulary}; it has another model"
            )
        if any(token in self.ends for token in tokens[:-1]):
            raise self._failure("wrote on after an end token; it must know stop_token_ids")
        # What is no number (NaN) is wrong too, and -Infinity, which no sum survives.
        wrong = [value for value in logprobs if not _LEAST_LOGPROB <= value <= _ROUNDING]
        if wrong:
            raise self._failure(f"gives a log-probability of {_short(wrong[0])}")

    def _choice(self, answer: Any) -> dict[str, Any]:
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
            raise self._failure(
                f"answers with something else than one completion: {self._client.quoted(answer, 60)}"
            )
        return choices[0]

    def _served_length(self, wanted: int | None) -> int:
        """The longest sequence, once it is sure that the server has the model."""
        answer = self._client.get("/models")
        cards = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(cards, list) or not all(isinstance(card, dict) for card in cards):
            raise self._failure(f"does not list its models: {self._client.quoted(answer, 60)}")
        names = [name for card in cards if isinstance(name := card.get("id"), str)]
        if self._name not in names:
            listed = [self._client.told(name) for name in names[:_MOST_NAMES]]
            raise self._failure(
                f"does not serve {self._name!r}{suggest(self._name, listed)} (it serves: "
                f"{', '.join(listed) or 'nothing'}); set server.name"
            )
        served = next(card for card in cards if card.get("id") == self._name).get("max_model_len")
        known = [length for length in (served, wanted) if type(length) is int and length > 0]
        if not known:
            raise self._failure(f"does not say how long a sequence of {self._name!r} may be; set max_length")
        return min(known)

    def _check(self, model: str) -> None:
        """Ask a few short questions, and refuse a server whose answers are not what is needed."""
        question = self._question(0.0)
        sent = len(question.prompt)
        answer, greedy = self._ask(question)
        usage = answer.get("usage")
        read = usage.get("prompt_tokens", sent) if isinstance(usage, dict) else sent
        if read != sent:
            raise self._failure(
                f"reads {self._client.told(read)} tokens where {sent} were sent; it must not change prompts"
            )
        expected, answered = self.decoder.text(greedy.tokens), self._choice(answer).get("text")
        if not isinstance(answered, str) or _solid(expected) != _solid(answered):
            raise self._failure(
                f"writes {self._client.quoted(answered, 100)} where the tokens of {model!r} mean "
                f"{expected!r}: it has another model"
            )
        _, nearly = self._ask(self._question(0.05))
        for token, other, one, two in zip(
            greedy.tokens, nearly.tokens, greedy.logprobs, nearly.logprobs, strict=False
        ):
            if token != other:
                break
            if abs(one - two) > _TOLERANCE:
                raise self._failure(
                    "gives log-probabilities that depend on the temperature; start vLLM without another "
                    "--logprobs-mode, SGLang with SGLANG_RETURN_ORIGINAL_LOGPROB=1"
                )
        drawn = self._question(1.0)
        if self._ask(drawn)[1].tokens != self._ask(drawn)[1].tokens:
            print(
                f"server {self._url}: draws otherwise when asked again with the same seed; results are "
                "sound, but a second run has other samples (SGLang: --enable-deterministic-inference)",
                file=sys.stderr,
            )

    def _check_filters(self) -> None:
        """Refuse a server that does not filter what it draws from: the most probable token alone is left."""
        _, greedy = self._ask(self._question(0.0))
        drawing = self._question(2.0)
        for name, only in (("top_k", replace(drawing, top_k=1)), ("min_p", replace(drawing, min_p=1.0))):
            try:
                _, drawn = self._ask(only)
            except UserError as error:
                raise UserError(
                    f"{error}; it refuses {name}, which is no part of OpenAI's API: leave it out of the "
                    "generator, or take a server that knows it, such as vLLM"
                ) from error
            for token, other, one, two in zip(
                greedy.tokens, drawn.tokens, greedy.logprobs, drawn.logprobs, strict=False
            ):
                # Two tokens may be as probable as each other.
                if token != other and one - two > _TOLERANCE:
                    raise self._failure(f"takes no notice of {name}; leave it out of the generator")
                if token != other:
                    break
        self._filters = True

    def _question(self, temperature: float) -> Part:
        """A short part to try a server with."""
        prompt = self.prompts.ids([_QUESTION])[0]
        room = max(1, min(_FEW_TOKENS, self.longest - len(prompt)))
        return Part(prompt, 1 if temperature else None, room, temperature, 1.0, 0, 0.0, ())

    def _ask(self, part: Part) -> tuple[dict[str, Any], Written]:
        """A part's answer, as it came and as it was read."""
        answer: dict[str, Any]
        answer, written = self._client.post(
            _PATH, self._body(part), lambda answer: (answer, self._written(answer, part)), _most_bytes(part)
        )
        return answer, written

    def _failure(self, what: str) -> UserError:
        return UserError(f"server {self._url}: {what}")


def _most_bytes(part: Part) -> int:
    """How long the answer to a part may be."""
    return _LEAST_BYTES + _BYTES_PER_TOKEN * (len(part.prompt) + part.max_tokens)


def _short(number: float) -> str:
    """A number that may have thousands of digits."""
    return "of many digits" if abs(number) >= _LONG and isinstance(number, int) else f"{number:.12g}"


def _whole_numbers(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int for value in values)


def _numbers(values: Any) -> TypeGuard[list[float]]:
    return isinstance(values, list) and all(type(value) in {int, float} for value in values)


def _solid(text: str) -> str:
    """A text without white space and half characters, which servers and tokenizers treat in many ways."""
    return "".join(text.replace("\ufffd", "").split())
