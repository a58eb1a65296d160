"""What labels, trajectories and training will take; jobs as in isoflop.forecast.work."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from isoflop.config.planning import Planning
from isoflop.config.training import (
    ChainLabelConfig,
    LabelConfig,
    PolicyTraining,
    PrmTraining,
    TrajectoryConfig,
)
from isoflop.costs.flops import flops_kaplan
from isoflop.forecast.time import (
    batch,
    read_seconds,
    start_seconds,
    train_seconds,
    weight_bytes,
    write_seconds,
)
from isoflop.forecast.tokens import judged_texts, places
from isoflop.forecast.work import Job, Known, chain_job

# Backward passes take twice the forward's FLOPs (Kaplan et al. 2020): 6 N in all.
_BACKWARD = 2.0
# Of a checkpoint to resume from: weights in float32 and the optimizer's two moments.
_RESUMED_BYTES = 12.0


@dataclass(frozen=True)
class LearntData:
    """What trainings may learn from beside data sets, by name."""

    labels: Mapping[str, LabelConfig] = field(default_factory=dict)
    revisions: Mapping[str, TrajectoryConfig] = field(default_factory=dict)
    chain_labels: Mapping[str, ChainLabelConfig] = field(default_factory=dict)


class _Examples(NamedTuple):
    """Examples of one length: how many, and the tokens of prompt and answer (or labelled text)."""

    number: float
    before: float
    answer: float

    @property
    def text(self) -> float:
        """Tokens of one example."""
        return self.before + self.answer


def trajectories_job(name: str, entry: TrajectoryConfig, planning: Planning, known: Known) -> Job:
    """The samples that trajectories are built of."""
    base = Job("trajectories", f"trajectories/{name}.parquet", entry.problems, entry.policy, name)
    standing = places([1] * entry.samples_per_problem, 0)
    return chain_job(base, standing, entry.max_tokens, planning, known)


def chain_labels_job(name: str, entry: ChainLabelConfig, planning: Planning, known: Known) -> Job:
    """The chains whose answers are labelled."""
    base = Job("chain_labels", f"chain_labels/{name}.parquet", entry.problems, entry.policy, name)
    standing = places([entry.length] * entry.chains, entry.history)
    return chain_job(base, standing, entry.max_tokens, planning, known)


def label_job(name: str, entry: LabelConfig, planning: Planning, known: Known) -> Job:
    """Solutions of every policy, and rollouts from every step but the last.

    All beginnings count as distinct, which the first steps of easy problems are not: an upper bound. On
    average a rollout goes on from the middle of a solution.
    """
    problems = known.problems[entry.problems]
    completer = known.policies[entry.completer]
    requests = read = written = flops = seconds = disk = 0.0
    for policy in entry.policies:
        writer, lengths = known.policies[policy], known.lengths[entry.problems, policy]
        solutions = problems * entry.samples_per_problem
        length = min(lengths.solution, entry.max_tokens)
        beginnings = solutions * max(0.0, lengths.steps * length / lengths.solution - 1)
        # A solution of the completer is itself a rollout from each of its beginnings.
        rollouts = beginnings * max(0, entry.rollouts - (policy == entry.completer))
        rest = min(known.lengths[entry.problems, entry.completer].solution, entry.max_tokens) / 2
        begun = lengths.prompt + length / 2
        waiting = min(known.chunk_problems, problems) * entry.samples_per_problem
        at_once = batch(writer, planning, waiting, lengths.prompt + length)
        reading = [
            (
                writer,
                problems * lengths.prompt,
                problems * float(flops_kaplan(writer.shape, 0, lengths.prompt)),
            ),
            (completer, rollouts * begun, rollouts * float(flops_kaplan(completer.shape, 0, begun))),
        ]
        writing = [
            (
                writer,
                solutions * length,
                solutions * float(flops_kaplan(writer.shape, lengths.prompt, length)),
            ),
            (completer, rollouts * rest, rollouts * float(flops_kaplan(completer.shape, begun, rest))),
        ]
        requests += solutions + rollouts
        read += sum(tokens for _, tokens, _ in reading)
        written += sum(tokens for _, tokens, _ in writing)
        flops += sum(work for *_, work in (*reading, *writing))
        seconds += sum(read_seconds(model, planning, work, tokens) for model, tokens, work in reading)
        seconds += sum(
            write_seconds(model, planning, planning.computed.policy * work, tokens, at_once, begun)
            for model, tokens, work in writing
        )
        disk += solutions * length * planning.bytes_per_token
    models = [known.policies[policy] for policy in dict.fromkeys((*entry.policies, entry.completer))]
    return Job(
        "step_labels",
        f"label/{name}.parquet",
        entry.problems,
        entry.completer,
        name,
        requests=requests,
        read=read,
        written=written,
        flops=flops,
        seconds=seconds,
        start=start_seconds(models, planning),
        gpus=max(model.gpus for model in models),
        disk=disk,
    )


def train_job(
    name: str, entry: PolicyTraining | PrmTraining, learnt: LearntData, planning: Planning, known: Known
) -> Job:
    """6 N FLOPs and attention per token, 2 N per held-out one, and the solutions of a card's accuracy.

    All examples count as distinct and none as too long.
    """
    model, learned = known.trained[name], entry.data.learned
    examples, held_out = (
        _examples(name, entry, group, learnt, planning, known) for group in (learned, entry.data.held_out)
    )
    taken = sum(group.number for group in examples) * entry.epochs
    tokens = sum(group.number * group.text for group in examples) * entry.epochs
    forward = sum(group.number * float(flops_kaplan(model.shape, 0, group.text)) for group in examples)
    trained = (1 + _BACKWARD) * forward * entry.epochs
    measured = sum(group.number * float(flops_kaplan(model.shape, 0, group.text)) for group in held_out)
    dtype = "bfloat16" if entry.bf16 else "float32"
    seconds = train_seconds(dtype, planning, trained, taken / entry.batch_size, entry.gpus)
    seconds += read_seconds(model, planning, measured, sum(group.number * group.text for group in held_out))
    samples = entry.held_out_samples if isinstance(entry, PolicyTraining) else 0
    tests = written = 0.0
    for group in held_out if samples else ():
        count = group.number * samples
        writing = count * float(flops_kaplan(model.shape, group.before, group.answer))
        at_once = batch(model, planning, count, group.text)
        seconds += write_seconds(model, planning, writing, count * group.answer, at_once, group.before)
        tests += count
        written += count * group.answer
        measured += writing
    parameters = model.shape.parameters
    return Job(
        "train",
        f"train/{name}/config.json",
        learned,
        name,
        requests=taken + tests,
        read=tokens,
        written=written,
        flops=trained + measured,
        seconds=seconds,
        start=start_seconds([model], planning),
        gpus=entry.gpus,
        disk=parameters * (weight_bytes(entry.save_dtype) + _RESUMED_BYTES),
    )


def _examples(
    name: str,
    entry: PolicyTraining | PrmTraining,
    data: str,
    learnt: LearntData,
    planning: Planning,
    known: Known,
) -> list[_Examples]:
    """The examples of `data`, an entry of the section that the training learns from."""
    if isinstance(entry, PolicyTraining):
        if entry.data.revisions is not None:
            return _trajectories(learnt.revisions[data], planning, known)
        lengths = known.lengths[entry.data.learned, name]
        return [_Examples(float(known.problems[data]), lengths.prompt, lengths.solution)]
    if entry.data.chain_labels is None:
        return _labelled(learnt.labels[data], planning, known)
    chains = learnt.chain_labels[data]
    texts = judged_texts(
        known.lengths[chains.problems, chains.policy],
        places([chains.length] * chains.chains, chains.history),
        max_tokens=chains.max_tokens,
        problems=known.problems[chains.problems],
        history=chains.history if entry.data.history else 0,
        marks=planning.mark_tokens,
    )
    return [_Examples(count, 0.0, text) for count, text in texts]


def _trajectories(entry: TrajectoryConfig, planning: Planning, known: Known) -> list[_Examples]:
    """As many as there are right answers, with every number of attempts equally often."""
    lengths = known.lengths[entry.problems, entry.policy]
    answer = min(lengths.solution, entry.max_tokens)
    right = entry.samples_per_problem * planning.right_share
    of_problem = right if entry.most_per_problem is None else min(entry.most_per_problem, right)
    each = known.problems[entry.problems] * of_problem / (entry.wrong + 1)
    return [_Examples(each, lengths.prompt + shown * answer, answer) for shown in range(entry.wrong + 1)]


def _labelled(label: LabelConfig, planning: Planning, known: Known) -> list[_Examples]:
    """Labelled solutions by policy, and the tokens of one with its tags."""
    examples = []
    for policy in label.policies:
        lengths = known.lengths[label.problems, policy]
        written = min(lengths.solution, label.max_tokens)
        steps = lengths.steps * written / lengths.solution
        text = lengths.prompt + written + steps * planning.mark_tokens
        count = float(known.problems[label.problems] * label.samples_per_problem)
        examples.append(_Examples(count, 0.0, text))
    return examples
