"""Write chains of revisions: every problem of a data set, one policy.

A problem's candidates are numbered on from chain to chain; `run` is the chain, `budget` the answer's place
in it. Each draws on its own randomness, fixed by the experiment's seed, the problem, the chain and the place
in it, whatever the batch, chunk or shard it is in.
"""

from collections.abc import Sequence

import pyarrow as pa

from isoflop.engines.candidates import completion_columns, thinking_total
from isoflop.errors import run_main
from isoflop.files import Problem, read_prompts, with_later
from isoflop.search.revisions import Chain, write_chains
from isoflop.specs import ReviseSpec
from isoflop.stages.shared.chunked import ChunkedTask, Started, Tally, run_chunked
from isoflop.stages.shared.chunks import ProgressLine, write_measured
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.models import open_policy
from isoflop.tables import CANDIDATES

_COMMAND = StageCommand(
    "revise",
    __doc__,
    File("problems", "table of problems"),
    File("out", "table of candidates to write; a shard's part of it where the name says so"),
    File("ledger", "what the chains took, to write as JSON"),
)


def chains_for(spec: ReviseSpec, problem: Problem) -> list[Chain]:
    """The chains of one problem, unwritten."""
    problem_id, text = problem
    return [
        Chain(text, length, (spec.seed, problem_id, number))
        for number, length in enumerate(spec.generator.chain_lengths)
    ]


def candidates_table(problem_ids: Sequence[str], chains: Sequence[Chain], separator: str) -> pa.Table:
    """Written chains, as many of each problem, as a CANDIDATES table."""
    per_problem = len(chains) // len(problem_ids)
    keys: dict[str, list[object]] = {"problem_id": [], "candidate": [], "budget": [], "run": []}
    for place, problem_id in enumerate(problem_ids):
        own = chains[place * per_problem : (place + 1) * per_problem]
        placed = [
            (position, run) for run, chain in enumerate(own) for position in range(1, len(chain.answers) + 1)
        ]
        keys["problem_id"] += [problem_id] * len(placed)
        keys["candidate"] += range(len(placed))
        keys["budget"] += [position for position, _ in placed]
        keys["run"] += [run for _, run in placed]
    answers = [answer for chain in chains for answer in chain.answers]
    return pa.table(keys | completion_columns(answers, separator), schema=CANDIDATES)


def main(arguments: Sequence[str]) -> None:
    """Write the chains that SPEC asks for, and their ledger."""
    given = _COMMAND.read(ReviseSpec, arguments)
    spec, files = given.spec, given.files
    problems = read_prompts(files.problems)

    def start() -> Started[Problem]:
        policy = open_policy(spec.policy, given.runtime)

        def work(chunk: Sequence[Problem], line: ProgressLine) -> tuple[pa.Table, Tally]:
            own = [chains_for(spec, problem) for problem in chunk]
            chains = [chain for one in own for chain in one]
            write_chains(policy, spec.policy.prompt, spec.generator, chains, line)
            answers = [answer for chain in chains for answer in chain.answers]
            revisions = [answer for chain in chains for answer in chain.answers[1:]]
            revising = sum(answer.prompt_tokens for answer in revisions)
            ids = [problem_id for problem_id, _ in chunk]
            return candidates_table(ids, chains, spec.policy.step_separator), {
                "candidates": len(answers),
                "generated_tokens": sum(len(answer.pieces) for answer in answers),
                "prompt_tokens": sum(answer.prompt_tokens for answer in answers),
                # First answers share the problem's prompt; every revision has a prompt of its own.
                "prompt_tokens_reused": revising + sum(one[0].answers[0].prompt_tokens for one in own),
                "revision_prompt_tokens": revising,
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
        what=f"revise {spec.policy.checkpoint}",
        requests=len(problems) * sum(spec.generator.chain_lengths),
        ledger=files.ledger,
    )
    run_chunked(task, start)


if __name__ == "__main__":
    run_main(main)
