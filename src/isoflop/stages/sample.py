"""Sample candidates: every problem of a data set, one policy, one generator.

Candidates are sampled once, at the largest budget. Each draws on its own randomness, fixed by the
experiment's seed, the problem and the candidate's number, whatever the batch, chunk or shard it is in.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from isoflop.config.generators import Sampling, greedy
from isoflop.engines.candidates import completion_columns, thinking_total
from isoflop.engines.registry import Completion, GenerationRequest
from isoflop.errors import run_main
from isoflop.files import Problem, read_prompts
from isoflop.growth.wanted import per_problem, sample_rows
from isoflop.seeds import derive_seed
from isoflop.specs import SampleSpec
from isoflop.stages.shared.chunked import ChunkedTask, Tally
from isoflop.stages.shared.chunks import ProgressLine, write_measured
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.grown import Making, Part, run_grown
from isoflop.stages.shared.models import about_policy, open_policy
from isoflop.tables import CANDIDATES

_COMMAND = StageCommand(
    "sample",
    __doc__,
    File("problems", "table of problems"),
    File("out", "table of candidates to write; a shard's part of it where the name says so"),
    File("ledger", "what sampling took, to write as JSON"),
)


def requests_for(spec: SampleSpec, problem: Problem, candidates: Iterable[int]) -> list[GenerationRequest]:
    """The requests of one problem's candidates, by their numbers."""
    problem_id, text = problem
    generator = spec.generator
    drawn = generator.drawing() if isinstance(generator, Sampling) else greedy(generator.stop)
    return [
        GenerationRequest(
            prompt=spec.policy.prompt.format(problem=text),
            seed=derive_seed("sample", spec.seed, problem_id, candidate),
            max_tokens=generator.max_tokens,
            **drawn,
        )
        for candidate in candidates
    ]


def candidates_table(
    numbered: Sequence[tuple[str, int]], completions: Sequence[Completion], separator: str
) -> pa.Table:
    """Completions as a CANDIDATES table; `numbered`: the problem and number of each."""
    return pa.table(
        {
            "problem_id": [problem_id for problem_id, _ in numbered],
            "candidate": [candidate for _, candidate in numbered],
            **completion_columns(completions, separator),
            "budget": [None] * len(completions),
            "run": [None] * len(completions),
        },
        schema=CANDIDATES,
    )


def tally(candidates: pa.Table) -> Tally:
    """What a table of samples counts for, all candidates of each problem in turn."""
    first = pc.equal(candidates["candidate"], 0)
    return {
        "candidates": candidates.num_rows,
        "generated_tokens": pc.sum(candidates["tokens"]).as_py(),
        "prompt_tokens": pc.sum(candidates["prompt_tokens"]).as_py(),
        "prompt_tokens_reused": pc.sum(candidates.filter(first)["prompt_tokens"]).as_py(),
        **thinking_total(candidates),
    }


def main(arguments: Sequence[str]) -> None:
    """Sample what SPEC says and write the candidates and their ledger."""
    given = _COMMAND.read(SampleSpec, arguments)
    spec, files = given.spec, given.files
    problems = read_prompts(files.problems)

    def start() -> Making[Problem]:
        policy = open_policy(spec.policy, given.runtime)

        def make(part: Part[Problem], line: ProgressLine) -> tuple[pa.Table, Tally]:
            requests, numbered = [], []
            for problem, keys in zip(part.items, part.missing, strict=True):
                missing = [int(candidate) for _, candidate in keys]
                requests += requests_for(spec, problem, missing)
                numbered += [(problem[0], candidate) for candidate in missing]
            before = policy.settled
            completions = policy.generate(requests, line)
            table = candidates_table(numbered, completions, spec.policy.step_separator)
            return table, {"settled": policy.settled - before}

        return Making(make, about_policy(policy))

    def finish(candidates: pa.Table, seconds: Tally, about: dict[str, Any]) -> None:
        write_measured(files.out, files.ledger, candidates, CANDIDATES, tally(candidates) | seconds, about)

    task = ChunkedTask(
        out=files.out,
        size=given.runtime.chunk(),
        spec=given.text,
        inputs=[files.problems],
        models=[spec.policy.model],
        items=problems,
        schema=CANDIDATES,
        what=f"sample {spec.policy.checkpoint}",
        requests=len(problems) * per_problem(spec),
        ledger=files.ledger,
    )
    run_grown(task, sample_rows(spec), start, finish, reuse=given.runtime.reuse)


if __name__ == "__main__":
    run_main(main)
