"""What engines that take requests up one by one have in common: which are under way, and where they end.

Such an engine writes until an end token, a stop string or a limit. A request for several steps may need more
than one such part: the next goes on from the last one's tokens, with randomness of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from isoflop.config.models import Policy as PolicyEntry
from isoflop.engines.checkpoints import configured_end, empty_model, end_tokens, load_tokenizer, model_shape
from isoflop.engines.prompts import Decoder, PromptEncoder
from isoflop.engines.registry import Completion, GenerationRequest, More, Progress
from isoflop.engines.steps import ended_steps
from isoflop.errors import UserError
from isoflop.seeds import derive_seed


@dataclass(frozen=True)
class Part:
    """What an engine is to write at once: what to go on from, and until when.

    `seed` is None where nothing is drawn; `top_k` 0 is all. `stop`: texts that end the part, its tokens
    included.
    """

    prompt: Sequence[int]
    seed: int | None
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    stop: tuple[str, ...]


@dataclass(frozen=True)
class Written:
    """What an engine wrote: tokens and their log-probabilities, the end token with them.

    `stopped`: at an end token or a stop string, not for want of room.
    """

    tokens: Sequence[int]
    logprobs: Sequence[float]
    stopped: bool


@dataclass
class _Open:
    """A request under way: its prompt's tokens, and what earlier parts of it wrote."""

    request: GenerationRequest
    prompt: tuple[int, ...]
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    parts: int = 0

    def part(self) -> Part:
        request = self.request
        # A part that goes on from an earlier one must not repeat its randomness.
        seed = derive_seed("part", request.seed, self.parts) if self.parts else request.seed
        return Part(
            prompt=[*self.prompt, *self.tokens],
            seed=seed if request.temperature else None,
            max_tokens=request.max_tokens - len(self.tokens),
            temperature=request.temperature,
            top_p=request.top_p if request.temperature else 1.0,
            top_k=request.top_k if request.temperature else 0,
            min_p=request.min_p if request.temperature else 0.0,
            stop=request.stop if request.separator is None else (request.separator, *request.stop),
        )


class JoiningPolicy(ABC):
    """A policy (isoflop.engines.registry.Policy) whose engine lets requests join those that are under way.

    A subclass sets `longest`, the most tokens of prompt and completion together.
    """

    longest: int

    def __init__(self, entry: PolicyEntry) -> None:
        assert entry.model is not None  # what is trained here has been located
        tokenizer = load_tokenizer(entry.model, entry.revision)
        self.prompts = PromptEncoder(
            tokenizer, chat=entry.chat, system=entry.system, template=entry.chat_template
        )
        self.decoder = Decoder(tokenizer)
        self.ends = end_tokens(configured_end(entry.model, entry.revision), tokenizer)
        self.shape = model_shape(empty_model(entry.model, entry.revision))

    @abstractmethod
    def submit(self, number: int, part: Part) -> None:
        """Give the engine one part of the request `number` to write."""

    @abstractmethod
    def collect(self) -> Iterable[tuple[int, Written]]:
        """Parts that are done, by the number of their request; waits as long as the engine sees fit."""

    @abstractmethod
    def abandon(self, numbers: Sequence[int]) -> None:
        """Forget these requests: an error has ended the call that asked for them."""

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        progress: Progress | None = None,
        more: More | None = None,
    ) -> list[Completion]:
        """One completion per request, in order. Raises UserError if one cannot fit the model."""
        under_way: dict[int, _Open] = {}
        try:
            return self._run(requests, progress, more, under_way)
        except BaseException:
            self.abandon(list(under_way))
            raise

    def _run(
        self,
        requests: Sequence[GenerationRequest],
        progress: Progress | None,
        more: More | None,
        under_way: dict[int, _Open],
    ) -> list[Completion]:
        results: list[Completion | None] = []
        self._add(requests, results, under_way)
        while under_way or self._asked(more, results, under_way):
            finished = []
            tokens = 0
            for number, written in self.collect():
                one = under_way[number]
                tokens += len(written.tokens)
                completion = self._ended(one, written)
                if completion is None:
                    self.submit(number, one.part())
                    continue
                del under_way[number]
                results[number] = completion
                finished.append((number, completion))
            if progress is not None and tokens:
                progress(len(finished), tokens)
            if more is not None and finished:
                self._add(more(finished, len(under_way)), results, under_way)
        return [completion for completion in results if completion is not None]

    def _asked(
        self, more: More | None, results: list[Completion | None], under_way: dict[int, _Open]
    ) -> bool:
        """Whether there is more to do, asked when there is nothing left."""
        if more is not None:
            self._add(more((), 0), results, under_way)
        return bool(under_way)

    def _add(
        self,
        requests: Sequence[GenerationRequest],
        results: list[Completion | None],
        under_way: dict[int, _Open],
    ) -> None:
        prompts = list(dict.fromkeys(request.prompt for request in requests))
        ids_of = dict(zip(prompts, self.prompts.ids(prompts), strict=True))
        added = [_Open(request, ids_of[request.prompt] + request.written) for request in requests]
        for one in added:
            if len(one.prompt) + one.request.max_tokens > self.longest:
                raise UserError(
                    f"a prompt of {len(one.prompt)} tokens and max_tokens {one.request.max_tokens} exceed "
                    f"the model's {self.longest} positions: {one.request.prompt[:60]!r}"
                )
        for one in added:
            under_way[len(results)] = one
            self.submit(len(results), one.part())
            results.append(None)

    def _ended(self, one: _Open, written: Written) -> Completion | None:
        """The whole completion; None if neither it nor all steps that were asked for have ended yet."""
        request, new, logprobs = one.request, list(written.tokens), list(written.logprobs)
        ended = written.stopped and bool(new) and new[-1] in self.ends
        kept = self._kept(one.tokens + (new[:-1] if ended else new), request)
        if kept is not None:
            # An engine may write on: several tokens at once, or where it was not told of a beginning.
            ended = False
            while len(new) > 1 and self._kept(one.tokens + new[:-1], request) is not None:
                del new[-1], logprobs[-1]
            kept = self._kept(one.tokens + new, request)
        if ended:
            ids, finish = one.tokens + new[:-1], "stop"
        elif kept is not None:
            ids, finish = one.tokens + new, "stop"
        elif self._enough(one.tokens + new, request):
            while len(new) > 1 and self._enough(one.tokens + new[:-1], request):
                del new[-1], logprobs[-1]
            ids, finish = one.tokens + new, "step"
        elif written.stopped and len(one.tokens) + len(new) < request.max_tokens:
            # A separator that ended no step, or fewer steps than were asked for.
            if not new:
                raise UserError(f"the engine ended without writing anything: {request.prompt[:60]!r}")
            one.tokens, one.logprob, one.parts = one.tokens + new, one.logprob + sum(logprobs), one.parts + 1
            return None
        else:
            ids, finish = one.tokens + new, "length"
        return self.decoder.completion(
            ids,
            finish,
            len(one.prompt),
            one.logprob + sum(logprobs),
            kept=kept,
            thinks=None if request.written else self.prompts.thinks(request.prompt),
        )

    def _kept(self, ids: Sequence[int], request: GenerationRequest) -> int | None:
        """How many characters stay before a stop string; None where there is none."""
        return self.decoder.cut(request.written, ids, request.stop) if request.stop else None

    def _enough(self, ids: Sequence[int], request: GenerationRequest) -> bool:
        """Whether all the steps that were asked for have ended."""
        separator = request.separator
        return separator is not None and ended_steps(self.decoder.text(ids), separator) >= request.steps
