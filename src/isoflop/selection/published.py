"""The pool of a published search: the solutions that were published of it, by budget and run.

What the search wrote and threw away is in no file, so its cost is that of the solutions it ended with: less
than it took, as the results say (`tokens_estimated`).
"""

from collections.abc import Sequence

import numpy as np

from isoflop.arrays import Bools, Floats, Ints
from isoflop.selection.pool import Candidates, StepScores
from isoflop.selection.samples import SamplePool
from isoflop.selection.trees import TreePool, arranged


def published_search(
    samples: SamplePool,
    finished: Bools,
    searches: Sequence[tuple[str, int, int]],
    budgets: tuple[int, ...],
    source: str,
) -> TreePool:
    """The searches that solutions are of, as a pool of trees.

    Parameters
    ----------
    samples
        All solutions, problem by problem. The first verifier is the one that guided the search; without any,
        nothing is read by one.
    finished
        Whether the model ended the solution itself, [solutions].
    searches
        Problem, budget and run of every solution, [solutions].
    budgets
        Of the searches, rising.
    source
        What messages call the solutions.

    Raises
    ------
    UserError
        A problem lacks a budget or a run.
    """
    candidates = samples.candidates
    of_search, runs = arranged(searches, candidates.problem_ids, budgets, source)
    order = np.argsort(of_search, kind="stable")
    count = len(candidates.problem_ids) * len(budgets) * runs
    guide = next(iter(samples.verifiers.values()), None)
    return TreePool(
        Candidates(
            problem_ids=candidates.problem_ids,
            sizes=np.bincount(of_search, minlength=count),
            answer_class=candidates.answer_class[order],
            correct=candidates.correct[order],
        ),
        scores={name: _ordered(scores, order) for name, scores in samples.scores.items()},
        finished=finished[order],
        budgets=budgets,
        runs=runs,
        usage=_usage(samples, of_search, budgets, runs),
        policy=samples.policy.party,
        verifier=samples.policy.party if guide is None else guide.party,
    )


def _ordered(scores: StepScores, order: Ints) -> StepScores:
    ends = np.cumsum(scores.counts)
    parts = [scores.scores[ends[row] - scores.counts[row] : ends[row]] for row in order]
    return StepScores(np.concatenate(parts), scores.counts[order])


def _usage(samples: SamplePool, of_search: Ints, budgets: tuple[int, ...], runs: int) -> dict[str, Floats]:
    """Columns of USAGE, each [problems, budgets, runs]: one prompt, every solution on its own."""
    shape = (len(samples.candidates.problem_ids), len(budgets), runs)
    count = int(np.prod(shape))
    prompt, tokens = samples.prompt, samples.policy.tokens

    def total(values: Floats) -> Floats:
        sums: Floats = np.bincount(of_search, weights=values, minlength=count).astype(np.float64)
        return sums.reshape(shape)

    first = np.zeros(count)
    first[of_search] = prompt
    prompts = first.reshape(shape)
    attended = total(tokens * prompt + tokens * (tokens + 1.0) / 2.0)
    read = 1.0 if samples.verifiers else 0.0
    return {
        "prompt": prompts,
        "generated": total(tokens),
        "attended": attended,
        "read_again": np.zeros(shape),
        "looked": np.zeros(shape),
        "scored": read * (prompts + total(tokens)),
        "scored_attended": read * (attended + prompts * (prompts + 1.0) / 2.0),
        "scored_again": np.zeros(shape),
        "nominal_samples": np.broadcast_to(np.array(budgets, dtype=np.float64)[None, :, None], shape),
        "seconds": np.full(shape, np.nan),
    }
