"""The verifier engine that runs anywhere: reward models in transformers.

One forward pass per solution gives all its scores, and what solutions have in common (their problem, their
first steps) is read once for all of them. What is read, and how a score comes of it, is each
kind's own (isoflop.verifiers.kinds).
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isoflop.config.verifiers import RunningVerifier
from isoflop.engines.checkpoints import (
    context_length,
    further_tensors,
    load_model,
    load_tokenizer,
    model_shape,
)
from isoflop.engines.kv_cache import Segment, SegmentStore, extend
from isoflop.engines.loading.checks import check_hidden, check_logits
from isoflop.engines.loading.source import source_of
from isoflop.engines.registry import Progress, ScoreRequest, StepScores
from isoflop.verifiers.heads import Head, model_class, read_head
from isoflop.verifiers.layouts import Tagged, fitting
from isoflop.verifiers.prefix_trees import TokenTree, token_trees
from isoflop.verifiers.registry import check_marks, tag_solutions, with_head

# Settled scores are multiples of this.
GRID = 2.0**-12
# Far above what float32 rounding moves the logarithm of a score's odds by (a test measures that).
CLOSE = 3e-5
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
    """A reward model as a verifier (isoflop.engines.registry.Verifier)."""

    def __init__(self, entry: RunningVerifier, batch_tokens: int = 8192, settle: bool = False) -> None:
        """With `settle`, what was read is kept for requests that go on from it, and scores are rounded to
        `GRID`, so that they depend on neither that nor the batch: what a search needs.
        """
        self._entry, source = entry, source_of(entry)
        self._tokenizer = load_tokenizer(*source)
        check_marks(self._tokenizer, entry)
        with further_tensors(source.model):
            self._model = load_model(
                source.model,
                source.revision,
                entry.dtype,
                shared_prefix=settle,
                kind=model_class(entry),
                gguf_file=source.gguf_file,
            )
            self._head = read_head(entry, self._model, self._tokenizer)
        if self._model.get_output_embeddings() is not None:
            check_logits(self._model, entry.checkpoint)
        elif settle:
            check_hidden(self._model, entry.checkpoint)
        bounds = (context_length(self._model), entry.max_length)
        self._longest = min((bound for bound in bounds if bound is not None), default=None)
        self._batch_tokens = batch_tokens
        self._settles = settle
        self._store = SegmentStore(_KEPT_BYTES)
        self._exact: Any = None if entry.dtype == "float32" else self._model
        self.shape = with_head(model_shape(self._model), entry, int(self._model.config.hidden_size))

    def score(self, requests: Sequence[ScoreRequest], progress: Progress | None = None) -> list[StepScores]:
        """One score in [0, 1] per step of each request, in order; one in all from an ORM.

        A solution that does not fit the model has no scores where the entry says `mark`; otherwise raises
        UserError. A tag that the policy itself wrote is text like any other: scores are read only where this
        verifier put its tags.
        """
        distinct = list(dict.fromkeys(requests))
        solutions = [(request.prompt, request.steps) for request in distinct]
        tagged = fitting(tag_solutions(self._tokenizer, self._entry, solutions), self._entry, self._longest)
        fit = [place for place, one in enumerate(tagged) if one is not None]
        texts = [one for one in tagged if one is not None]
        if self._settles:
            with torch.inference_mode():
                scores = self._settled(texts)
        else:
            encoded = [(one.ids, one.places) for one in texts]
            scores = score_encoded(self._model, encoded, self._head, self._batch_tokens, progress)
        answers = dict.fromkeys(distinct, StepScores((), 0))
        for place, one, values in zip(fit, texts, scores, strict=True):
            ends = tuple(end + 1 for end in one.places)
            answers[distinct[place]] = StepScores(tuple(values.tolist()), len(one.ids), ends)
        if progress is not None:
            progress(len(requests) - len(fit), 0)
        return [answers[request] for request in requests]

    def _settled(self, tagged: Sequence[Tagged]) -> list[NDArray[np.float64]]:
        """Scores on the grid, of what is kept and what is new; the doubtful ones are found in float64."""
        prompts = dict.fromkeys(tuple(one.ids[: one.begin]) for one in tagged)
        unread = [_Reading(list(ids), [], 0, []) for ids in prompts if ids and self._store.chain(ids) is None]
        self._read(self._model, unread, self._store)
        work = []
        for text in tagged:
            start, kept = self._store.longest(text.ids, [text.begin, *(place + 1 for place in text.places)])
            work.append(_Reading(text.ids[: text.places[-1] + 1], text.places, start, kept))
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
                at_tags = extended.hidden[row, [tag - one.start for tag in tags]]
                found[place] = (pieces, self._head.scores(at_tags))
        return found


def score_encoded(
    model: Any,
    encoded: Sequence[tuple[Sequence[int], Sequence[int]]],
    head: Head,
    batch_tokens: int = 8192,
    progress: Progress | None = None,
) -> list[NDArray[np.float64]]:
    """Scores at the given places of each token sequence; lists of [steps]."""
    results: list[NDArray[np.float64]] = [np.zeros(0)] * len(encoded)
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
            mask = torch.zeros(seen.shape, dtype=model.dtype).masked_fill_(
                ~seen, torch.finfo(model.dtype).min
            )
            hidden = model.base_model(
                input_ids=ids.to(model.device),
                position_ids=positions.to(model.device),
                attention_mask=mask[:, None].to(model.device),
                use_cache=False,
            ).last_hidden_state
            for row, tree in enumerate(batch):
                for place, path in tree.paths.items():
                    results[place] = head.scores(hidden[row, path[list(encoded[place][1])]])
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
