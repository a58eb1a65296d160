"""Reward models in vLLM, as pooling models: what is read is that of every engine (isoflop.verifier_texts).

A PRM's hidden states come back at the tokens that look like marks only, and the head is applied to those that
are (isoflop.verifier_heads). Each request reads its whole text: vLLM does not reuse prefixes for outputs by
token. Scores may move in their last digits with the batch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isoflop.checkpoints import empty_model, load_tokenizer, model_shape
from isoflop.config_models import Orm, QwenPrm, Running, SkyworkPrm, TokenClass
from isoflop.engines import Progress, ScoreRequest, StepScores
from isoflop.errors import UserError
from isoflop.verifier_heads import Head, model_class, qwen_head, saved_head, with_head
from isoflop.verifier_texts import Tagged, check_marks, fitting, tag_solutions
from isoflop.vllm_settings import VllmSettings, start_vllm


class VllmVerifier:
    """A reward model in vLLM as a verifier (isoflop.engines.Verifier)."""

    def __init__(self, entry: Running, machine: VllmSettings | None = None) -> None:
        assert entry.model is not None  # what is trained here has been located
        if isinstance(entry, SkyworkPrm):
            raise UserError(
                "engine: vllm has no Skywork-o1-Open-PRM (a plugin would be needed); set engine: transformers"
            )
        self._entry = entry
        self._tokenizer = load_tokenizer(entry.model, entry.revision)
        check_marks(self._tokenizer, entry)
        self._head = _head(entry, self._tokenizer)
        shape = model_shape(empty_model(entry.model, entry.revision, model_class(entry)))
        # Of a head that vLLM holds itself, only the size is wanted.
        held = qwen_head(entry, torch.device("cpu")) if isinstance(entry, QwenPrm) else self._head
        self.shape = with_head(shape, entry, held)
        arguments = {
            "revision": entry.revision,
            "tokenizer_revision": entry.revision,
            "dtype": entry.dtype,
            "max_model_len": entry.max_length,
            "quantization": entry.quantization,
            "runner": "pooling",
            **_pooling(entry),
        }
        self._engine, self._longest = start_vllm(entry.model, arguments, machine or VllmSettings())

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
            task = "token_classify" if self._head is None else "token_embed"
            parameters = PoolingParams(task=task, use_activation=False, step_tag_id=one.ids[one.places[0]])
        self._engine.add_request(name, {"prompt_token_ids": one.ids}, parameters)

    def _scores(self, one: Tagged, data: torch.Tensor) -> NDArray[np.float64]:
        """Scores at the places, from what came back for every token like theirs."""
        if isinstance(self._entry, Orm):
            rows = data[None]
        else:
            mark = one.ids[one.places[0]]
            alike = [place for place, token in enumerate(one.ids) if token == mark]
            if len(alike) != len(data):
                raise UserError(
                    f"vLLM gave {len(data)} outputs for {len(alike)} marks; use another version of it"
                )
            rows = data[[alike.index(place) for place in one.places]]
        if self._head is not None:
            return self._head.scores(rows)
        labels = rows.shape[-1]
        good = None if labels == 1 else 1 if isinstance(self._entry, QwenPrm) else _good_class(self._entry)
        return Head(torch.eye(labels).double(), torch.zeros(labels).double(), good).scores(rows)


def _good_class(entry: Running) -> int:
    assert isinstance(entry, Orm | TokenClass)  # the others have heads of their own
    return entry.good_class


def _head(entry: Running, tokenizer: Any) -> Head | None:
    """The head that is applied here; None where vLLM's model has it."""
    if isinstance(entry, QwenPrm | TokenClass | Orm):
        return None
    assert not isinstance(entry, SkyworkPrm)  # refused above
    return saved_head(entry, tokenizer)


def _pooling(entry: Running) -> dict[str, Any]:
    """Arguments that make the checkpoint a pooling model of the right kind."""
    if isinstance(entry, Orm):
        return {}
    from vllm.config import PoolerConfig  # noqa: PLC0415  heavy, and only there where it is used

    steps = {"pooler_config": PoolerConfig(tok_pooling_type="STEP")}
    if isinstance(entry, QwenPrm):
        return {}
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
