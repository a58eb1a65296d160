"""Reward models in vLLM, as pooling models: what is read is that of every engine (isoflop.verifiers.layouts).

A PRM's hidden states come back at the tokens that look like marks only, and the head is applied to those that
are (isoflop.verifiers.heads). Each request reads its whole text: vLLM does not reuse prefixes for outputs by
token. Scores may move in their last digits with the batch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isoflop.config.verifiers import Orm, QwenPrm, Running, SkyworkPrm, TokenClass
from isoflop.engines.checkpoints import empty_model, load_tokenizer, model_shape
from isoflop.engines.registry import Progress, ScoreRequest, StepScores
from isoflop.engines.vllm_settings import VllmSettings, start_vllm
from isoflop.errors import UserError
from isoflop.verifiers.heads import (
    Head,
    good_label,
    model_class,
    qwen_head,
    saved_head,
    with_head,
)
from isoflop.verifiers.layouts import Tagged, check_marks, fitting, tag_solutions


class VllmVerifier:
    """A reward model in vLLM as a verifier (isoflop.engines.registry.Verifier)."""

    def __init__(self, entry: Running, machine: VllmSettings | None = None) -> None:
        assert entry.model is not None  # what is trained here has been located
        if isinstance(entry, SkyworkPrm):
            raise UserError(
                "engine: vllm has no Skywork-o1-Open-PRM (a plugin would be needed); set engine: transformers"
            )
        self._entry = entry
        self._tokenizer = load_tokenizer(entry.model, entry.revision)
        check_marks(self._tokenizer, entry)
        empty = empty_model(entry.model, entry.revision, model_class(entry))
        self._head = _head(entry, empty.config.num_labels, self._tokenizer)
        self.shape = model_shape(empty)
        if isinstance(entry, QwenPrm):
            self.shape = with_head(self.shape, qwen_head(entry, torch.device("cpu")))
        self._engine, self._longest = start_vllm(entry, machine, runner="pooling", **_pooling(entry))

    def score(self, requests: Sequence[ScoreRequest], progress: Progress | None = None) -> list[StepScores]:
        """One score in [0, 1] per step of each request, in order; one in all from an ORM.

        A solution that does not fit the model has no scores where the entry says `mark`; otherwise raises
        UserError.
        """
        distinct = list(dict.fromkeys(requests))
        solutions = [(request.prompt, request.steps) for request in distinct]
        tagged = fitting(tag_solutions(self._tokenizer, self._entry, solutions), self._entry, self._longest)
        answers = dict.fromkeys(distinct, StepScores((), 0))
        waiting = 0
        for place, one in enumerate(tagged):
            if one is not None:
                self._submit(str(place), one)
                waiting += 1
        while waiting:
            for output in self._engine.step():
                if not output.finished:
                    continue
                waiting -= 1
                place = int(output.request_id)
                one = tagged[place]
                assert one is not None  # only those that fit were submitted
                values = self._scores(one, output.outputs.data)
                ends = tuple(end + 1 for end in one.places)
                answers[distinct[place]] = StepScores(tuple(values.tolist()), len(one.ids), ends)
                if progress is not None:
                    progress(1, len(one.ids))
        if progress is not None:
            progress(len(requests) - sum(one is not None for one in tagged), 0)
        return [answers[request] for request in requests]

    def close(self) -> None:
        """End the engine's processes."""
        self._engine.engine_core.shutdown()

    def _submit(self, name: str, one: Tagged) -> None:
        from vllm import PoolingParams  # noqa: PLC0415  heavy, and only there where it is used

        if isinstance(self._entry, Orm):
            parameters = PoolingParams(task="classify", use_activation=False)
        else:
            task = "token_classify" if isinstance(self._entry, QwenPrm | TokenClass) else "token_embed"
            parameters = PoolingParams(task=task, use_activation=False, step_tag_id=one.ids[one.places[0]])
        self._engine.add_request(name, {"prompt_token_ids": one.ids}, parameters)

    def _scores(self, one: Tagged, data: torch.Tensor) -> NDArray[np.float64]:
        """Scores at the places, from what came back for every token like theirs."""
        if isinstance(self._entry, Orm):
            return self._head.scores(data[None])
        mark = one.ids[one.places[0]]
        alike = [place for place, token in enumerate(one.ids) if token == mark]
        if len(alike) != len(data):
            raise UserError(
                f"vLLM gave {len(data)} outputs for {len(alike)} marks; use another version of it"
            )
        return self._head.scores(data[[alike.index(place) for place in one.places]])


def _head(entry: Running, labels: int, tokenizer: Any) -> Head:
    """The head that is applied here: to hidden states, or to labels where vLLM has the layer before."""
    if isinstance(entry, QwenPrm):
        return Head.of_labels(2, 1)
    if isinstance(entry, TokenClass | Orm):
        return Head.of_labels(labels, good_label(entry, labels))
    assert not isinstance(entry, SkyworkPrm)  # refused above
    return saved_head(entry, tokenizer)


def _pooling(entry: Running) -> dict[str, Any]:
    """Arguments that make the checkpoint a pooling model of the right kind."""
    if isinstance(entry, Orm | QwenPrm):
        return {}
    from vllm.config import PoolerConfig  # noqa: PLC0415  heavy, and only there where it is used

    steps = {"pooler_config": PoolerConfig(tok_pooling_type="STEP")}
    if isinstance(entry, TokenClass):
        # vLLM's sequence classifiers are token classifiers too, under that name.
        return {"convert": "classify", "hf_overrides": _as_sequence_classifier, **steps}
    return {"convert": "embed", **steps}


def _as_sequence_classifier(config: Any) -> Any:
    names = [
        name.replace("ForTokenClassification", "ForSequenceClassification") for name in config.architectures
    ]
    config.architectures = names
    return config
