"""Curves of full-size studies: 256 samples, 9 budgets, all selectors, 1,000 bootstrap draws.

    OMP_NUM_THREADS=1 python benchmarks/curves.py [--problems 500 4000] [--repeats 3]

Measures, on synthetic pools shaped like a mathematics benchmark (a few answers frequent, a long tail, 5 %
without an answer, 3 to 12 steps): step aggregation (4), the credits of every selector at every budget, and
intervals of all problems and of 5 levels. Goals: 5 s for 500 problems, 15 s of processor time for 4,000 (a
million candidates). Then the same by plain Python loops (random subsets drawn one by one, votes in a
dictionary), on a slice whose factor is printed; goal: 100 times as long. Wall-clock and processor time are
both given: on a busy machine the second is the one to compare.
"""

import argparse
import random
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from isoflop.costs.work import Usage
from isoflop.fits.bootstrap import accuracy_interval, problem_weights
from isoflop.selection.pool import Candidates, PickingCredits, SelectSpec, StepScores
from isoflop.selection.samples import SamplePool
from isoflop.selection.voting import draws_needed

SAMPLES, LEVELS, BOOTSTRAP_DRAWS = 256, 5, 1000
SPEC = SelectSpec(
    budgets=tuple(2**i for i in range(9)),
    selectors=("pass", "majority", "weighted", "best_of_n"),
    step_aggregations=("last", "min", "product", "mean"),
    verifiers=("prm",),
    seed=1,
    generator_kind="sampling",
    code="",
)


def make_pool(seed: int, problems: int) -> SamplePool:
    generator = np.random.default_rng(seed)
    classes = []
    for accuracy in generator.beta(0.6, 0.9, problems):
        spread = int(generator.uniform(6, 240))
        tail = generator.dirichlet(np.full(spread, 0.3))
        wrong = 1 + generator.choice(spread, SAMPLES, p=tail)
        answer = np.where(generator.random(SAMPLES) < accuracy, 0, wrong)
        classes.append(np.where(generator.random(SAMPLES) < 0.05, -1, answer))
    answer_class = np.concatenate(classes)
    counts = generator.integers(3, 13, answer_class.size)
    right = np.repeat(answer_class == 0, counts)
    scores = generator.beta(np.where(right, 4.0, 2.5), 2.0).astype(np.float32)
    candidates = Candidates(
        problem_ids=[f"problem-{i}" for i in range(problems)],
        sizes=np.full(problems, SAMPLES),
        answer_class=answer_class,
        correct=answer_class == 0,
    )
    return SamplePool(
        candidates=candidates,
        scores={"prm": StepScores(scores.astype(np.float64), counts)},
        prompt=np.zeros(answer_class.size),
        policy=Usage(None, 1.0, np.ones(answer_class.size)),
        verifiers={},
    )


@contextmanager
def taken(walls: list[float], processors: list[float]) -> Iterator[None]:
    wall, processor = time.perf_counter(), time.process_time()
    yield
    walls.append(time.perf_counter() - wall)
    processors.append(time.process_time() - processor)


def intervals(credits: list[PickingCredits], problems: int) -> int:
    """How many intervals were made."""
    level = np.arange(problems) % LEVELS
    subsets = {"all": np.ones(problems, dtype=bool)} | {str(i): level == i for i in range(LEVELS)}
    made = 0
    for name, members in subsets.items():
        weights = problem_weights(int(members.sum()), BOOTSTRAP_DRAWS, SPEC.seed, name)
        for row in credits:
            for credit in row.credit:
                accuracy_interval(credit[members], weights)
                made += 1
    return made


def plain_loops(pool: SamplePool, problems: int, draws: int, resamples: int) -> float:
    """Seconds that plain Python would take for everything, from a slice of it."""
    pools, scores, all_problems = pool.candidates, pool.scores["prm"], len(pool.candidates.problem_ids)
    ends = np.cumsum(scores.counts).tolist()
    steps = [
        scores.scores[end - count : end].tolist()
        for end, count in zip(ends, scores.counts.tolist(), strict=True)
    ]
    labels, correct = pools.answer_class.tolist(), pools.correct.tolist()

    def product(values: list[float]) -> float:
        result = 1.0
        for value in values:
            result *= value
        return result

    aggregate = {
        "last": lambda values: values[-1],
        "min": min,
        "product": product,
        "mean": lambda values: sum(values) / len(values),
    }

    def vote(chosen: list[int], weight: list[float] | None) -> float:
        votes: dict[int, float] = defaultdict(float)
        for i in chosen:
            if labels[i] >= 0:
                votes[labels[i]] += 1.0 if weight is None else weight[i]
        if not votes:
            return 0.0
        top = max(votes.values())
        tied = [label for label, total in votes.items() if total == top]
        return (0 in tied) / len(tied)

    start = time.process_time()
    weights = {
        name: [score(values) for values in steps[: problems * SAMPLES]] for name, score in aggregate.items()
    }
    aggregation = time.process_time() - start

    start = time.process_time()
    curve: dict[tuple[int, int], list[float]] = defaultdict(list)
    for problem in range(problems):
        pool = range(problem * SAMPLES, (problem + 1) * SAMPLES)
        for budget in SPEC.budgets:
            totals = [0.0] * 10
            for _ in range(draws):
                chosen = random.sample(pool, budget)
                totals[0] += any(correct[i] for i in chosen)
                totals[1] += vote(chosen, None)
                for at, weight in enumerate(weights.values()):
                    totals[2 + at] += vote(chosen, weight)
                    totals[6 + at] += correct[max(chosen, key=weight.__getitem__)]
            for strategy, total in enumerate(totals):
                curve[strategy, budget].append(total / draws)
    selection = time.process_time() - start

    credits = [(values * all_problems)[:all_problems] for values in curve.values()]
    start = time.process_time()
    accuracies = []
    for _ in range(resamples):
        chosen = random.choices(range(all_problems), k=all_problems)
        accuracies.append([sum(values[i] for i in chosen) / all_problems for values in credits])
    bounds = [sorted(column)[:: resamples - 1] for column in zip(*accuracies, strict=True)]
    bootstrap = time.process_time() - start
    assert all(low <= high for low, high in bounds)

    # The bootstrap's factor 2: the levels together resample every problem once more.
    factors = (
        all_problems / problems,
        all_problems / problems * draws_needed(all_problems) / draws,
        2 * BOOTSTRAP_DRAWS / resamples,
    )
    measured = (aggregation, selection, bootstrap)
    print("plain loops, processor time of a slice and factor to the whole:")
    for name, seconds, factor in zip(
        ("aggregation", "selection", "bootstrap"), measured, factors, strict=True
    ):
        print(f"  {name} {seconds:.3f} s x {factor:.0f} = {seconds * factor:.0f} s")
    return sum(seconds * factor for seconds, factor in zip(measured, factors, strict=True))


def measure(problems: int, repeats: int) -> None:
    pool = make_pool(0, problems)
    credit_times: tuple[list[float], list[float]] = ([], [])
    interval_times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        with taken(*credit_times):
            credits = pool.credits(SPEC)
        with taken(*interval_times):
            made = intervals(credits, problems)
    error = max(float(np.sqrt((row.standard_error**2).sum(axis=1)).max()) for row in credits) / problems
    pool_classes = pool.candidates.answer_class.reshape(problems, SAMPLES)
    distinct = np.mean([np.unique(part).size for part in pool_classes])
    print(f"{problems} problems x {SAMPLES} samples, {distinct:.0f} distinct answers each")
    print(f"{len(credits)} strategies, {made} intervals of {BOOTSTRAP_DRAWS} draws")
    print(f"{draws_needed(problems)} Monte Carlo draws per problem; largest standard error {error:.5f}")
    for name, (walls, processors) in (("credits", credit_times), ("intervals", interval_times)):
        for kind, times in (("wall-clock", walls), ("processor", processors)):
            print(f"{name}, {kind}: min {min(times):.2f} s, median {statistics.median(times):.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory: {peak:.2f} GiB")
    plain = plain_loops(pool, problems=20, draws=40, resamples=20)
    ours = min(credit_times[1]) + min(interval_times[1])
    print(f"plain loops: {plain:.0f} s in all, {plain / ours:.0f} times the processor time above")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", type=int, nargs="+", default=[500, 4000])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for problems in options.problems:
        measure(problems, options.repeats)


if __name__ == "__main__":
    main()
