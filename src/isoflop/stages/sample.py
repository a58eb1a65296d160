"""Sample candidates: every problem of a data set, one policy, one generator.

Candidates are sampled once, at the largest budget. Each draws on its own randomness, fixed by the
experiment's seed, the problem and the candidate's number, whatever the batch, chunk or shard it is in.
"""

from collections.abc import Sequence

import pyarrow as pa

from isoflop.config.generators import Sampling, greedy
from isoflop.engines.candidates import completion_columns, thinking_total
from isoflop.engines.registry import Completion, GenerationRequest
from isoflop.errors import run_main
from isoflop.files import Problem, read_prompts, with_later
from isoflop.seeds import derive_seed
from isoflop.specs import SampleSpec
from isoflop.stages.shared.chunked import ChunkedTask, Started, Tally, run_chunked
from isoflop.stages.shared.chunks import ProgressLine, write_measured
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.models import open_policy
from isoflop.tables import CANDIDATES

_COMMAND = StageCommand(
    "sample",
    __doc__,
    File("problems", "table of problems"),
    File("out", "table of candidates to write; a shard's part of it where the name says so"),
    File("ledger", "what sampling took, to write as JSON"),
)


def requests_for(spec: SampleSpec, problem: Problem) -> list[GenerationRequest]:
    """The requests of one problem, one per candidate."""
    problem_id, text = problem
    generator = spec.generator
    if isinstance(generator, Sampling):
        candidates, drawn = generator.samples, generator.drawing()
    else:
        candidates, drawn = 1, greedy(generator.stop)
    return [
        GenerationRequest(
            prompt=spec.policy.prompt.format(problem=text),
            seed=derive_seed("sample", spec.seed, problem_id, candidate),
            max_tokens=generator.max_tokens,
            **drawn,
        )
        for candidate in range(candidates)
    ]


def candidates_table(
    problems: Sequence[Problem], per_problem: int, completions: Sequence[Completion], separator: str
) -> pa.Table:
    """The completions of `problems`, `per_problem` of each in turn, as a CANDIDATES table."""
    return pa.table(
        {
            "problem_id": [problem_id for problem_id, _ in problems for _ in range(per_problem)],
            "candidate": list(range(per_problem)) * len(problems),
            **completion_columns(completions, separator),
            "budget": [None] * len(completions),
            "run": [None] * len(completions),
        },
        schema=CANDIDATES,
    )


def main(arguments: Sequence[str]) -> None:
    """Sample what SPEC says and write the candidates and their ledger."""
    given = _COMMAND.read(SampleSpec, arguments)
    spec, files = given.spec, given.files
    problems = read_prompts(files.problems)
    per_problem = len(requests_for(spec, ("", "")))

    def start() -> Started[Problem]:
        policy = open_policy(spec.policy, given.runtime)

        def work(chunk: Sequence[Problem], line: ProgressLine) -> tuple[pa.Table, Tally]:
            requests = [request for problem in chunk for request in requests_for(spec, problem)]
            completions = policy.generate(requests, line)
            return candidates_table(chunk, per_problem, completions, spec.policy.step_separator), {
                "candidates": len(completions),
                "generated_tokens": sum(len(completion.pieces) for completion in completions),
                "prompt_tokens": sum(completion.prompt_tokens for completion in completions),
                "prompt_tokens_reused": sum(first.prompt_tokens for first in completions[::per_problem]),
            }

        def finish(candidates: pa.Table, totals: Tally) -> None:
            candidates = with_later(candidates, CANDIDATES)
            measured = totals | thinking_total(candidates)
            write_measured(files.out, files.ledger, candidates, CANDIDATES, measured, policy.shape)

        return Started(work, finish)

    task = ChunkedTask(
        out=files.out,
        size=given.runtime.chunk(),
        spec=given.text,
        inputs=[files.problems],
        models=[spec.policy.model],
        items=problems,
        schema=CANDIDATES,
        what=f"sample {spec.policy.checkpoint}",
        requests=len(problems) * per_problem,
        ledger=files.ledger,
    )
    run_chunked(task, start)


if __name__ == "__main__":
    run_main(main)
