"""The verifier engine that runs anywhere: a Math-Shepherd style process reward model in transformers.

A step tag follows every step; a step's score is P(good) against P(bad) at its tag. One forward pass
per solution gives all its scores, and what solutions have in common (their problem, their first steps)
is read once for all of them.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from isoflop.checkpoints import check_logits, context_length, load_model, load_tokenizer, model_shape
from isoflop.engines import Progress, ScoreRequest, StepScores
from isoflop.errors import UserError
from isoflop.kv_segments import Segment, SegmentStore, extend
from isoflop.token_trees import TokenTree, token_trees
from isoflop.training import tag_solutions, token_id

# Settled scores are multiples of this.
GRID = 2.0**-12
# Far above what float32 rounding moves the logarithm of a score's odds by (a test measures that).
CLOSE = 2e-5
# What may be kept of texts that are read on.
_KEPT_BYTES = 2**30
# A tree costs attention between all its nodes: beyond this, more than sharing saves on small models.
_TREE_NODES = 512


def close(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far rounding may move a score: least near 0 and 1, where the odds change most."""
    return CLOSE * scores * (1 - scores) + 1e-9


@dataclass(frozen=True)
class _Reading:
    """A text to be read: its tokens up to the last tag, where its tags are, and what is kept of its start."""

    ids: list[int]
    places: list[int]
    start: int
    kept: list[Segment]


@dataclass(frozen=True)
class _Piece:
    """A step that was read, and where it ends in its text."""

    segment: Segment
    end: int


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
        """With `settle`, what was read is kept for requests that go on from it, and scores are rounded to
        `GRID`, so that they depend on neither that nor the batch: what a search needs.
        """
        self._tokenizer = load_tokenizer(model, revision)
        self._model = load_model(model, revision, dtype, shared_prefix=settle)
        check_logits(self._model, model)
        self._step_tag = step_tag
        token_id(self._tokenizer, step_tag)
        self._good = token_id(self._tokenizer, good_token)
        self._bad = token_id(self._tokenizer, bad_token)
        self._batch_tokens = batch_tokens
        self._settles = settle
        self._store = SegmentStore(_KEPT_BYTES)
        self._prompts: dict[str, list[int]] = {}
        self._exact: Any = None if dtype == "float32" else self._model
        self.shape = model_shape(self._model)

    def score(self, requests: Sequence[ScoreRequest], progress: Progress | None = None) -> list[StepScores]:
        """One score in [0, 1] per step of each request, in order.

        Raises UserError if a solution does not fit the model. A tag that the policy itself wrote is
        text like any other: scores are read only where this verifier put its tags.
        """
        distinct = {request: place for place, request in enumerate(dict.fromkeys(requests))}
        encoded = self._encode(list(distinct))
        if self._settles:
            with torch.inference_mode():
                scores = self._settled(list(distinct), encoded)
        else:
            scores = score_encoded(self._model, encoded, self._good, self._bad, self._batch_tokens, progress)
        if progress is not None:
            progress(len(requests) - len(distinct), 0)
        answers = [
            StepScores(
                tuple(float(score) for score in values), len(ids), tuple(place + 1 for place in places)
            )
            for (ids, places), values in zip(encoded, scores, strict=True)
        ]
        return [answers[distinct[request]] for request in requests]

    def _settled(
        self, requests: Sequence[ScoreRequest], encoded: Sequence[tuple[list[int], list[int]]]
    ) -> list[NDArray[np.float64]]:
        """Scores on the grid, of what is kept and what is new; the doubtful ones are found in float64."""
        for prompt in {request.prompt for request in requests} - self._prompts.keys():
            self._prompts[prompt] = list(self._tokenizer(prompt)["input_ids"])
        prompts = [self._prompts[prompt] for prompt in dict.fromkeys(request.prompt for request in requests)]
        unread = [_Reading(ids, [], 0, []) for ids in prompts if ids and self._store.chain(ids) is None]
        self._read(self._model, unread, self._store)
        work = []
        for request, (ids, places) in zip(requests, encoded, strict=True):
            ends = [len(self._prompts[request.prompt]), *(place + 1 for place in places)]
            start, kept = self._store.longest(ids, ends)
            work.append(_Reading(ids[: places[-1] + 1], places, start, kept))
        fresh = [one for one in work if one.start < len(one.ids)]
        found = self._read(self._model, fresh, None)
        doubtful = [
            place
            for place, (_, values) in enumerate(found)
            if np.any(np.abs(values / GRID % 1.0 - 0.5) * GRID < close(values))
        ]
        if doubtful:
            if self._exact is None:
                self._exact = copy.deepcopy(self._model).double()
            again = [_Reading(fresh[place].ids, fresh[place].places, 0, []) for place in doubtful]
            for place, (_, values) in zip(doubtful, self._read(self._exact, again, None), strict=True):
                found[place] = (found[place][0], values[-len(found[place][1]) :])
        new = {
            id(one): (segments, np.floor(values / GRID + 0.5) * GRID)
            for one, (segments, values) in zip(fresh, found, strict=True)
        }
        results = []
        for one in work:
            known = [segment.score for segment in one.kept if segment.score is not None]
            segments, values = new.get(id(one), ([], np.zeros(0)))
            for segment, score in zip(segments, values.tolist(), strict=True):
                self._store.put(one.ids[: segment.end], replace(segment.segment, score=score))
            results.append(np.array([*known, *values.tolist()]))
        return results

    def _read(
        self, model: Any, work: "Sequence[_Reading]", store: SegmentStore | None
    ) -> "list[tuple[list[_Piece], NDArray[np.float64]]]":
        """The new pieces of every text and the scores at their ends. With `store`, texts are kept whole."""
        found: list[tuple[list[_Piece], NDArray[np.float64]]] = [([], np.zeros(0)) for _ in work]
        head = model.get_output_embeddings()
        direction = (head.weight[self._good] - head.weight[self._bad]).double()
        offset = 0.0 if head.bias is None else float(head.bias[self._good] - head.bias[self._bad])
        # Texts of like size together, at most so many tokens with their padding and what is kept.
        order = sorted(
            range(len(work)), key=lambda place: (len(work[place].ids) - work[place].start, work[place].start)
        )
        while order:
            size, most = 0, 0
            while size < len(order):
                most = max(most, len(work[order[size]].ids))
                if size and most * (size + 1) > self._batch_tokens:
                    break
                size += 1
            batch, order = order[:size], order[size:]
            extended = extend(
                model,
                [work[place].ids[work[place].start :] for place in batch],
                [work[place].kept for place in batch],
            )
            margins = (extended.hidden.double() @ direction + offset).cpu().numpy()
            for row, place in enumerate(batch):
                one = work[place]
                if store is not None:
                    store.put(one.ids, extended.segment(row, 0, len(one.ids)))
                    continue
                tags = [tag for tag in one.places if one.start <= tag]
                begins = [one.start, *(tag + 1 for tag in tags)]
                pieces = [
                    _Piece(extended.segment(row, begin - one.start, tag + 1 - one.start), tag + 1)
                    for begin, tag in zip(begins, tags, strict=False)
                ]
                found[place] = (pieces, expit(margins[row, [tag - one.start for tag in tags]]))
        return found

    def _encode(self, requests: Sequence[ScoreRequest]) -> list[tuple[list[int], list[int]]]:
        """Token ids, and the positions of the tags, of each request."""
        solutions = [(request.prompt, request.steps) for request in requests]
        encoded = tag_solutions(self._tokenizer, solutions, self._step_tag)
        longest = context_length(self._model)
        for request, (ids, _) in zip(requests, encoded, strict=True):
            if longest is not None and len(ids) > longest:
                raise UserError(
                    f"a solution of {len(ids)} tokens exceeds the verifier's {longest} positions: "
                    f"{request.prompt[:60]!r}"
                )
        return encoded


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
