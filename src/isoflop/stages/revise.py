"""Write chains of revisions: every problem of a data set, one policy.

A problem's candidates are numbered on from chain to chain; `run` is the chain, `budget` the answer's place
in it. Each draws on its own randomness, fixed by the experiment's seed, the problem, the chain and the place
in it, whatever the batch, chunk or shard it is in.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from isoflop.engines.candidates import completion_columns, thinking_total
from isoflop.engines.registry import Completion
from isoflop.errors import run_main
from isoflop.files import Problem, read_prompts
from isoflop.growth.wanted import chain_rows
from isoflop.search.revisions import Chain, write_chains
from isoflop.specs import ReviseSpec
from isoflop.stages.shared.chunked import ChunkedTask, Tally
from isoflop.stages.shared.chunks import ProgressLine, write_measured
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.grown import Making, Part, run_grown
from isoflop.stages.shared.models import about_policy, open_policy
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


def begun_chains(spec: ReviseSpec, problem: Problem, known: pa.Table) -> list[Chain]:
    """The chains of one problem with the answers that are known, the rows of a CANDIDATES table."""
    chains = chains_for(spec, problem)
    for run, steps in zip(known["run"].to_pylist(), known["steps"].to_pylist(), strict=True):
        chains[run].known.append("".join(steps))
    return chains


def candidates_table(
    numbered: Sequence[tuple[str, int, int]], answers: Sequence[Completion], separator: str
) -> pa.Table:
    """Answers as a CANDIDATES table; `numbered`: problem, chain and place in it of each.

    Candidates get their numbers where all of a problem are together.
    """
    keys: dict[str, list[object]] = {
        "problem_id": [problem_id for problem_id, _, _ in numbered],
        "candidate": [0] * len(numbered),
        "run": [run for _, run, _ in numbered],
        "budget": [place for _, _, place in numbered],
    }
    return pa.table(keys | completion_columns(answers, separator), schema=CANDIDATES)


def tally(candidates: pa.Table) -> Tally:
    """What a table of chains counts for."""
    first = pc.equal(candidates["budget"], 1)
    revising = pc.sum(candidates.filter(pc.invert(first))["prompt_tokens"]).as_py() or 0
    # First answers share the problem's prompt; every revision has a prompt of its own.
    of_problems = candidates.filter(pc.and_(first, pc.equal(candidates["run"], 0)))
    return {
        "candidates": candidates.num_rows,
        "generated_tokens": pc.sum(candidates["tokens"]).as_py(),
        "prompt_tokens": pc.sum(candidates["prompt_tokens"]).as_py(),
        "prompt_tokens_reused": revising + pc.sum(of_problems["prompt_tokens"]).as_py(),
        "revision_prompt_tokens": revising,
        **thinking_total(candidates),
    }


def main(arguments: Sequence[str]) -> None:
    """Write the chains that SPEC asks for, and their ledger."""
    given = _COMMAND.read(ReviseSpec, arguments)
    spec, files = given.spec, given.files
    problems = read_prompts(files.problems)

    def start() -> Making[Problem]:
        policy = open_policy(spec.policy, given.runtime)

        def make(part: Part[Problem], line: ProgressLine) -> tuple[pa.Table, Tally]:
            pairs = zip(part.items, part.known, strict=True)
            chains = [one for problem, known in pairs for one in begun_chains(spec, problem, known)]
            before = policy.settled
            write_chains(policy, spec.policy.prompt, spec.generator, chains, line)
            numbered = [
                (problem_id, int(run), int(place))
                for (problem_id, _), keys in zip(part.items, part.missing, strict=True)
                for _, run, place in keys
            ]
            answers = [answer for chain in chains for answer in chain.answers]
            table = candidates_table(numbered, answers, spec.policy.step_separator)
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
        what=f"revise {spec.policy.checkpoint}",
        requests=len(problems) * sum(spec.generator.chain_lengths),
        ledger=files.ledger,
    )
    run_grown(task, chain_rows(spec), start, finish, reuse=given.runtime.reuse)


if __name__ == "__main__":
    run_main(main)
