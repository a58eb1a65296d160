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
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rapidfuzz.distance import Prefix
from torch import Tensor

from isoflop.config.verifiers import RunningVerifier
from isoflop.engines.checkpoints import (
    context_length,
    further_tensors,
    load_model,
    load_tokenizer,
    model_shape,
)
from isoflop.engines.kv_cache import Segment, SegmentStore
from isoflop.engines.loading.checks import check_hidden, check_logits
from isoflop.engines.loading.source import source_of
from isoflop.engines.registry import Progress, ScoreRequest, StepScores
from isoflop.verifiers.heads import Head, model_class, read_head
from isoflop.verifiers.layouts import Tagged, fitting
from isoflop.verifiers.prefix_trees import ForestBuilder
from isoflop.verifiers.registry import check_marks, tag_solutions, with_head
from isoflop.verifiers.settling import SCORED, SEARCHED, Text, alike, beginnings
from isoflop.verifiers.tree_attention import read, shared_attention

# What may be kept of texts that are read on.
_KEPT_BYTES = 2**30
# Kept tokens that one pass may go on from, for each that it may read.
_KEPT_SHARE = 4


@dataclass(frozen=True)
class _Reading:
    """A text that is read on: its tokens up to the last tag, and how many of them are kept, in what."""

    ids: list[int]
    tagged: Tagged
    start: int
    kept: list[Segment]


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
                shared_prefix=True,
                kind=model_class(entry),
                gguf_file=source.gguf_file,
            )
            self._head = read_head(entry, self._model, self._tokenizer)
        if self._model.get_output_embeddings() is not None:
            check_logits(self._model, entry.checkpoint)
        else:
            check_hidden(self._model, entry.checkpoint)
        bounds = (context_length(self._model), entry.max_length)
        self._longest = min((bound for bound in bounds if bound is not None), default=None)
        self._batch_tokens = batch_tokens
        self._settles = settle
        self._store = SegmentStore(_KEPT_BYTES)
        # How many scores were found again in float64.
        self.settled = 0
        self._exact: Any = None
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
        work = []
        for text in tagged:
            ids, ends = text.ids[: text.places[-1] + 1], _ends(text)
            start, kept = self._store.longest(ids, ends)
            # Pieces that another text was cut into have other scores than this one's steps.
            if list(accumulate(segment.count for segment in kept)) != [end for end in ends if end <= start]:
                start, kept = 0, []
            work.append(_Reading(ids, text, start, kept))
        fresh = sorted((one for one in work if one.start < len(one.ids)), key=lambda one: one.ids)
        new: dict[int, list[float]] = {}
        while fresh:
            size = self._fitting(fresh)
            for one, values in zip(fresh, self._read(fresh[:size]), strict=False):
                new[id(one)] = values
            fresh = fresh[size:]
        results = []
        for one in work:
            known = [segment.score for segment in one.kept if segment.score is not None]
            results.append(np.array([*known, *new.get(id(one), [])]))
        return results

    def _fitting(self, work: Sequence[_Reading]) -> int:
        """How many of these texts, in lexicographic order, are read in one pass."""
        new, kept, before, kept_before = 0, dict[int, int](), list[int](), 0
        for number, one in enumerate(work):
            shared = Prefix.similarity(before, one.ids)
            # Tokens are read anew which are kept for the text before, but as parts of another piece.
            split = min(shared, kept_before) > one.start
            new += len(one.ids) - max(shared, one.start)
            kept |= {id(segment): segment.count for segment in one.kept}
            full = new > self._batch_tokens or sum(kept.values()) > _KEPT_SHARE * self._batch_tokens
            if number and (split or full):
                return number
            before, kept_before = one.ids, one.start
        return len(work)

    def _read(self, work: Sequence[_Reading]) -> list[list[float]]:
        """The settled scores of what is new of every text; its pieces are kept."""
        segments = list({id(segment): segment for one in work for segment in one.kept}.values())
        begins = np.cumsum([0, *(segment.count for segment in segments)])
        rows_of = {
            id(segment): np.arange(begin, begin + segment.count)
            for segment, begin in zip(segments, begins.tolist(), strict=False)
        }
        total = int(begins[-1])
        builder = ForestBuilder(total)
        paths = [
            builder.add(
                one.ids, np.concatenate([rows_of[id(segment)] for segment in one.kept]) if one.kept else None
            )
            for one in work
        ]
        kept = torch.cat([segment.data for segment in segments], dim=2) if segments else None
        hidden, step = read(self._model, builder.forest(), kept, np.arange(total, total + builder.new))
        # Of every place that was read, its row and a text that it is in.
        places = {
            int(path[place]): (one.ids[: place + 1], [place])
            for one, path in zip(work, paths, strict=True)
            for place in one.tagged.places
            if place >= one.start
        }
        rows = np.array(list(places))
        scores = self._head.scores(hidden[torch.from_numpy(rows - total).to(hidden.device)])
        if self._entry.dtype == "float32" and (doubt := SEARCHED.doubtful(scores)).any():
            if self._exact is None:
                self._exact = copy.deepcopy(self._model).double()
            parts = [text for text, doubted in zip(places.values(), doubt.tolist(), strict=True) if doubted]
            scores[doubt] = np.concatenate(score_encoded(self._exact, parts, self._head, self._batch_tokens))
        score_of = dict(zip(places, SEARCHED.settled(scores).tolist(), strict=True))
        data, done = step.stacked(), set[int]()
        for one, path in zip(work, paths, strict=True):
            for begin, end in pairwise([one.start, *(end for end in _ends(one.tagged) if end > one.start)]):
                last = int(path[end - 1])
                if last not in done:
                    done.add(last)
                    piece = data[:, :, torch.from_numpy(path[begin:end] - total).to(data.device)]
                    self._store.put(
                        one.ids[:end], Segment(piece, score_of.get(last) if end > one.tagged.begin else None)
                    )
        return [
            [score_of[int(path[place])] for place in one.tagged.places if place >= one.start]
            for one, path in zip(work, paths, strict=True)
        ]


def _ends(text: Tagged) -> list[int]:
    """Where pieces of a text end that may be kept: its prompt where that is apart, and every step."""
    return [end for end in (text.begin, *(place + 1 for place in text.places)) if end]


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
    """Scores at the given places of each token sequence; lists of [steps].

    Every token of what sequences have in common is read once, `batch_tokens` of them in a pass.
    """
    results: list[NDArray[np.float64]] = [np.zeros(0)] * len(encoded)
    texts = [(list(ids[: places[-1] + 1] if places else []), places) for ids, places in encoded]
    order = sorted((place for place, (ids, _) in enumerate(texts) if ids), key=lambda place: texts[place][0])
    before: Sequence[int] = ()
    path = np.zeros(0, dtype=np.int64)
    kept: Tensor | None = None
    states: Tensor | None = None
    done = 0
    with torch.inference_mode(), shared_attention(model):
        while done < len(order):
            # What the first text has in common with the last one of the pass before is kept of that.
            builder, paths = ForestBuilder(len(path), before[: len(path)], path), list[NDArray[np.int64]]()
            while done + len(paths) < len(order):
                ids = texts[order[done + len(paths)]][0]
                more = len(ids) - builder.shared(ids)
                if builder.new and more and builder.new + more > batch_tokens:
                    break
                paths.append(builder.add(ids))
                before = ids
            batch, done = order[done : done + len(paths)], done + len(paths)
            following = texts[order[done]][0] if done < len(order) else []
            keep = paths[-1][: Prefix.similarity(before, following)]
            hidden, step = read(model, builder.forest(), kept, keep)
            hidden = hidden if states is None else torch.cat([states, hidden])
            rows = np.unique(
                np.concatenate([own[texts[place][1]] for place, own in zip(batch, paths, strict=True)])
            )
            scores = head.scores(hidden[torch.from_numpy(rows).to(hidden.device)])
            for place, own in zip(batch, paths, strict=True):
                results[place] = scores[np.searchsorted(rows, own[texts[place][1]])]
            kept, states = step.stacked(), hidden[torch.from_numpy(keep).to(hidden.device)]
            path = np.arange(len(keep))
            if progress is not None:
                progress(len(batch), sum(len(encoded[place][0]) for place in batch))
    return results
