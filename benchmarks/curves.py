"""Curves of a full-size study: 500 problems x 256 samples, 9 budgets, all selectors, 1,000 bootstrap draws.

    OMP_NUM_THREADS=1 python benchmarks/curves.py [--repeats 5]

Measures, on synthetic pools shaped like a mathematics benchmark (a few answers frequent, a long tail, 5 %
without an answer, 3 to 12 steps): step aggregation (4), the credits of every selector at every budget, and
intervals of all problems and of 5 levels. The target is 20 s and 2 GiB on 2 cores. Then the same by plain
Python loops (random subsets drawn one by one, votes in a dictionary), on a slice whose factor is printed.
Wall-clock and processor time are both given: on a busy machine the second is the one to compare.
"""

import argparse
import random
import resource
import statistics
import time
from collections import defaultdict

import numpy as np

from isoflop.fits.bootstrap import accuracy_interval, problem_weights
from isoflop.selection.samples import Pools, SelectSpec, StepScores, StrategyCredits, select_credits
from isoflop.selection.voting import draws_needed

PROBLEMS, SAMPLES, LEVELS, BOOTSTRAP_DRAWS = 500, 256, 5, 1000
SPEC = SelectSpec(
    budgets=tuple(2**i for i in range(9)),
    selectors=("pass", "majority", "weighted", "best_of_n"),
    step_aggregations=("last", "min", "product", "mean"),
    verifiers=("prm",),
    seed=1,
    generator_kind="sampling",
    code="",
)


def make_pools(seed: int) -> tuple[Pools, StepScores]:
    generator = np.random.default_rng(seed)
    classes = []
    for accuracy in generator.beta(0.6, 0.9, PROBLEMS):
        spread = int(generator.uniform(6, 240))
        tail = generator.dirichlet(np.full(spread, 0.3))
        wrong = 1 + generator.choice(spread, SAMPLES, p=tail)
        answer = np.where(generator.random(SAMPLES) < accuracy, 0, wrong)
        classes.append(np.where(generator.random(SAMPLES) < 0.05, -1, answer))
    answer_class = np.concatenate(classes)
    counts = generator.integers(3, 13, answer_class.size)
    right = np.repeat(answer_class == 0, counts)
    scores = generator.beta(np.where(right, 4.0, 2.5), 2.0).astype(np.float32)
    pools = Pools(
        problem_ids=[f"problem-{i}" for i in range(PROBLEMS)],
        sizes=np.full(PROBLEMS, SAMPLES),
        answer_class=answer_class,
        correct=answer_class == 0,
    )
    return pools, StepScores(scores.astype(np.float64), counts)


def curves(pools: Pools, scores: StepScores) -> tuple[list[StrategyCredits], int]:
    """Credits, and the number of intervals made from them."""
    credits = select_credits(pools, {"prm": scores}, SPEC)
    level = np.arange(PROBLEMS) % LEVELS
    subsets = {"all": np.ones(PROBLEMS, dtype=bool)} | {str(i): level == i for i in range(LEVELS)}
    intervals = 0
    for name, members in subsets.items():
        weights = problem_weights(int(members.sum()), BOOTSTRAP_DRAWS, SPEC.seed, name)
        for row in credits:
            for credit in row.credit:
                accuracy_interval(credit[members], weights)
                intervals += 1
    return credits, intervals


def plain_loops(pools: Pools, scores: StepScores, problems: int, draws: int, resamples: int) -> float:
    """Seconds that plain Python would take for everything, from a slice of it."""
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

    credits = [(values * PROBLEMS)[:PROBLEMS] for values in curve.values()]
    start = time.process_time()
    accuracies = []
    for _ in range(resamples):
        chosen = random.choices(range(PROBLEMS), k=PROBLEMS)
        accuracies.append([sum(values[i] for i in chosen) / PROBLEMS for values in credits])
    bounds = [sorted(column)[:: resamples - 1] for column in zip(*accuracies, strict=True)]
    bootstrap = time.process_time() - start
    assert all(low <= high for low, high in bounds)

    # The bootstrap's factor 2: the levels together resample every problem once more.
    factors = (
        PROBLEMS / problems,
        PROBLEMS / problems * draws_needed(PROBLEMS) / draws,
        2 * BOOTSTRAP_DRAWS / resamples,
    )
    measured = (aggregation, selection, bootstrap)
    print("plain loops, processor time of a slice and factor to the whole:")
    for name, seconds, factor in zip(
        ("aggregation", "selection", "bootstrap"), measured, factors, strict=True
    ):
        print(f"  {name} {seconds:.3f} s x {factor:.0f} = {seconds * factor:.0f} s")
    return sum(seconds * factor for seconds, factor in zip(measured, factors, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    pools, scores = make_pools(0)
    walls, processors = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        credits, intervals = curves(pools, scores)
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    error = max(float(np.sqrt((row.standard_error**2).sum(axis=1)).max()) for row in credits) / PROBLEMS
    pool_classes = pools.answer_class.reshape(PROBLEMS, SAMPLES)
    distinct = np.mean([np.unique(part).size for part in pool_classes])
    print(f"{PROBLEMS} problems x {SAMPLES} samples, {distinct:.0f} distinct answers each")
    print(f"{len(credits)} strategies, {intervals} intervals of {BOOTSTRAP_DRAWS} draws")
    print(f"{draws_needed(PROBLEMS)} Monte Carlo draws per problem; largest standard error {error:.5f}")
    for name, times in (("wall-clock", walls), ("processor", processors)):
        print(f"{name}: min {min(times):.2f} s, median {statistics.median(times):.2f} s of {repeats}")
    print(f"peak memory: {peak:.2f} GiB (targets: 20 s, 2 GiB)")
    plain = plain_loops(pools, scores, problems=20, draws=40, resamples=20)
    print(f"plain loops: {plain:.0f} s in all, {plain / min(processors):.0f} times the processor time above")


if __name__ == "__main__":
    main()
