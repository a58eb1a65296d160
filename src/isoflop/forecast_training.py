"""What labelling steps and training models will take; jobs as in isoflop.forecast."""

from isoflop.config_planning import Planning
from isoflop.config_training import LabelConfig, PolicyTraining, PrmTraining
from isoflop.costs import flops_kaplan
from isoflop.forecast import Job, Known
from isoflop.forecast_time import (
    batch,
    read_seconds,
    start_seconds,
    train_seconds,
    weight_bytes,
    write_seconds,
)

# Backward passes take twice the forward's FLOPs (Kaplan et al. 2020): 6 N in all.
_BACKWARD = 2.0
# Of a checkpoint to resume from: weights in float32 and the optimizer's two moments.
_RESUMED_BYTES = 12.0


def learns_chains(entry: PolicyTraining | PrmTraining) -> bool:
    """Whether a training learns from trajectories or chains of revisions, which are not forecast."""
    if isinstance(entry, PolicyTraining):
        return entry.data.revisions is not None
    return entry.data.chain_labels is not None


def label_job(name: str, entry: LabelConfig, planning: Planning, known: Known) -> Job:
    """Solutions of every policy, and rollouts from every step but the last.

    All beginnings count as distinct, which the first steps of easy problems are not: an upper bound. On
    average a rollout goes on from the middle of a solution.
    """
    problems = known.problems[entry.problems]
    model = known.policies[entry.completer]
    requests = read = written = flops = seconds = disk = 0.0
    for policy in entry.policies:
        own, lengths = known.policies[policy], known.lengths[entry.problems, policy]
        solutions = problems * entry.samples_per_problem
        length = min(lengths.solution, entry.max_tokens)
        beginnings = solutions * max(0.0, lengths.steps * length / lengths.solution - 1)
        # A solution of the completer is itself a rollout from each of its beginnings.
        rollouts = beginnings * max(0, entry.rollouts - (policy == entry.completer))
        rest = min(known.lengths[entry.problems, entry.completer].solution, entry.max_tokens) / 2
        begun = lengths.prompt + length / 2
        waiting = min(known.chunk_problems, problems) * entry.samples_per_problem
        at_once = batch(own, planning, waiting, lengths.prompt + length)
        reading = [
            (own, problems * lengths.prompt, problems * float(flops_kaplan(own.shape, 0, lengths.prompt))),
            (model, rollouts * begun, rollouts * float(flops_kaplan(model.shape, 0, begun))),
        ]
        writing = [
            (own, solutions * length, solutions * float(flops_kaplan(own.shape, lengths.prompt, length))),
            (model, rollouts * rest, rollouts * float(flops_kaplan(model.shape, begun, rest))),
        ]
        requests += solutions + rollouts
        read += sum(tokens for _, tokens, _ in reading)
        written += sum(tokens for _, tokens, _ in writing)
        flops += sum(work for *_, work in (*reading, *writing))
        seconds += sum(read_seconds(one, planning, work, tokens) for one, tokens, work in reading)
        seconds += sum(
            write_seconds(one, planning, planning.computed.policy * work, tokens, at_once, begun)
            for one, tokens, work in writing
        )
        disk += solutions * length * planning.bytes_per_token
    models = [known.policies[one] for one in dict.fromkeys((*entry.policies, entry.completer))]
    return Job(
        "label",
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
        gpus=max(one.gpus for one in models),
        disk=disk,
    )


def train_job(
    name: str,
    entry: PolicyTraining | PrmTraining,
    labels: dict[str, LabelConfig],
    planning: Planning,
    known: Known,
) -> Job:
    """6 N FLOPs and attention per token, 2 N per held-out one, and the solutions of a card's accuracy.

    Not of a training that learns from chains.
    """
    model, learned = known.trained[name], entry.data.learned
    if isinstance(entry, PolicyTraining):
        lengths = known.lengths[learned, name]
        counts = [(float(known.problems[learned]), lengths.prompt + lengths.solution)]
        held_out = [(float(known.problems[entry.data.held_out]), lengths.prompt + lengths.solution)]
        tests = known.problems[entry.data.held_out] * entry.held_out_samples
    else:
        counts, held_out = (_labelled(labels[one], planning, known) for one in (learned, entry.data.held_out))
        tests, lengths = 0, None
    examples = sum(count for count, _ in counts) * entry.epochs
    tokens = sum(count * length for count, length in counts) * entry.epochs
    forward = sum(count * float(flops_kaplan(model.shape, 0, length)) for count, length in counts)
    trained = (1 + _BACKWARD) * forward * entry.epochs
    measured = sum(count * float(flops_kaplan(model.shape, 0, length)) for count, length in held_out)
    dtype = "bfloat16" if entry.bf16 else "float32"
    seconds = train_seconds(dtype, planning, trained, examples / entry.batch_size)
    seconds += read_seconds(model, planning, measured, sum(count * length for count, length in held_out))
    written = 0.0
    if lengths is not None and tests:
        written = tests * lengths.solution
        writing = tests * float(flops_kaplan(model.shape, lengths.prompt, lengths.solution))
        at_once = batch(model, planning, tests, lengths.prompt + lengths.solution)
        seconds += write_seconds(model, planning, writing, written, at_once, lengths.prompt)
        measured += writing
    parameters = model.shape.parameters
    return Job(
        "train",
        f"train/{name}/config.json",
        learned,
        name,
        requests=examples + tests,
        read=tokens,
        written=written,
        flops=trained + measured,
        seconds=seconds,
        start=start_seconds([model], planning),
        gpus=1,
        disk=parameters * (weight_bytes(entry.save_dtype) + _RESUMED_BYTES),
    )


def _labelled(label: LabelConfig, planning: Planning, known: Known) -> list[tuple[float, float]]:
    """Labelled solutions by policy, and the tokens of one with its tags."""
    found = []
    for policy in label.policies:
        lengths = known.lengths[label.problems, policy]
        written = min(lengths.solution, label.max_tokens)
        steps = lengths.steps * written / lengths.solution
        text = lengths.prompt + written + steps * planning.mark_tokens
        found.append((float(known.problems[label.problems] * label.samples_per_problem), text))
    return found
