"""Build what a revision model learns from: a policy's attempts at a problem, then a right answer.

    python -m isoflop.stages.trajectories SPEC PROBLEMS OUT.parquet

OUT is a table of problems: the prompt has the attempts in it, the solution is the right answer. The stage
`train` makes a revision model of it like any other policy.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa

from isoflop.engines.registry import Completion, GenerationRequest
from isoflop.engines.step_tags import untagged_text
from isoflop.errors import UserError
from isoflop.files import (
    chunk_problems,
    read_spec,
    read_table,
    run_stage,
    unsandboxed_allowed,
    write_columns,
)
from isoflop.grading.grader import is_right, make_grader
from isoflop.search.revision_texts import with_attempts
from isoflop.seeds import derive_seed
from isoflop.specs import TrajectoriesSpec
from isoflop.stages.shared.chunks import Chunks, ProgressLine, fingerprint
from isoflop.stages.shared.models import open_policy
from isoflop.tables import PROBLEMS
from isoflop.training.revision_data import build_trajectories

Row = dict[str, object]


def request_for(spec: TrajectoriesSpec, problem: Row, sample: int) -> GenerationRequest:
    """One answer of the policy to a problem."""
    return GenerationRequest(
        prompt=spec.policy.prompt.format(problem=problem["prompt"]),
        seed=derive_seed("trajectory", spec.seed, str(problem["problem_id"]), sample),
        max_tokens=spec.trajectories.max_tokens,
        temperature=spec.trajectories.temperature,
    )


def rows_of(
    spec: TrajectoriesSpec, problem: Row, answers: Sequence[Completion], right: Sequence[bool]
) -> Iterator[tuple[Row, int]]:
    """The trajectories of one problem as rows of PROBLEMS, each with its number of attempts.

    Answers that were cut are left out.
    """
    settings = spec.trajectories
    whole = [
        (answer.text, good) for answer, good in zip(answers, right, strict=True) if answer.finish == "stop"
    ]
    built = build_trajectories(
        [text for text, good in whole if good],
        [text for text, good in whole if not good],
        most_wrong=settings.wrong,
        most=settings.most_per_problem,
        as_sampled=settings.as_sampled,
        seed=derive_seed("trajectories", spec.seed, str(problem["problem_id"])),
    )
    for number, one in enumerate(built):
        prompt = with_attempts(settings, str(problem["prompt"]), one.attempts, settings.wrong)
        name = f"{problem['problem_id']}/{number}"
        yield problem | {"problem_id": name, "prompt": prompt, "solution": one.right}, len(one.attempts)


def main(arguments: Sequence[str]) -> None:
    """Build what SPEC says; raises UserError where no problem has a right answer to learn."""
    if len(arguments) != 3:
        raise UserError("usage: python -m isoflop.stages.trajectories SPEC PROBLEMS OUT.parquet")
    spec_text, problems_path, out = arguments
    spec = read_spec(TrajectoriesSpec, spec_text, "trajectories")
    problems = read_table(problems_path, PROBLEMS).to_pylist()
    policy = open_policy(spec.policy)
    samples = spec.trajectories.samples_per_problem
    size = chunk_problems()
    line = ProgressLine(f"trajectories {spec.name}", len(problems) * samples)
    chunks = Chunks(out, fingerprint(f"{spec_text}{size}", [problems_path], [spec.policy.model]), size)
    with make_grader(spec.grader, allow_unsandboxed=unsandboxed_allowed()) as grader:

        def work(chunk: Sequence[Row]) -> tuple[pa.Table, dict[str, float]]:
            requests = [request_for(spec, problem, sample) for problem in chunk for sample in range(samples)]
            answers = policy.generate(requests, line)
            built: list[tuple[Row, int]] = []
            for place, problem in enumerate(chunk):
                own = answers[place * samples : (place + 1) * samples]
                right = [
                    is_right(
                        grader,
                        untagged_text(one.text, spec.policy.step_tag),
                        str(problem["answer"]),
                        truncated=one.finish == "length",
                    )
                    for one in own
                ]
                built += rows_of(spec, problem, own, right)
            counts = Counter(attempts for _, attempts in built)
            tally = {
                f"attempts_{count}": float(counts[count]) for count in range(spec.trajectories.wrong + 1)
            }
            table = pa.Table.from_pylist([row for row, _ in built], schema=PROBLEMS)
            return table, {"samples": len(requests), "trajectories": len(built), **tally}

        table, totals = chunks.run(problems, work, lambda count: line.skip(count * samples))
    line.close()
    if not len(table):
        raise UserError(
            f"{problems_path}: no answer of {spec.policy.model} was right; there is nothing to learn: sample "
            "more, or take easier problems or a better policy"
        )
    tally = {name: int(value) for name, value in totals.items() if name != "seconds"}
    write_columns(out, table, PROBLEMS, {"tally": tally})
    chunks.remove()


if __name__ == "__main__":
    run_stage(main)
