"""The verifier engine that runs anywhere: a Math-Shepherd style process reward model in transformers.

A step tag follows every step; a step's score is P(good) against P(bad) at its tag. One forward pass
per solution gives all its scores, and what solutions have in common (their problem, their first steps)
is read once for all of them.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from isoflop.checkpoints import check_logits, context_length, load_model, load_tokenizer, model_shape
from isoflop.engines import Progress, ScoreRequest, StepScores
from isoflop.errors import UserError
from isoflop.token_trees import TokenTree, token_trees
from isoflop.training import tag_steps, token_id

# Settled scores are multiples of this.
GRID = 2.0**-12
# Far above what float32 rounding moves a score by (a test measures that).
CLOSE = 5e-6
# A tree costs attention between all its nodes: beyond this, more than sharing saves on small models.
_TREE_NODES = 512


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
        batch_tokens: int = 8192,
        settle: bool = False,
    ) -> None:
        """With `settle`, scores are rounded to `GRID` and do not depend on the batch."""
        self._tokenizer = load_tokenizer(model, revision)
        self._model = load_model(model, revision, dtype, shared_prefix=False)
        check_logits(self._model, model)
        self._step_tag = step_tag
        token_id(self._tokenizer, step_tag)
        self._good = token_id(self._tokenizer, good_token)
        self._bad = token_id(self._tokenizer, bad_token)
        self._batch_tokens = batch_tokens
        self._settles = settle
        self._exact: Any = None if dtype == "float32" else self._model
        self.shape = model_shape(self._model)

    def score(self, requests: Sequence[ScoreRequest], progress: Progress | None = None) -> list[StepScores]:
        """One score in [0, 1] per step of each request, in order.

        Raises UserError if a solution does not fit the model. A tag that the policy itself wrote is
        text like any other: scores are read only where this verifier put its tags.
        """
        distinct = {request: place for place, request in enumerate(dict.fromkeys(requests))}
        encoded = [self._encode(request) for request in distinct]
        scores = score_encoded(self._model, encoded, self._good, self._bad, self._batch_tokens, progress)
        if self._settles:
            self._settle(encoded, scores)
        if progress is not None:
            progress(len(requests) - len(distinct), 0)
        answers = [
            StepScores(
                tuple(float(score) for score in values), len(ids), tuple(place + 1 for place in places)
            )
            for (ids, places), values in zip(encoded, scores, strict=True)
        ]
        return [answers[distinct[request]] for request in requests]

    def _settle(
        self, encoded: Sequence[tuple[list[int], list[int]]], scores: list[NDArray[np.float64]]
    ) -> None:
        """Round scores to the grid; those that rounding errors could move are found in float64 first."""
        doubtful = [
            place
            for place, values in enumerate(scores)
            if np.any(np.abs(values / GRID % 1.0 - 0.5) * GRID < CLOSE)
        ]
        if doubtful:
            if self._exact is None:
                self._exact = copy.deepcopy(self._model).double()
            again = score_encoded(
                self._exact,
                [encoded[place] for place in doubtful],
                self._good,
                self._bad,
                self._batch_tokens,
            )
            for place, values in zip(doubtful, again, strict=True):
                scores[place] = values
        for place, values in enumerate(scores):
            scores[place] = np.floor(values / GRID + 0.5) * GRID

    def _encode(self, request: ScoreRequest) -> tuple[list[int], list[int]]:
        ids, places = tag_steps(self._tokenizer, request.prompt, request.steps, self._step_tag)
        longest = context_length(self._model)
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
    batch_tokens: int = 8192,
    progress: Progress | None = None,
) -> list[NDArray[np.float64]]:
    """P(good) against P(bad) at the given positions of each token sequence; lists of [steps]."""
    results: list[NDArray[np.float64]] = [np.zeros(0)] * len(encoded)
    head = model.get_output_embeddings()
    margin = (head.weight[good_token] - head.weight[bad_token]).double()
    offset = 0.0 if head.bias is None else float(head.bias[good_token] - head.bias[bad_token])
    trees = list(token_trees([ids for ids, _ in encoded], _TREE_NODES))
    with torch.inference_mode():
        for batch in _batches(trees, batch_tokens):
            width = max(len(tree.tokens) for tree in batch)
            ids, positions = (torch.zeros((len(batch), width), dtype=torch.long) for _ in range(2))
            # Padding sees itself, or its softmax would be over nothing.
            seen = torch.eye(width, dtype=torch.bool).repeat(len(batch), 1, 1)
            for row, tree in enumerate(batch):
                nodes = len(tree.tokens)
                ids[row, :nodes] = torch.from_numpy(tree.tokens)
                positions[row, :nodes] = torch.from_numpy(tree.depths)
                seen[row, :nodes, :nodes] = torch.from_numpy(tree.ancestors())
            mask = torch.zeros(seen.shape, dtype=head.weight.dtype).masked_fill_(
                ~seen, torch.finfo(head.weight.dtype).min
            )
            hidden = model.base_model(
                input_ids=ids.to(model.device),
                position_ids=positions.to(model.device),
                attention_mask=mask[:, None].to(model.device),
                use_cache=False,
            ).last_hidden_state
            for row, tree in enumerate(batch):
                margins = (hidden[row].double() @ margin + offset).cpu().numpy()
                for place, path in tree.paths.items():
                    results[place] = expit(margins[path[list(encoded[place][1])]])
            if progress is not None:
                progress(
                    sum(len(tree.paths) for tree in batch),
                    sum(len(path) for tree in batch for path in tree.paths.values()),
                )
    return results


def _batches(trees: Sequence[TokenTree], batch_tokens: int) -> Iterator[list[TokenTree]]:
    """Trees of like size, at most `batch_tokens` tokens together with their padding."""
    batch: list[TokenTree] = []
    for tree in sorted(trees, key=lambda tree: len(tree.tokens)):
        if batch and (len(batch) + 1) * len(tree.tokens) > batch_tokens:
            yield batch
            batch = []
        batch.append(tree)
    if batch:
        yield batch
