"""What a study will take, job by job: requests, tokens, FLOPs under the cost model `total`, time and disk.

Pure: the config's part (`StudyWork`) and what is known of problems and models (`Known`) go in, jobs come out.
`make plan` shows it before anything runs, the report compares it with the ledgers afterwards.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, Field

from isoflop.config.generators import Greedy, Revisions, Sampling, TreeSearch
from isoflop.config.planning import ModelUse, Planning
from isoflop.config.study import Generating
from isoflop.costs.flops import flops_kaplan, flops_of_positions, flops_total
from isoflop.forecast.comparisons import Comparison
from isoflop.forecast.time import Placed, batch, read_seconds, start_seconds, write_seconds
from isoflop.forecast.tokens import Lengths, Place, chain_work, expected_use, judged_texts, places

# Of a step in a table of trees, beside its text.
_STEP_BYTES = 12.0


class StudyWork(BaseModel):
    """The part of a config that the work of its models depends on.

    `pools`: data set, policy and generator of every table of candidates. `verifiers_of`: by generator, who
    scores what it makes; a search's guide. `at_most`: by generator and policy, the largest budget, where
    that is limited. `comparisons`: what the study compares.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    datasets: tuple[str, ...] = ()
    policies: Mapping[str, ModelUse] = Field(default_factory=dict)
    verifiers: Mapping[str, ModelUse] = Field(default_factory=dict)
    generators: Mapping[str, Generating] = Field(default_factory=dict)
    pools: tuple[tuple[str, str, str], ...] = ()
    verifiers_of: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    at_most: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    planning: Planning = Planning()


class PlanComparisonSpec(BaseModel):
    """What is compared with the ledgers and intervals of a finished study.

    `plugins`: digests of the files of searches of other packages, which the forecast plays.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    experiment: str
    work: StudyWork
    code: str
    plugins: Mapping[str, str] = {}


@dataclass(frozen=True)
class Known:
    """What is known or assumed of problems and models.

    `problems`: by data set. `lengths`: by data set and policy. `policies`, `verifiers`, `trained`: by entry.
    """

    problems: Mapping[str, int]
    lengths: Mapping[tuple[str, str], Lengths]
    policies: Mapping[str, Placed]
    verifiers: Mapping[str, Placed]
    trained: Mapping[str, Placed]
    chunk_problems: int = 25

    def scaled(self, factor: float) -> "Known":
        """With longer solutions."""
        return replace(self, lengths={key: lengths.scaled(factor) for key, lengths in self.lengths.items()})


@dataclass(frozen=True)
class Job:
    """One job. Tokens: `read` prompts, each once; `written`; `judged` by the verifier. `seconds` are those of
    the work on the clock, without the start's; `disk` is in bytes. `output`: what is there when it is done,
    under the results' folder.
    """

    stage: str
    output: str
    dataset: str = "none"
    policy: str = "none"
    generator: str = "none"
    verifier: str = "none"
    budget: int | None = None
    requests: float = 0.0
    read: float = 0.0
    written: float = 0.0
    judged: float = 0.0
    flops: float = 0.0
    seconds: float = 0.0
    start: float = 0.0
    gpus: int = 0
    disk: float = 0.0

    @property
    def gpu_seconds(self) -> float:
        """Seconds of all GPUs that the job holds."""
        return (self.seconds + self.start) * self.gpus


# What grows with the requests of a job.
SHARED = ("requests", "read", "written", "judged", "flops", "seconds", "disk")


@dataclass(frozen=True)
class Ranged:
    """A job, and its GPU-seconds where solutions are short and all goes fast, and where neither is so."""

    job: Job
    low: float
    high: float

    def part(self, share: float) -> "Ranged":
        """A job that does a share of the requests; its models are loaded if there are any."""
        job, start = self.job, self.job.start * self.job.gpus
        counted = {name: share * getattr(job, name) for name in SHARED}
        loads = share > 0
        return Ranged(
            replace(job, **counted, start=job.start * loads),
            *(loads * (share * (bound - start) + start) for bound in (self.low, self.high)),
        )


def study_jobs(work: StudyWork, known: Known) -> list[Job]:
    """The jobs that sample, revise, search and score."""
    jobs: list[Job] = []
    for dataset, policy, generator in work.pools:
        entry, most = work.generators[generator], work.at_most.get(generator, {}).get(policy)
        base = Job("sample", "", dataset, policy, generator)
        if isinstance(entry, Greedy | Sampling):
            if isinstance(entry, Sampling) and most is not None:
                entry = entry.model_copy(update={"samples": min(entry.samples, most)})
            jobs.append(_sample(work, known, base, entry))
            jobs += [_score(work, known, base, entry, name) for name in work.verifiers_of[generator]]
        elif isinstance(entry, Revisions):
            jobs.append(_revise(work, known, base, entry))
            jobs += [_score(work, known, base, entry, name) for name in work.verifiers_of[generator]]
        else:
            (guide,) = work.verifiers_of[generator]
            jobs += [
                _search(work, known, replace(base, verifier=guide, budget=budget), entry)
                for budget in entry.budgets
                if most is None or budget <= most
            ]
    return jobs


def assumed_lengths(planning: Planning, dataset: str, policy: str) -> Lengths:
    """What planning says: of the policy, else of the data set, else of all."""
    of_policy, of_dataset = planning.policies.get(policy), planning.datasets.get(dataset)

    def first(key: str) -> float:
        values = (getattr(assumption, key, None) for assumption in (of_policy, of_dataset))
        return float(next((value for value in values if value is not None), getattr(planning, key)))

    return Lengths(first("prompt_tokens"), first("solution_tokens"), first("steps"))


def ranged(jobs_of: Callable[[Known], list[Job]], known: Known, planning: Planning) -> list[Ranged]:
    """The jobs of `jobs_of(known)` with their range (planning.spread)."""
    spread = planning.spread
    low, high = jobs_of(known.scaled(1 / spread.tokens)), jobs_of(known.scaled(spread.tokens))
    return [
        Ranged(job, less.gpu_seconds / spread.speed, more.gpu_seconds * spread.speed)
        for less, job, more in zip(low, jobs_of(known), high, strict=True)
    ]


def _sample(work: StudyWork, known: Known, base: Job, entry: Greedy | Sampling) -> Job:
    planning, model = work.planning, known.policies[base.policy]
    lengths = known.lengths[base.dataset, base.policy]
    problems, samples = known.problems[base.dataset], _samples(entry)
    written = min(lengths.solution, entry.max_tokens)
    candidates = problems * samples
    writing = candidates * float(flops_kaplan(model.shape, lengths.prompt, written))
    flops = candidates * float(flops_total(model.shape, lengths.prompt, written, 1 / samples))
    waiting = min(known.chunk_problems, problems) * samples
    at_once = batch(model, planning, waiting, lengths.prompt + written)
    share = planning.computed.policy
    seconds = read_seconds(model, planning, flops - writing, problems * lengths.prompt) + write_seconds(
        model, planning, share * writing, candidates * written, at_once, lengths.prompt + written / 2
    )
    return replace(
        base,
        output=f"sample/{base.dataset}/{base.policy}/{base.generator}.parquet",
        requests=candidates,
        read=problems * lengths.prompt,
        written=candidates * written,
        flops=flops,
        seconds=seconds,
        start=start_seconds([model], planning),
        gpus=model.gpus,
        disk=candidates * written * planning.bytes_per_token,
    )


def chain_job(base: Job, standing: Sequence[Place], max_tokens: int, planning: Planning, known: Known) -> Job:
    """A job that writes chains with these places, for the data set and by the policy of `base`."""
    model = known.policies[base.policy]
    done = chain_work(
        model,
        planning,
        known.lengths[base.dataset, base.policy],
        standing,
        max_tokens=max_tokens,
        problems=known.problems[base.dataset],
        at_once=known.chunk_problems,
    )
    return replace(
        base,
        requests=done.requests,
        read=done.read,
        written=done.written,
        flops=done.flops,
        seconds=done.seconds,
        start=start_seconds([model], planning),
        gpus=model.gpus,
        disk=done.written * planning.bytes_per_token,
    )


def _revise(work: StudyWork, known: Known, base: Job, entry: Revisions) -> Job:
    output = f"sample/{base.dataset}/{base.policy}/{base.generator}.parquet"
    standing = places(entry.chain_lengths, entry.history)
    base = replace(base, stage="revise", output=output)
    return chain_job(base, standing, entry.max_tokens, work.planning, known)


def _score(
    work: StudyWork, known: Known, base: Job, entry: Greedy | Sampling | Revisions, verifier: str
) -> Job:
    planning, model = work.planning, known.verifiers[verifier]
    lengths, problems = known.lengths[base.dataset, base.policy], known.problems[base.dataset]
    steps = lengths.steps * min(1.0, entry.max_tokens / lengths.solution)
    lasting = entry.chain_lengths if isinstance(entry, Revisions) else [1] * _samples(entry)
    texts = judged_texts(
        lengths,
        places(lasting, 0),
        max_tokens=entry.max_tokens,
        problems=problems,
        history=work.verifiers[verifier].history,
        marks=steps * planning.mark_tokens,
    )
    candidates, judged = sum(count for count, _ in texts), sum(count * text for count, text in texts)
    flops = sum(count * float(flops_kaplan(model.shape, 0, text)) for count, text in texts)
    share = planning.computed.verifier
    return replace(
        base,
        stage="score",
        verifier=verifier,
        output=f"score/{base.dataset}/{base.policy}/{base.generator}/{verifier}.parquet",
        requests=candidates,
        judged=judged,
        flops=flops,
        seconds=read_seconds(model, planning, share * flops, share * judged),
        start=start_seconds([model], planning),
        gpus=model.gpus,
        disk=candidates * steps * planning.bytes_per_score,
    )


def _search(work: StudyWork, known: Known, base: Job, entry: TreeSearch) -> Job:
    planning, budget = work.planning, base.budget
    assert budget is not None  # every search has one
    policy, verifier = known.policies[base.policy], known.verifiers[base.verifier]
    lengths = known.lengths[base.dataset, base.policy]
    problems = known.problems[base.dataset]
    searches = problems * entry.runs
    use = expected_use(entry, budget, lengths, planning.mark_tokens)
    writing = searches * float(flops_of_positions(policy.shape, use.generated, use.attended))
    reading = searches * float(flops_kaplan(policy.shape, 0, lengths.prompt))
    judging = searches * float(flops_of_positions(verifier.shape, use.scored, use.scored_attended))
    waiting = min(known.chunk_problems, problems) * entry.runs * use.requests / use.rounds
    written = min(lengths.solution, entry.max_tokens)
    at_once = batch(policy, planning, waiting, lengths.prompt + written)
    computed = planning.computed
    of_policy = read_seconds(policy, planning, reading, searches * lengths.prompt) + write_seconds(
        policy,
        planning,
        computed.policy * writing,
        searches * use.generated,
        at_once,
        use.attended / use.generated,
    )
    of_verifier = read_seconds(
        verifier, planning, computed.verifier * judging, computed.verifier * searches * use.scored
    )
    return replace(
        base,
        stage="search",
        output=f"search/{base.dataset}/{base.policy}/{base.generator}/{base.budget}.parquet",
        requests=searches * use.requests,
        read=searches * lengths.prompt,
        written=searches * use.generated,
        judged=searches * use.scored,
        flops=writing + reading + judging,
        seconds=of_policy + of_verifier,
        start=start_seconds([policy, verifier], planning),
        gpus=search_gpus(policy, verifier),
        disk=searches * (use.generated * planning.bytes_per_token + use.nodes * _STEP_BYTES),
    )


def search_gpus(policy: Placed, verifier: Placed) -> int:
    """GPUs of a search: those of the larger model where the memory shares allow it, else those of both."""
    if policy.memory_share + verifier.memory_share <= 1 or not (policy.vllm or verifier.vllm):
        return max(policy.gpus, verifier.gpus)
    return policy.gpus + verifier.gpus


def _samples(entry: Greedy | Sampling) -> int:
    return entry.samples if isinstance(entry, Sampling) else 1
