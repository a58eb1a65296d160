"""The policy engine that runs anywhere: a transformers model, decoded in one continuous batch.

Requests with the same prompt share its keys and values, and share one row for as long as they
draw the same tokens: what many samples have in common is computed once. Requests that finish leave the
batch and waiting ones take their place, so neither long nor short ones wait for the others.

In float32, what a request gets does not depend on the batch it is in, unless the model is large or the config
wants it otherwise (isoflop.engines.decoding.exact): a choice that rounding could change
(isoflop.engines.decoding.choice) is made again in float64, and the log-probability of a text is rounded to a
grid, from its float64 value where rounding errors could reach another point of it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isoflop.config.models import Policy as PolicyEntry
from isoflop.engines.checkpoints import (
    context_length,
    end_tokens,
    load_model,
    load_tokenizer,
    model_shape,
)
from isoflop.engines.decoding.choice import ROUNDING, choose
from isoflop.engines.decoding.exact import ExactReader, exactness_notes, is_exact
from isoflop.engines.decoding.logits import logits_of
from isoflop.engines.kv_cache import Segment, SegmentStore, extend
from isoflop.engines.loading.checks import check_logits
from isoflop.engines.loading.source import source_of
from isoflop.engines.prefix_attention import Branch, DecodeState, Recorder, branch_out
from isoflop.engines.prompts import Decoder, Endings, NewTokens, PromptEncoder
from isoflop.engines.registry import Completion, GenerationRequest, More, Progress
from isoflop.engines.token_sampling import Draws, settle_logprob, uniforms
from isoflop.errors import UserError

# What may be kept of texts that are continued step by step.
_KEPT_BYTES = 2**30


class _InFlight:
    """All requests of one call, those to come included, and what has become of them."""

    def __init__(self, device: torch.device) -> None:
        self.requests: list[GenerationRequest] = []
        self.results: list[Completion | None] = []
        self.queue: deque[tuple[tuple[int, ...], list[int]]] = deque()
        self.ids_of: dict[str, tuple[int, ...]] = {}
        self.separators: set[str] = set()
        self.stops: set[tuple[str, ...]] = set()
        self.seeds = np.zeros(0, dtype=np.uint64)
        self.limits = np.zeros(0, dtype=np.int64)
        self.logprobs = np.zeros(0)
        self.drawing = Draws.of([], torch.float64, device)

    def add(self, requests: Sequence[GenerationRequest]) -> None:
        """Number `requests` on."""
        if not requests:
            return
        self.requests += requests
        self.results += [None] * len(requests)
        self.separators |= {request.separator for request in requests if request.separator is not None}
        self.stops |= {request.stop for request in requests if request.stop}
        seeds = np.array([request.seed for request in requests], dtype=np.uint64)
        self.seeds = np.concatenate([self.seeds, seeds])
        self.limits = np.concatenate([self.limits, [request.max_tokens for request in requests]])
        self.logprobs = np.concatenate([self.logprobs, np.zeros(len(requests))])
        device = self.drawing.temperature.device
        self.drawing = self.drawing.followed_by(Draws.of(requests, torch.float64, device))


class TransformersPolicy:
    """A transformers causal language model as a policy (isoflop.engines.registry.Policy)."""

    def __init__(self, entry: PolicyEntry, batch_size: int = 512) -> None:
        source = source_of(entry)
        self._tokenizer = load_tokenizer(*source)
        self._model = load_model(
            source.model, source.revision, entry.dtype, shared_prefix=True, gguf_file=source.gguf_file
        )
        check_logits(self._model, entry.checkpoint)
        self._prompts = PromptEncoder(
            self._tokenizer, chat=entry.chat, system=entry.system, template=entry.chat_template
        )
        self._exact = ExactReader(self._model)
        self._logits = torch.zeros(0)
        self._batch_size = batch_size
        self._decoder = Decoder(self._tokenizer)
        self._store = SegmentStore(_KEPT_BYTES)
        ends = end_tokens(self._model.generation_config.eos_token_id, self._tokenizer)
        vocabulary = self._model.get_output_embeddings().weight.shape[0]
        self._endings = Endings(self._decoder, vocabulary, sorted(ends))
        self.shape = model_shape(self._model)
        self._settles = is_exact(entry, self.shape)
        self.notes = exactness_notes(entry, self.shape)
        # How many tokens were chosen again in float64, how many texts were read again for their
        # log-probability, and how many tokens decoded: fewer than the requests have.
        self.settled = 0
        self.reread = 0
        self.computed = 0

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        progress: Progress | None = None,
        more: More | None = None,
    ) -> list[Completion]:
        """One completion per request, in order. Raises UserError if one cannot fit the model."""
        in_flight = _InFlight(self._model.device)
        self._enqueue(in_flight, requests)
        with torch.inference_mode():
            self._decode(in_flight, progress, more)
        return [completion for completion in in_flight.results if completion is not None]

    def _enqueue(self, in_flight: "_InFlight", requests: Sequence[GenerationRequest]) -> None:
        """Number the requests on and let those that continue the same tokens wait together."""
        prompts = sorted({request.prompt for request in requests} - in_flight.ids_of.keys())
        in_flight.ids_of |= zip(prompts, self._prompts.ids(prompts), strict=True)
        longest = context_length(self._model)
        waiting: dict[tuple[int, ...], list[int]] = {}
        for index, request in enumerate(requests, start=len(in_flight.requests)):
            ids = in_flight.ids_of[request.prompt] + request.written
            if longest is not None and len(ids) + request.max_tokens > longest:
                raise UserError(
                    f"a prompt of {len(ids)} tokens and max_tokens {request.max_tokens} exceed "
                    f"the model's {longest} positions: {request.prompt[:60]!r}"
                )
            waiting.setdefault(ids, []).append(index)
        in_flight.add(requests)
        in_flight.queue.extend(sorted(waiting.items(), key=lambda item: len(item[0])))

    def _decode(self, in_flight: "_InFlight", progress: Progress | None, more: More | None) -> None:
        device, queue = self._model.device, in_flight.queue
        state, branches = DecodeState(device), list[Branch]()
        logits = torch.zeros(0)
        # The unfinished requests, the row of the state that each is in, and how many tokens it has.
        active, row_of, written = (np.zeros(0, dtype=np.int64) for _ in range(3))
        while len(active) or queue or self._asked(in_flight, more):
            requests = in_flight.requests
            if queue and len(active) <= self._batch_size * 3 // 4:
                admitted, first_logits, indices, rows = self._admit(
                    state, queue, self._batch_size - len(active), bool(in_flight.separators)
                )
                logits = torch.cat([logits, first_logits]) if branches else first_logits
                active = np.concatenate([active, indices])
                row_of = np.concatenate([row_of, len(branches) + rows])
                written = np.concatenate([written, np.zeros_like(indices)])
                branches += admitted
            tokens, gained = self._choose(in_flight, logits, branches, row_of, active, written)
            in_flight.logprobs[active] += gained
            ending = self._endings.find(
                NewTokens(requests, active, row_of, tokens, [branch.tokens for branch in branches]),
                in_flight.separators,
                in_flight.stops,
            )
            self._keep(state, branches, np.unique(row_of[ending.step]).tolist())
            done = ending.stopped | ending.cut | ending.step | (written + 1 >= in_flight.limits[active])
            finished = []
            texts: dict[tuple[object, ...], Completion] = {}
            logprobs: dict[tuple[int, int], float] = {}
            for place in np.flatnonzero(done).tolist():
                index, branch = int(active[place]), branches[row_of[place]]
                how = (*ending.how(place), self._thinks(requests[index]))
                ids = (int(row_of[place]), int(tokens[place]))
                if ids not in logprobs:
                    logprobs[ids] = self._logprob(branch, ids[1], float(in_flight.logprobs[index]))
                key = (*ids, *how)
                if key not in texts:
                    texts[key] = self._completion(branch, ids[1], *how)
                completion = replace(texts[key], logprob=logprobs[ids])
                in_flight.results[index] = completion
                finished.append((index, completion))
            if progress is not None:
                progress(len(finished), len(active))
            going = ~done
            active, written = active[going], written[going] + 1
            if more is not None and finished:
                self._enqueue(in_flight, more(finished, len(active)))
            if len(active):
                branches, last, row_of = branch_out(state, branches, row_of[going], tokens[going])
                logits = self._step(state, last)
            else:
                state, branches, row_of = DecodeState(device), [], row_of[going]

    def _thinks(self, request: GenerationRequest) -> bool | None:
        """Whether a request begins with thoughts; None where it goes on from what was written."""
        return None if request.written else self._prompts.thinks(request.prompt)

    def _completion(
        self, branch: Branch, token: int, reason: str, kept: int | None, thinks: bool | None
    ) -> Completion:
        ended = reason == "stop" and kept is None
        ids = branch.tokens if ended else [*branch.tokens, token]
        return self._decoder.completion(ids, reason, len(branch.prompt), kept=kept, thinks=thinks)

    def _asked(self, in_flight: "_InFlight", more: More | None) -> bool:
        """Whether there is more to do, asked when there is nothing left."""
        if more is not None:
            self._enqueue(in_flight, more((), 0))
        return bool(in_flight.queue)

    def _admit(
        self, state: DecodeState, queue: "deque[tuple[tuple[int, ...], list[int]]]", room: int, keep: bool
    ) -> tuple[list[Branch], Tensor, NDArray[np.int64], NDArray[np.int64]]:
        """Read waiting prompts for `room` requests at most.

        Returns a branch and the logits of the first token per prompt, the requests admitted, and for
        each the index of its branch.
        """
        prompts: list[tuple[int, ...]] = []
        indices: list[int] = []
        branch_of: list[int] = []
        while queue and len(indices) < room:
            prompt, waiting = queue[0]
            taken = waiting[: room - len(indices)]
            del waiting[: len(taken)]
            if not waiting:
                queue.popleft()
            indices += taken
            branch_of += [len(prompts)] * len(taken)
            prompts.append(prompt)
        lengths = [len(prompt) for prompt in prompts]
        hidden, recorder = self._read(prompts, keep)
        logits = self._model.get_output_embeddings()(hidden)
        state.admit(recorder, lengths)
        return [Branch(prompt, []) for prompt in prompts], logits, np.array(indices), np.array(branch_of)

    def _read(self, prompts: Sequence[tuple[int, ...]], keep: bool) -> tuple[Tensor, Recorder]:
        """Hidden states after the last token of every prompt [prompts, hidden], and all keys and values.

        With `keep`, what was read is kept for prompts that continue these, and only what is new is read.
        """
        kept = [self._store.chain(prompt[:-1]) if keep and len(prompt) > 1 else None for prompt in prompts]
        fresh = [index for index, chain in enumerate(kept) if chain is None]
        known = [(index, chain) for index, chain in enumerate(kept) if chain is not None]
        hidden: list[Tensor] = [torch.zeros(0)] * len(prompts)
        parts: list[tuple[list[int], list[Tensor], list[Tensor]]] = []
        device = self._model.device
        if fresh:
            width = max(len(prompts[index]) for index in fresh)
            ids = torch.zeros((len(fresh), width), dtype=torch.long)
            for row, index in enumerate(fresh):
                ids[row, : len(prompts[index])] = torch.tensor(prompts[index])
            recorder = Recorder()
            states = self._model.base_model(
                input_ids=ids.to(device),
                use_cache=False,
                recorder=recorder,
                attention_mask=_unmasked(len(fresh), device),
            ).last_hidden_state
            for row, index in enumerate(fresh):
                end = len(prompts[index])
                hidden[index] = states[row, end - 1]
                if keep:
                    layers = [layer[row, :, :end] for layer in (*recorder.keys, *recorder.values)]
                    data = torch.stack(layers)
                    self._store.put(prompts[index][:-1], Segment(data[:, :, :-1]))
                    self._store.put(prompts[index], Segment(data[:, :, -1:]))
            parts.append((fresh, recorder.keys, recorder.values))
        if known:
            positions = [index for index, _ in known]
            extended = extend(
                self._model, [prompts[index][-1:] for index in positions], [chain for _, chain in known]
            )
            for row, index in enumerate(positions):
                hidden[index] = extended.hidden[row, 0]
                self._store.put(prompts[index], extended.segment(row, 0, 1))
            keys, values = extended.joined()
            parts.append((positions, keys, values))
        order = torch.tensor(
            [index for positions, *_ in parts for index in positions], device=device
        ).argsort()
        return torch.stack(hidden), Recorder(
            [_stacked(layers)[order] for layers in zip(*(keys for _, keys, _ in parts), strict=True)],
            [_stacked(layers)[order] for layers in zip(*(values for *_, values in parts), strict=True)],
        )

    def _keep(self, state: DecodeState, branches: list[Branch], rows: Sequence[int]) -> None:
        """Keep what the rows have read since their prompts, for requests that go on from there."""
        for row in rows:
            branch = branches[row]
            if branch.tokens:
                stores = (*state.own_keys, *state.own_values)
                data = torch.stack([layer[row, :, : len(branch.tokens)] for layer in stores])
                self._store.put((*branch.prompt, *branch.tokens), Segment(data))

    def _step(self, state: DecodeState, tokens: NDArray[np.int64]) -> Tensor:
        """The logits of every row's next token [rows, vocabulary], until the next step."""
        device = self._model.device
        self.computed += len(tokens)
        step = state.begin_step()
        positions = state.prompt_lengths[state.group_of_row] + state.own_lengths
        hidden = self._model.base_model(
            input_ids=torch.from_numpy(tokens).to(device)[:, None],
            position_ids=positions[:, None],
            use_cache=False,
            decode=step,
            attention_mask=_unmasked(len(tokens), device),
        ).last_hidden_state
        state.end_step()
        head = self._model.get_output_embeddings()
        if len(self._logits) < len(tokens):
            self._logits = hidden.new_empty(len(tokens), len(head.weight))
        return logits_of(head, hidden[:, 0], self._logits)

    def _choose(
        self,
        in_flight: _InFlight,
        logits: Tensor,
        branches: Sequence[Branch],
        row_of: NDArray[np.int64],
        active: NDArray[np.int64],
        written: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The next token of every unfinished request and its log-probability; close ones from float64."""
        device = self._model.device
        uniform = torch.from_numpy(uniforms(in_flight.seeds[active], written.astype(np.uint64))).to(device)
        drawing = in_flight.drawing[torch.from_numpy(active).to(device)]
        rows = torch.from_numpy(row_of).to(device)
        choice = choose(logits, rows, uniform, drawing, ROUNDING if self._settles else 0.0)
        close = choice.close.nonzero().flatten()
        if len(close):
            self.settled += len(close)
            found, local = torch.unique(rows[close], return_inverse=True)
            exact = self._exact.after([branches[row] for row in found.tolist()])
            again = choose(exact, local, uniform[close], drawing[close], 0.0)
            choice.tokens[close], choice.logprobs[close] = again.tokens, again.logprobs
        return choice.tokens.cpu().numpy(), choice.logprobs.cpu().numpy()

    def _logprob(self, branch: Branch, token: int, computed: float) -> float:
        """The log-probability of what `branch` and `token` add to the prompt, the same in every batch."""
        if not self._settles:
            return computed
        written = [*branch.tokens, token]
        settled, doubtful = settle_logprob(computed, len(written))
        if not doubtful:
            return settled
        self.reread += 1
        return settle_logprob(float(self._exact.logprobs(branch, written).sum()), len(written))[0]


def _stacked(layers: Sequence[Tensor]) -> Tensor:
    """Keys or values of one layer, [prompts, kv_heads, tokens, d], of several passes, padded on the right."""
    width = max(layer.shape[2] for layer in layers)
    return torch.cat([torch.nn.functional.pad(layer, (0, 0, 0, width - layer.shape[2])) for layer in layers])


def _unmasked(rows: int, device: torch.device) -> Tensor:
    """A ready-made 4-D mask, which transformers passes through: the attention function masks by itself."""
    return torch.zeros((rows, 1, 1, 1), device=device)
