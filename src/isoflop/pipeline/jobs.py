"""Every job that an experiment's targets need: its stage, its specification, what it reads and writes.

The same as the rules in workflow/rules/ say, without Snakemake. Shards are no jobs of their own here, since
no result depends on them.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from isoflop.config.datasets import CountedSource
from isoflop.files import times_of
from isoflop.pipeline.paths import (
    CANDIDATES,
    CHAIN_LABELS,
    CHAIN_LABELS_ALONE,
    CREDITS,
    DIFFICULTY,
    GRADES,
    LABELS,
    PROBLEMS,
    SECONDS,
    TRAJECTORIES,
    ledger_of,
    times_beside,
)
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_allocation import ChoicePlan
from isoflop.pipeline.plan_counts import CountsPlan
from isoflop.pipeline.plan_report import TIME_FILES, ReportPlan
from isoflop.pipeline.plan_revisions import RevisionPlan
from isoflop.pipeline.plan_verifiers import VerifierPlan
from isoflop.pipeline.pools import Pool

_FIT_FILES = (
    "tables/curves.csv",
    "tables/fits.csv",
    "tables/differences.csv",
    "fit/draws.parquet",
    "fit/credits.parquet",
)
_COMPARISON_FILES = ("tables/plan.csv", "tables/plan.md", "times/plan.csv", "times/plan.md")


class StageJob(NamedTuple):
    """One job: `inputs` and `outputs` are paths; the first output names it."""

    stage: str
    spec: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its first output."""
        return self.outputs[0]


def needed_jobs(plan: Plan, comparison: str | None) -> list[StageJob]:
    """The jobs that the targets need, each after those whose outputs it reads.

    `comparison`: specification of plan_comparison; None where nothing is studied.
    """
    choice, revisions, verifiers = ChoicePlan(plan), RevisionPlan(plan), VerifierPlan(plan)
    maker = {path: job for job in _all_jobs(plan, comparison) for path in job.outputs}
    ordered: dict[str, StageJob] = {}

    def add(paths: Sequence[str]) -> None:
        for job in (maker[path] for path in paths if path in maker):
            if job.name not in ordered:
                add(job.inputs)
                ordered[job.name] = job

    studied = [*choice.difficulties(), *choice.tables(), *revisions.table(), *verifiers.tables()]
    add([*ReportPlan(plan).targets(), *studied])
    return list(ordered.values())


def _all_jobs(plan: Plan, comparison: str | None) -> Iterator[StageJob]:
    yield from _data_and_models(plan)
    for pool in plan.pools.all():
        yield from _candidates(plan, pool)
    counts = CountsPlan(plan)
    for name in plan.config.counts:
        read = [*counts.inputs(name), *counts.files(name)]
        yield _job("counts", counts.counts(name), read, plan.paths.counted(name))
    yield from _picked(plan)
    if comparison is not None:
        yield from _study(plan, comparison)


def _data_and_models(plan: Plan) -> Iterator[StageJob]:
    config, revisions = plan.config, RevisionPlan(plan)
    for name, dataset in config.datasets.items():
        if isinstance(dataset, CountedSource):
            continue
        yield _job("problems", plan.problems(name), plan.problems_files(name), [_problems(plan, name)])
    for name in config.training:
        read = [*plan.train_data(name), *plan.train_start(name), *plan.train_files(name)]
        trained = plan.paths.trained(name)
        yield _job("train", plan.train(name), read, [trained, times_of(trained)])
    for name in config.labels:
        read = [plan.label_problems(name), *plan.label_models(name)]
        yield _job("step_labels", plan.step_labels(name), read, [plan.paths.at(LABELS, label=name)])
    for name in config.revisions:
        made = [plan.paths.at(TRAJECTORIES, trajectories=name)]
        yield _job("trajectories", revisions.trajectories(name), revisions.trajectories_inputs(name), made)
    for name in config.chain_labels:
        made = [plan.paths.at(path, chain_labels=name) for path in (CHAIN_LABELS, CHAIN_LABELS_ALONE)]
        yield _job("chain_labels", revisions.chain_labels(name), revisions.chain_labels_inputs(name), made)


def _candidates(plan: Plan, pool: Pool) -> Iterator[StageJob]:
    """Candidates of one pool, their scores and grades."""
    config, problems = plan.config, _problems(plan, pool.dataset)
    dataset, policy, generator = pool
    paths = plan.paths
    candidates = _timed(paths.of(pool, CANDIDATES, ledger_of(CANDIDATES)))
    if generator in config.imports:
        read = [problems, *plan.replay_files(policy, generator)]
        yield _job("replay", plan.replay(policy, generator), read, _timed(paths.replayed(pool)))
    elif generator in config.searches:
        trees = paths.trees(pool)
        read = [problems, *plan.search_models(policy, generator)]
        for number, budget in enumerate(plan.pools.budgets(policy, generator)):
            made = _timed(trees[2 * number : 2 * number + 2])
            yield _job("search", plan.search(policy, generator, budget), read, made)
        made = _timed(paths.gathered(pool))
        yield _job("gather_trees", plan.gather_trees(policy, generator), _timed(trees), made)
    else:
        read = [problems, *plan.models.policy_files(policy)]
        if generator in config.chains:
            yield _job("revise", RevisionPlan(plan).revise(policy, generator), read, candidates)
        else:
            yield _job("sample", plan.sample(policy, generator), read, candidates)
        scores = paths.scores(pool)
        for number, verifier in enumerate(plan.pools.verifiers(generator)):
            read = [problems, candidates[0], *plan.models.verifier_files(verifier)]
            made = _timed(scores[2 * number : 2 * number + 2])
            yield _job("score", plan.score(policy, verifier), read, made)
    yield _job(
        "grade",
        plan.grade(dataset, policy, generator),
        [problems, candidates[0]],
        plan.paths.of(pool, GRADES),
    )


def _picked(plan: Plan) -> Iterator[StageJob]:
    """Credits of every pool and length of chains."""
    for pool in plan.pools.picked():
        if pool.generator in plan.config.counts:
            continue
        generator, _, length = pool.generator.partition("/")
        of_all_lengths = pool._replace(generator=generator)
        read = [
            _problems(plan, pool.dataset),
            *plan.paths.of(of_all_lengths, CANDIDATES, GRADES),
            *_timed([plan.paths.usage(of_all_lengths), *plan.paths.scores(of_all_lengths)]),
        ]
        spec = (
            RevisionPlan(plan).select(pool.policy, generator, int(length))
            if length
            else plan.select(pool.policy, generator)
        )
        yield _job("select", spec, read, plan.paths.of(pool, CREDITS, SECONDS))


def _study(plan: Plan, comparison: str) -> Iterator[StageJob]:
    """What is made of all pools together."""
    choice, revisions, report = ChoicePlan(plan), RevisionPlan(plan), ReportPlan(plan)
    verifiers, results = VerifierPlan(plan), plan.results
    for pool in choice.judged():
        read = [_problems(plan, pool.dataset), *_timed(choice.difficulty_inputs(pool.dataset, pool.policy))]
        made = plan.paths.of(pool, DIFFICULTY)
        yield _job("difficulty", choice.difficulty(pool.dataset, pool.policy), read, made)
    if choice.tables():
        read = [*choice.credits(), *choice.difficulties()]
        yield _job("allocate", choice.allocate(), read, choice.tables())
    if revisions.table():
        yield _job("revision_rates", revisions.rates(), revisions.rates_inputs(), revisions.table())
    if verifiers.tables():
        yield _job("verifier_quality", verifiers.quality(), verifiers.inputs(), verifiers.tables())
    fitted = [f"{results}/{name}" for name in _FIT_FILES]
    yield _job("fit", plan.fit(), plan.paths.credits(), fitted)
    counts = CountsPlan(plan)
    if counts.coverage_tables():
        yield _job("coverage", counts.coverage(), counts.coverage_inputs(), counts.coverage_tables())
    read = [
        *fitted,
        *plan.paths.evidence(),
        *counts.evidence(),
        *report.published_files(),
        *choice.tables(),
        *revisions.table(),
        *verifiers.tables(),
    ]
    yield _job("report", report.report(), read, report.published())
    compared = [f"{results}/{name}" for name in _COMPARISON_FILES]
    yield _job("plan_comparison", comparison, [fitted[-1], *_timed(plan.paths.evidence())], compared)
    read = [fitted[-1], *report.seconds(), *report.time_inputs()]
    yield _job("times", report.times(), read, report.time_files(*TIME_FILES))


def _job(stage: str, spec: str, inputs: Sequence[str], outputs: Sequence[str]) -> StageJob:
    return StageJob(stage, spec, tuple(inputs), tuple(outputs))


def _timed(paths: Sequence[str]) -> list[str]:
    """Files, and the measured times beside them."""
    return [*paths, *times_beside(paths)]


def _problems(plan: Plan, dataset: str) -> str:
    return plan.paths.at(PROBLEMS, dataset=dataset)
