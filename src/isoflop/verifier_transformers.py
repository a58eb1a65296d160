"""The verifier engine that runs anywhere: a Math-Shepherd style process reward model in transformers.

A step tag follows every step; a step's score is P(good) against P(bad) at its tag. One forward pass
per solution gives all its scores. Solutions are batched by length; identical ones are read once.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isoflop.checkpoints import load_model, load_tokenizer, model_shape
from isoflop.engines import Progress, ScoreRequest, StepScores
from isoflop.errors import UserError
from isoflop.training import tag_steps, token_id


class TransformersVerifier:
    """A process reward model as a verifier (isoflop.engines.Verifier)."""

    def __init__(
        self,
        model: str,
        step_tag: str,
        good_token: str,
        bad_token: str,
        revision: str | None = None,
        dtype: str = "float32",
        batch_tokens: int = 16384,
    ) -> None:
        self._tokenizer = load_tokenizer(model, revision)
        self._model = load_model(model, revision, dtype, shared_prefix=False)
        self._step_tag = step_tag
        token_id(self._tokenizer, step_tag)
        self._good = token_id(self._tokenizer, good_token)
        self._bad = token_id(self._tokenizer, bad_token)
        self._batch_tokens = batch_tokens
        self.shape = model_shape(self._model)

    def score(self, requests: Sequence[ScoreRequest], progress: Progress | None = None) -> list[StepScores]:
        """One score in [0, 1] per step of each request, in order.

        Raises UserError if a solution does not fit the model. A tag that the policy itself wrote is
        text like any other: scores are read only where this verifier put its tags.
        """
        distinct = {request: place for place, request in enumerate(dict.fromkeys(requests))}
        encoded = [self._encode(request) for request in distinct]
        pad = self._tokenizer.pad_token_id or 0
        scores = score_encoded(self._model, encoded, self._good, self._bad, pad, self._batch_tokens, progress)
        answers = [
            StepScores(tuple(float(score) for score in values), len(ids))
            for (ids, _), values in zip(encoded, scores, strict=True)
        ]
        return [answers[distinct[request]] for request in requests]

    def _encode(self, request: ScoreRequest) -> tuple[list[int], list[int]]:
        ids, places = tag_steps(self._tokenizer, request.prompt, request.steps, self._step_tag)
        longest = getattr(self._model.config, "max_position_embeddings", None)
        if longest is not None and len(ids) > longest:
            raise UserError(
                f"a solution of {len(ids)} tokens exceeds the verifier's {longest} positions: "
                f"{request.prompt[:60]!r}"
            )
        return ids, places


def score_encoded(
    model: Any,
    encoded: Sequence[tuple[Sequence[int], Sequence[int]]],
    good_token: int,
    bad_token: int,
    pad_token: int,
    batch_tokens: int = 16384,
    progress: Progress | None = None,
) -> list[NDArray[np.float64]]:
    """P(good) against P(bad) at the given positions of each token sequence; lists of [steps]."""
    results: list[NDArray[np.float64]] = [np.zeros(0)] * len(encoded)
    head = model.get_output_embeddings()
    margin = (head.weight[good_token] - head.weight[bad_token]).double()
    offset = 0.0 if head.bias is None else float(head.bias[good_token] - head.bias[bad_token])
    with torch.inference_mode():
        for batch in _batches([len(ids) for ids, _ in encoded], batch_tokens):
            width = max(len(encoded[place][0]) for place in batch)
            ids = torch.full((len(batch), width), pad_token, dtype=torch.long)
            for row, place in enumerate(batch):
                ids[row, : len(encoded[place][0])] = torch.tensor(encoded[place][0])
            # Padding is on the right and attention causal: no real token sees it.
            hidden = model.base_model(input_ids=ids.to(model.device), use_cache=False).last_hidden_state
            for row, place in enumerate(batch):
                at_tags = hidden[row, list(encoded[place][1])].double()
                results[place] = torch.sigmoid(at_tags @ margin + offset).cpu().numpy()
            if progress is not None:
                progress(len(batch), sum(len(encoded[place][0]) for place in batch))
    return results


def _batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Places of sequences of like length, at most `batch_tokens` tokens together with their padding."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        if batch and (len(batch) + 1) * lengths[place] > batch_tokens:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
