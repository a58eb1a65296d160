"""Write chains of revisions: every problem of a data set, one policy.

    python -m isoflop.stages.revise SPEC PROBLEMS OUT.parquet OUT.ledger.json

A problem's candidates are numbered on from chain to chain; `run` is the chain, `budget` the answer's place
in it. Each draws on its own randomness, fixed by the experiment's seed, the problem, the chain and the place
in it, whatever the batch, chunk or shard it is in.
"""

from collections.abc import Sequence

import pyarrow as pa

from isoflop.engines.candidates import completion_columns
from isoflop.errors import UserError
from isoflop.files import Problem, chunk_problems, read_prompts, read_spec, run_stage
from isoflop.pipeline.shards import shard_of
from isoflop.search.revisions import Chain, write_chains
from isoflop.specs import ReviseSpec
from isoflop.stages.shared.chunks import Chunks, ProgressLine, fingerprint, finish_idle
from isoflop.stages.shared.models import open_policy
from isoflop.tables import CANDIDATES


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
    if len(arguments) != 4:
        raise UserError("usage: python -m isoflop.stages.revise SPEC PROBLEMS OUT LEDGER_OUT")
    spec_text, problems_path, out, ledger_out = arguments
    spec = read_spec(ReviseSpec, spec_text, "revise")
    problems = read_prompts(problems_path)
    shard = shard_of(out, chunk_problems())
    if not shard.chunks(len(problems)):
        finish_idle(shard, out, CANDIDATES, ledger_out)
        return
    policy = open_policy(spec.policy)
    per_problem = sum(spec.generator.chain_lengths)
    line = ProgressLine(f"revise {spec.policy.model}", len(problems) * per_problem)

    def work(chunk: Sequence[Problem]) -> tuple[pa.Table, dict[str, float]]:
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

    name = fingerprint(f"{spec_text}{shard.size}", [problems_path], [spec.policy.model])
    chunks = Chunks(out, name, shard.size)
    candidates, totals = chunks.run(problems, work, lambda count: line.skip(count * per_problem))
    line.close()
    chunks.finish(candidates, CANDIDATES, ledger_out, totals, policy.shape)


if __name__ == "__main__":
    run_stage(main)
