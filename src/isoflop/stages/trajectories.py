"""Build what a revision model learns from: a policy's attempts at a problem, then a right answer.

OUT is a table of problems: the prompt has the attempts in it, the solution is the right answer. The stage
`train` makes a revision model of it like any other policy.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa

from isoflop.engines.registry import Completion, GenerationRequest
from isoflop.engines.step_tags import untagged_text
from isoflop.errors import UserError, run_main
from isoflop.files import read_table, write_columns
from isoflop.grading.grader import Grader, is_right, make_grader
from isoflop.search.revision_texts import with_attempts
from isoflop.seeds import derive_seed
from isoflop.specs import TrajectoriesSpec
from isoflop.stages.shared.chunked import ChunkedTask, Started, Tally, run_chunked
from isoflop.stages.shared.chunks import ProgressLine
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.models import open_policy
from isoflop.tables import PROBLEMS
from isoflop.training.revision_data import build_trajectories

Row = dict[str, object]

_COMMAND = StageCommand(
    "trajectories",
    __doc__,
    File("problems", "table of problems"),
    File("out", "table of problems to write, with attempts in their prompts"),
)


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


def rights_of(
    spec: TrajectoriesSpec, problem: Row, answers: Sequence[Completion], grader: Grader
) -> list[bool]:
    """Whether each answer to a problem is right."""
    return [
        is_right(
            grader,
            untagged_text(answer.text, spec.policy.step_tag),
            str(problem["answer"]),
            truncated=answer.finish == "length",
        )
        for answer in answers
    ]


def main(arguments: Sequence[str]) -> None:
    """Build what SPEC says; raises UserError where no problem has a right answer to learn."""
    given = _COMMAND.read(TrajectoriesSpec, arguments)
    spec, files = given.spec, given.files
    problems = read_table(files.problems, PROBLEMS).to_pylist()
    samples = spec.trajectories.samples_per_problem

    def start() -> Started[Row]:
        policy = open_policy(spec.policy, given.runtime)

        def work(chunk: Sequence[Row], line: ProgressLine) -> tuple[pa.Table, Tally]:
            requests = [request_for(spec, problem, sample) for problem in chunk for sample in range(samples)]
            answers = policy.generate(requests, line)
            built: list[tuple[Row, int]] = []
            for place, problem in enumerate(chunk):
                own = answers[place * samples : (place + 1) * samples]
                built += rows_of(spec, problem, own, rights_of(spec, problem, own, grader))
            counts = Counter(attempts for _, attempts in built)
            tally = {
                f"attempts_{count}": float(counts[count]) for count in range(spec.trajectories.wrong + 1)
            }
            table = pa.Table.from_pylist([row for row, _ in built], schema=PROBLEMS)
            return table, {"samples": len(requests), "trajectories": len(built), **tally}

        return Started(work, finish)

    def finish(table: pa.Table, totals: Tally) -> None:
        if not len(table):
            raise UserError(
                f"{files.problems}: no answer of {spec.policy.checkpoint} was right; there is nothing to "
                "learn: sample more, or take easier problems or a better policy"
            )
        tally = {name: int(value) for name, value in totals.items() if name != "seconds"}
        write_columns(files.out, table, PROBLEMS, {"tally": tally})

    task = ChunkedTask(
        out=files.out,
        size=given.runtime.chunk(),
        spec=given.text,
        inputs=[files.problems],
        models=[spec.policy.model],
        items=problems,
        schema=PROBLEMS,
        what=f"trajectories {spec.name}",
        requests=len(problems) * samples,
    )
    unsafe = given.runtime.allow_unsandboxed
    with make_grader(spec.grader, choices=spec.choices, allow_unsandboxed=unsafe) as grader:
        run_chunked(task, start)


if __name__ == "__main__":
    run_main(main)
