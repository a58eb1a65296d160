"""The policy engine that runs anywhere: a transformers model, decoded in one continuous batch.

Requests with the same prompt share its keys and values. Rows that finish leave the batch and
waiting requests take their place, so neither long nor short ones wait for the others.

In float32, what a request gets does not depend on the batch it is in: a choice that rounding could
change (see isoflop.token_sampling) is made again in float64 on that request alone.
"""

import copy
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isoflop.checkpoints import load_model, load_tokenizer, model_shape
from isoflop.engines import Completion, GenerationRequest, Progress
from isoflop.errors import UserError
from isoflop.shared_prefix import DecodeState, Recorder
from isoflop.token_sampling import choose, uniforms

# Far above what float32 rounding moves a cumulative probability by (a test measures that).
CLOSE = 3e-5
# Finished rows are taken out once they are this share (1 in _SLACK) of the batch: copying has a price too.
_SLACK = 12


@dataclass
class _Row:
    """A request being written."""

    request: int
    prompt: tuple[int, ...]
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    finished: bool = False


class TransformersPolicy:
    """A transformers causal language model as a policy (isoflop.engines.Policy)."""

    def __init__(
        self, model: str, revision: str | None = None, dtype: str = "float32", batch_size: int = 512
    ) -> None:
        self._tokenizer = load_tokenizer(model, revision)
        self._model = load_model(model, revision, dtype, shared_prefix=True)
        self._refuse_windows(model)
        self._exact: Any = None
        self._batch_size = batch_size
        self._settles = dtype == "float32"
        self._pieces: dict[int, str] = {}
        end = self._model.generation_config.eos_token_id
        if end is None:
            end = self._tokenizer.eos_token_id
        self._ends = frozenset([end] if isinstance(end, int) else end or [])
        self.shape = model_shape(self._model)
        self.settled = 0

    def _refuse_windows(self, model: str) -> None:
        config = self._model.config
        if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
            raise UserError(
                f"model {model!r}: sliding-window attention is not supported by engine transformers"
            )

    def generate(
        self, requests: Sequence[GenerationRequest], progress: Progress | None = None
    ) -> list[Completion]:
        """One completion per request, in order. Raises UserError if one cannot fit the model."""
        prompts = sorted({request.prompt for request in requests}, key=len)
        encoded = self._tokenizer(prompts)["input_ids"] if prompts else []
        ids_of = dict(zip(prompts, (tuple(ids) for ids in encoded), strict=True))
        longest = getattr(self._model.config, "max_position_embeddings", None)
        waiting: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            length = len(ids_of[request.prompt])
            if longest is not None and length + request.max_tokens > longest:
                raise UserError(
                    f"a prompt of {length} tokens and max_tokens {request.max_tokens} exceed "
                    f"the model's {longest} positions: {request.prompt[:60]!r}"
                )
            waiting.setdefault(request.prompt, []).append(index)
        queue = deque((ids_of[prompt], waiting[prompt]) for prompt in prompts)
        results: list[Completion | None] = [None] * len(requests)
        with torch.inference_mode():
            self._decode(requests, queue, results, progress)
        return [completion for completion in results if completion is not None]

    def _decode(
        self,
        requests: Sequence[GenerationRequest],
        queue: "deque[tuple[tuple[int, ...], list[int]]]",
        results: list[Completion | None],
        progress: Progress | None,
    ) -> None:
        device = self._model.device
        state = DecodeState(device)
        rows: list[_Row] = []
        seeds = np.array([request.seed for request in requests], dtype=np.uint64)
        temperatures = torch.tensor([float(request.temperature) for request in requests], device=device)
        top_ps = torch.tensor([float(request.top_p) for request in requests], device=device)
        logits = torch.zeros(0)
        indices = np.zeros(0, dtype=np.int64)
        live = 0
        while live or queue:
            if live <= len(rows) - max(4, len(rows) // _SLACK) or (rows and live == 0):
                going = [place for place, row in enumerate(rows) if not row.finished]
                kept = torch.tensor(going, dtype=torch.long, device=device)
                rows, indices, logits = [rows[place] for place in going], indices[going], logits[kept]
                state.keep(kept)
            if queue and len(rows) <= self._batch_size * 3 // 4:
                admitted, first_logits = self._admit(state, queue, self._batch_size - len(rows))
                logits = torch.cat([logits, first_logits]) if rows else first_logits
                rows += admitted
                live += len(admitted)
                indices = np.array([row.request for row in rows])
            positions = np.array([len(row.tokens) for row in rows], dtype=np.uint64)
            uniform = torch.from_numpy(uniforms(seeds[indices], positions)).to(device, logits.dtype)
            chosen = torch.from_numpy(indices).to(device)
            choice = choose(logits, uniform, temperatures[chosen], top_ps[chosen], CLOSE)
            tokens, logprobs = choice.tokens.tolist(), choice.logprobs.tolist()
            if self._settles:
                for place in choice.close.nonzero().flatten().tolist():
                    row = rows[place]
                    if not row.finished:
                        tokens[place], logprobs[place] = self._settle(
                            row, requests[row.request], float(uniforms(seeds[row.request], positions[place]))
                        )
            finished = 0
            written = live
            for place, row in enumerate(rows):
                if row.finished:
                    continue
                row.tokens.append(tokens[place])
                row.logprob += logprobs[place]
                stopped = tokens[place] in self._ends
                if stopped or len(row.tokens) >= requests[row.request].max_tokens:
                    results[row.request] = self._completion(row, "stop" if stopped else "length")
                    row.finished = True
                    finished += 1
            live -= finished
            if progress is not None:
                progress(finished, written)
            if live:
                logits = self._step(state, rows, tokens)

    def _admit(
        self, state: DecodeState, queue: "deque[tuple[tuple[int, ...], list[int]]]", room: int
    ) -> tuple[list[_Row], Tensor]:
        """Read waiting prompts until `room` rows are filled; the new rows and their first logits."""
        prompts: list[tuple[int, ...]] = []
        rows: list[_Row] = []
        copies: list[int] = []
        while queue and len(rows) < room:
            prompt, waiting = queue[0]
            taken = waiting[: room - len(rows)]
            del waiting[: len(taken)]
            if not waiting:
                queue.popleft()
            prompts.append(prompt)
            copies.append(len(taken))
            rows += [_Row(index, prompt) for index in taken]
        width = max(len(prompt) for prompt in prompts)
        ids = torch.zeros((len(prompts), width), dtype=torch.long)
        for place, prompt in enumerate(prompts):
            ids[place, : len(prompt)] = torch.tensor(prompt)
        recorder = Recorder()
        lengths = [len(prompt) for prompt in prompts]
        device = self._model.device
        hidden = self._model.base_model(
            input_ids=ids.to(device),
            use_cache=False,
            recorder=recorder,
            attention_mask=_unmasked(len(prompts), device),
        ).last_hidden_state
        last = hidden[torch.arange(len(prompts)), torch.tensor(lengths) - 1]
        logits = self._model.get_output_embeddings()(last).float()
        state.admit(recorder, lengths, copies)
        return rows, logits.repeat_interleave(torch.tensor(copies, device=device), dim=0)

    def _step(self, state: DecodeState, rows: Sequence[_Row], tokens: Sequence[int]) -> Tensor:
        device = self._model.device
        step = state.begin_step()
        positions = state.prompt_lengths[state.group_of_row] + state.own_lengths
        hidden = self._model.base_model(
            input_ids=torch.tensor(tokens, device=device)[:, None],
            position_ids=positions[:, None],
            use_cache=False,
            decode=step,
            attention_mask=_unmasked(len(rows), device),
        ).last_hidden_state
        state.end_step()
        logits: Tensor = self._model.get_output_embeddings()(hidden[:, 0]).float()
        return logits

    def _settle(self, row: _Row, request: GenerationRequest, uniform: float) -> tuple[int, float]:
        """The next token of `row` and its log-probability, computed alone and in float64."""
        if self._exact is None:
            self._exact = copy.deepcopy(self._model).double()
        self.settled += 1
        device = self._model.device
        ids = torch.tensor([[*row.prompt, *row.tokens]], device=device)
        hidden = self._exact.base_model(
            input_ids=ids, use_cache=False, attention_mask=_unmasked(1, device)
        ).last_hidden_state
        logits = self._exact.get_output_embeddings()(hidden[:, -1])
        choice = choose(
            logits,
            torch.tensor([uniform], dtype=torch.float64, device=device),
            torch.tensor([float(request.temperature)], dtype=torch.float64, device=device),
            torch.tensor([float(request.top_p)], dtype=torch.float64, device=device),
            0.0,
        )
        return int(choice.tokens[0]), float(choice.logprobs[0])

    def _completion(self, row: _Row, finish: str) -> Completion:
        ids = row.tokens[:-1] if finish == "stop" else row.tokens
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        pieces = tuple(self._piece(token) for token in ids)
        return Completion(
            text=text,
            pieces=(*pieces, "") if finish == "stop" else pieces,
            finish=finish,
            prompt_tokens=len(row.prompt),
            logprob=row.logprob,
        )

    def _piece(self, token: int) -> str:
        if token not in self._pieces:
            self._pieces[token] = self._tokenizer.decode([token], skip_special_tokens=True)
        return self._pieces[token]


def _unmasked(rows: int, device: torch.device) -> Tensor:
    """A ready-made 4-D mask, which transformers passes through: the attention function masks by itself."""
    return torch.zeros((rows, 1, 1, 1), device=device)
