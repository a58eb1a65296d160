"""What engines that take requests one by one have in common: which are in flight, and where they end.

Such an engine writes until an end token, a stop string or a limit. A request for several steps may need more
than one such part: the next continues from the last one's tokens, with a seed of its own.
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
    """What an engine is to write in one go: what to continue, and until when.

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
    """A request in flight: its prompt's tokens, and what earlier parts of it wrote."""

    request: GenerationRequest
    prompt: tuple[int, ...]
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    parts: int = 0

    def part(self) -> Part:
        request = self.request
        # A part that continues an earlier one must not repeat its random numbers.
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
    """A policy (isoflop.engines.registry.Policy) whose engine lets requests join those in flight.

    A subclass sets `longest`, the most tokens of prompt and completion together. Token ids are below
    `vocabulary`.
    """

    longest: int
    # Rounding may differ with the batch whatever the precision, as the docs say of these engines.
    notes: tuple[str, ...] = ()
    settled = 0

    def __init__(self, entry: PolicyEntry) -> None:
        assert entry.model is not None  # what is trained here has been located
        tokenizer = load_tokenizer(entry.model, entry.revision)
        self.prompts = PromptEncoder(
            tokenizer, chat=entry.chat, system=entry.system, template=entry.chat_template
        )
        self.decoder = Decoder(tokenizer)
        self.ends = end_tokens(configured_end(entry.model, entry.revision), tokenizer)
        model = empty_model(entry.model, entry.revision)
        self.shape = model_shape(model)
        self.vocabulary = max(len(tokenizer), model.get_input_embeddings().weight.shape[0])

    @abstractmethod
    def submit(self, number: int, part: Part) -> None:
        """Give the engine one part of the request `number` to write."""

    @abstractmethod
    def collect(self) -> Iterable[tuple[int, Written]]:
        """Parts that are done, by the number of their request; waits as long as the engine likes."""

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
        in_flight: dict[int, _Open] = {}
        try:
            return self._run(requests, progress, more, in_flight)
        except BaseException:
            self.abandon(list(in_flight))
            raise

    def _run(
        self,
        requests: Sequence[GenerationRequest],
        progress: Progress | None,
        more: More | None,
        in_flight: dict[int, _Open],
    ) -> list[Completion]:
        results: list[Completion | None] = []
        self._add(requests, results, in_flight)
        while in_flight or self._asked(more, results, in_flight):
            finished = []
            tokens = 0
            for number, written in self.collect():
                request = in_flight[number]
                tokens += len(written.tokens)
                completion = self._ended(request, written)
                if completion is None:
                    self.submit(number, request.part())
                    continue
                del in_flight[number]
                results[number] = completion
                finished.append((number, completion))
            if progress is not None and tokens:
                progress(len(finished), tokens)
            if more is not None and finished:
                self._add(more(finished, len(in_flight)), results, in_flight)
        return [completion for completion in results if completion is not None]

    def _asked(
        self, more: More | None, results: list[Completion | None], in_flight: dict[int, _Open]
    ) -> bool:
        """Whether there is more to do, asked when there is nothing left."""
        if more is not None:
            self._add(more((), 0), results, in_flight)
        return bool(in_flight)

    def _add(
        self,
        requests: Sequence[GenerationRequest],
        results: list[Completion | None],
        in_flight: dict[int, _Open],
    ) -> None:
        prompts = list(dict.fromkeys(request.prompt for request in requests))
        ids_of = dict(zip(prompts, self.prompts.ids(prompts), strict=True))
        added = [_Open(request, ids_of[request.prompt] + request.written) for request in requests]
        for new in added:
            if len(new.prompt) + new.request.max_tokens > self.longest:
                raise UserError(
                    f"a prompt of {len(new.prompt)} tokens and max_tokens {new.request.max_tokens} exceed "
                    f"the model's {self.longest} positions: {new.request.prompt[:60]!r}"
                )
        for new in added:
            in_flight[len(results)] = new
            self.submit(len(results), new.part())
            results.append(None)

    def _ended(self, opened: _Open, written: Written) -> Completion | None:
        """The whole completion; None if neither it nor all steps that were asked for have ended yet."""
        request, new, logprobs = opened.request, list(written.tokens), list(written.logprobs)
        ended = written.stopped and bool(new) and new[-1] in self.ends
        kept = self._kept(opened.tokens + (new[:-1] if ended else new), request)
        if kept is not None:
            # An engine may write on: several tokens at once, or where it was not told of a beginning.
            ended = False
            while len(new) > 1 and self._kept(opened.tokens + new[:-1], request) is not None:
                del new[-1], logprobs[-1]
            kept = self._kept(opened.tokens + new, request)
        if ended:
            ids, finish = opened.tokens + new[:-1], "stop"
        elif kept is not None:
            ids, finish = opened.tokens + new, "stop"
        elif self._enough(opened.tokens + new, request):
            while len(new) > 1 and self._enough(opened.tokens + new[:-1], request):
                del new[-1], logprobs[-1]
            ids, finish = opened.tokens + new, "step"
        elif written.stopped and len(opened.tokens) + len(new) < request.max_tokens:
            # A separator that ended no step, or fewer steps than were asked for.
            if not new:
                raise UserError(f"the engine ended without writing anything: {request.prompt[:60]!r}")
            opened.tokens, opened.logprob, opened.parts = (
                opened.tokens + new,
                opened.logprob + sum(logprobs),
                opened.parts + 1,
            )
            return None
        else:
            ids, finish = opened.tokens + new, "length"
        return self.decoder.completion(
            ids,
            finish,
            len(opened.prompt),
            opened.logprob + sum(logprobs),
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
