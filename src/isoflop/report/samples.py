"""Which candidates the report shows: a right one, a wrong one, and one where the verifier is fooled.

Model text is not to be trusted: it is cut to a readable length and stripped of control and bidirectional
marks here, and escaped by the template.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isoflop.selection.aggregation import aggregate_steps

MOST_STEPS = 24
MOST_STEP_CHARACTERS = 400
MOST_PROMPT_CHARACTERS = 2000


@dataclass(frozen=True)
class Pool:
    """All candidates of one problem by one policy; sequences are in candidate order."""

    policy: str
    level: int | None
    prompt: str
    answer: str
    steps: Sequence[Sequence[str]]
    step_scores: Sequence[Sequence[float]]
    answers: Sequence[str | None]
    correct: Sequence[bool]

    def scores(self, step_aggregation: str) -> list[float]:
        """One score per candidate, as selection sees it."""
        counts = [len(scores) for scores in self.step_scores]
        flat = np.concatenate([np.asarray(scores, dtype=float) for scores in self.step_scores])
        return [float(s) for s in aggregate_steps(flat, counts, [len(counts)], step_aggregation)]


@dataclass(frozen=True)
class Step:
    """One step of a shown candidate and its score; None where it is a note about what was cut."""

    text: str
    score: float | None


@dataclass(frozen=True)
class Sample:
    """One candidate as the report shows it."""

    kind: str
    remark: str
    policy: str
    level: int | None
    prompt: str
    reference: str
    answer: str
    correct: bool
    steps: tuple[Step, ...]


def choose_samples(pools: Sequence[Pool], step_aggregation: str) -> list[Sample]:
    """One sample of each kind that the pools have: right, wrong, verifier fooled (and what it passed over).

    `pools` in the order of preference; the first that fits is taken, each problem at most once.
    """
    used: set[str] = set()
    samples: list[Sample] = []
    for choose in (_right, _wrong, _fooled):
        for pool in pools:
            if pool.prompt in used or not pool.correct:
                continue
            chosen = choose(pool, pool.scores(step_aggregation))
            if chosen:
                used.add(pool.prompt)
                samples += chosen
                break
    return samples


def _right(pool: Pool, scores: Sequence[float]) -> list[Sample]:
    """The highest-scored candidate is right, and not every candidate is."""
    best = int(np.argmax(scores))
    if not pool.correct[best] or all(pool.correct):
        return []
    return [_sample(pool, best, "right", f"The verifier scores it highest of {_share(pool)}.")]


def _wrong(pool: Pool, scores: Sequence[float]) -> list[Sample]:
    """A wrong candidate whose steps the verifier believes at first and then does not."""
    drops = [
        max(row) - min(row[row.index(max(row)) :]) if not right and len(row) > 2 else 0.0
        for row, right in zip(map(list, pool.step_scores), pool.correct, strict=True)
    ]
    worst = int(np.argmax(drops))
    if drops[worst] < 0.5:
        return []
    remark = f"The verifier believes it at first and then does not; one of {_share(pool)}."
    return [_sample(pool, worst, "wrong", remark)]


def _fooled(pool: Pool, scores: Sequence[float]) -> list[Sample]:
    """The highest-scored candidate is wrong although the pool has a right one; both are shown."""
    best = int(np.argmax(scores))
    if pool.correct[best] or not any(pool.correct):
        return []
    right = max((i for i, correct in enumerate(pool.correct) if correct), key=lambda i: scores[i])
    return [
        _sample(pool, best, "verifier fooled", f"The verifier scores it highest of {_share(pool)}."),
        _sample(
            pool, right, "passed over", "The right candidate of the same problem that it scores highest."
        ),
    ]


def _share(pool: Pool) -> str:
    return f"{len(pool.correct)} candidates, {sum(pool.correct)} of them right"


def _sample(pool: Pool, candidate: int, kind: str, remark: str) -> Sample:
    texts, scores = pool.steps[candidate], pool.step_scores[candidate]
    steps = [
        Step(readable(text, MOST_STEP_CHARACTERS), float(score))
        for text, score in zip(texts, scores, strict=True)
    ][:MOST_STEPS]
    if len(texts) > MOST_STEPS:
        steps.append(Step(f"… {len(texts) - MOST_STEPS} more steps", None))
    answer = pool.answers[candidate]
    return Sample(
        kind=kind,
        remark=remark,
        policy=pool.policy,
        level=pool.level,
        prompt=readable(pool.prompt, MOST_PROMPT_CHARACTERS),
        reference=readable(pool.answer, MOST_STEP_CHARACTERS),
        answer="none" if answer is None else readable(answer, MOST_STEP_CHARACTERS),
        correct=pool.correct[candidate],
        steps=tuple(steps),
    )


def readable(text: str, most: int) -> str:
    """`text` cut to `most` characters, with control and invisible marks made visible as replacements."""
    kept = text.strip()
    if len(kept) > most:
        kept = kept[: most - 1] + "…"
    return "".join(mark if mark.isprintable() or mark in "\n\t" else "�" for mark in kept)
