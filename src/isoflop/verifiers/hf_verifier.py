"""The verifier engine that runs anywhere: reward models in transformers.

One forward pass per solution gives all its scores, and what solutions have in common (their problem, their
first steps) is read once for all of them. What is read, and how a score comes of it, is each
kind's own (isoflop.verifiers.kinds).

In float32, the scores of a text do not depend on what is read beside it: they are rounded, and those that
rounding errors could change are found again in float64 (isoflop.verifiers.settling).
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from isoflop.verifiers.settling import SCORED, SEARCHED, Text, alike, beginnings

# What may be kept of texts that are read on.
_KEPT_BYTES = 2**30
# A tree costs attention between all its nodes: beyond this, more than sharing saves on small models.
_TREE_NODES = 512


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
        """With `settle`, what was read is kept for requests that go on from it, as a search needs; scores
        depend on neither that nor the batch.
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
        # How many scores were found again in float64.
        self.settled = 0
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
            scores = self._scored([(one.ids, one.places) for one in texts], progress)
        answers = dict.fromkeys(distinct, StepScores((), 0))
        for place, one, values in zip(fit, texts, scores, strict=True):
            ends = tuple(end + 1 for end in one.places)
            answers[distinct[place]] = StepScores(tuple(values.tolist()), len(one.ids), ends)
        if progress is not None:
            progress(len(requests) - len(fit), 0)
        return [answers[request] for request in requests]

    def _scored(self, texts: Sequence[Text], progress: Progress | None) -> list[NDArray[np.float64]]:
        """Scores of whole texts: in float32 on the grid, the doubtful ones found in float64."""
        found = score_encoded(self._model, texts, self._head, self._batch_tokens, progress)
        if self._entry.dtype != "float32":
            return alike(texts, found)
        doubts = [SCORED.doubtful(values) for values in found]
        # Each beginning once, up to the last doubtful place.
        again: dict[bytes, tuple[Sequence[int], set[int]]] = {}
        for (ids, places), doubt in zip(texts, doubts, strict=True):
            if doubt.any():
                unsure = [place for place, doubted in zip(places, doubt.tolist(), strict=True) if doubted]
                part = (ids[: unsure[-1] + 1], unsure)
                again.setdefault(beginnings(part)[-1], (part[0], set()))[1].update(unsure)
        if not again:
            return [SCORED.settled(values) for values in found]
        parts = [(ids, sorted(unsure)) for ids, unsure in again.values()]
        with _in_float64(self._model):
            exact = score_encoded(self._model, parts, self._head, self._batch_tokens)
        known = {
            key: score
            for part, scores in zip(parts, exact, strict=True)
            for key, score in zip(beginnings(part), scores.tolist(), strict=True)
        }
        self.settled += len(known)
        for text, doubt, values in zip(texts, doubts, found, strict=True):
            keys = beginnings(text) if doubt.any() else []
            for number in np.flatnonzero(doubt).tolist():
                values[number] = known[keys[number]]
        return [SCORED.settled(values) for values in found]

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
        doubtful = [place for place, (_, values) in enumerate(found) if SEARCHED.doubtful(values).any()]
        if doubtful:
            if self._exact is None:
                self._exact = copy.deepcopy(self._model).double()
            again = [_Reading(fresh[place].ids, fresh[place].places, 0, []) for place in doubtful]
            for place, (_, values) in zip(doubtful, self._read(self._exact, again, None), strict=True):
                found[place] = (found[place][0], values[-len(found[place][1]) :])
        new = {
            id(one): (segments, SEARCHED.settled(values))
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


@contextmanager
def _in_float64(model: Any) -> Iterator[None]:
    """A model of float32 in float64 for a while; it is the same afterwards."""
    model.double()
    try:
        yield
    finally:
        model.float()


def score_encoded(
    model: Any,
    encoded: Sequence[Text],
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
