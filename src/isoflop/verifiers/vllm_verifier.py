"""Reward models in vLLM, as pooling models: what is read is that of every engine (isoflop.verifiers.kinds).

A PRM's hidden states come back at the tokens that look like marks only, and the head is applied to those that
are (isoflop.verifiers.heads). Each request reads its whole text: vLLM does not reuse prefixes for outputs by
token. Scores may move in their last digits with the batch; equal beginnings in one call have equal ones.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from isoflop.config.verifiers import RunningVerifier
from isoflop.engines.checkpoints import empty_model, load_tokenizer, model_shape
from isoflop.engines.registry import Progress, ScoreRequest, StepScores
from isoflop.engines.vllm_settings import VllmSettings, start_vllm, while_alive
from isoflop.errors import UserError
from isoflop.verifiers.heads import model_class
from isoflop.verifiers.layouts import Tagged, fitting
from isoflop.verifiers.registry import check_marks, tag_solutions, verifier_kind, with_head
from isoflop.verifiers.settling import alike


class VllmVerifier:
    """A reward model in vLLM as a verifier (isoflop.engines.registry.Verifier)."""

    def __init__(self, entry: RunningVerifier, machine: VllmSettings | None = None) -> None:
        """Raises UserError for a kind that vLLM does not run."""
        assert entry.model is not None  # what is trained here has been located
        kind = verifier_kind(entry.kind)
        if kind.vllm_task is None:
            raise UserError(f"engine: vllm runs no verifier of kind {kind.name}; set engine: transformers")
        self._entry, self._task = entry, kind.vllm_task
        self._tokenizer = load_tokenizer(entry.model, entry.revision)
        check_marks(self._tokenizer, entry)
        empty = empty_model(entry.model, entry.revision, model_class(entry))
        self._head = kind.vllm_head(entry, empty.config.num_labels, self._tokenizer)
        self.shape = with_head(model_shape(empty), entry, int(empty.config.hidden_size))
        self._engine, self._longest = start_vllm(entry, machine, runner="pooling", **kind.vllm_arguments())

    def score(self, requests: Sequence[ScoreRequest], progress: Progress | None = None) -> list[StepScores]:
        """One score in [0, 1] per step of each request, in order; one in all from an ORM.

        A solution that does not fit the model has no scores where the entry says `mark`; otherwise raises
        UserError.
        """
        distinct = list(dict.fromkeys(requests))
        solutions = [(request.prompt, request.steps) for request in distinct]
        tagged = fitting(tag_solutions(self._tokenizer, self._entry, solutions), self._entry, self._longest)
        found: dict[int, NDArray[np.float64]] = {}
        waiting = 0
        for place, one in enumerate(tagged):
            if one is not None:
                self._submit(str(place), one)
                waiting += 1
        while waiting:
            with while_alive(self._entry):
                outputs = self._engine.step()
            for output in outputs:
                if not output.finished:
                    continue
                waiting -= 1
                place = int(output.request_id)
                one = tagged[place]
                assert one is not None  # only those that fit were submitted
                found[place] = self._scores(one, output.outputs.data)
                if progress is not None:
                    progress(1, len(one.ids))
        if progress is not None:
            progress(len(requests) - sum(one is not None for one in tagged), 0)
        answers = dict.fromkeys(distinct, StepScores((), 0))
        # In the order of the requests: which outputs come first depends on the engine.
        read = [(place, one) for place, one in enumerate(tagged) if one is not None]
        scores = alike([(one.ids, one.places) for _, one in read], [found[place] for place, _ in read])
        for (place, one), values in zip(read, scores, strict=True):
            ends = tuple(end + 1 for end in one.places)
            answers[distinct[place]] = StepScores(tuple(values.tolist()), len(one.ids), ends)
        return [answers[request] for request in requests]

    def close(self) -> None:
        """End the engine's processes."""
        self._engine.engine_core.shutdown()

    def _submit(self, name: str, one: Tagged) -> None:
        from vllm import PoolingParams  # noqa: PLC0415  heavy, and only there where it is used

        marks = {} if self._task == "classify" else {"step_tag_id": one.ids[one.places[0]]}
        parameters = PoolingParams(task=self._task, use_activation=False, **marks)
        with while_alive(self._entry):
            self._engine.add_request(name, {"prompt_token_ids": one.ids}, parameters)

    def _scores(self, one: Tagged, data: torch.Tensor) -> NDArray[np.float64]:
        """Scores at the places, from what came back for every token like theirs."""
        if self._task == "classify":
            return self._head.scores(data[None])
        mark = one.ids[one.places[0]]
        marks = [place for place, token in enumerate(one.ids) if token == mark]
        if len(marks) != len(data):
            raise UserError(
                f"vLLM gave {len(data)} outputs for {len(marks)} marks; use another version of it"
            )
        return self._head.scores(data[[marks.index(place) for place in one.places]])
