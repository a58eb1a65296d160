"""Sample candidates: every problem of a data set, one policy, one generator.

    python -m isoflop.stages.sample SPEC PROBLEMS OUT.parquet OUT.ledger.json

Candidates are sampled once, at the largest budget. Each draws on its own randomness, fixed by the
experiment's seed, the problem and the candidate's number, whatever the batch, chunk or shard it is in.
"""

from collections.abc import Sequence

import pyarrow as pa

from isoflop.config.generators import Sampling
from isoflop.engines.candidates import completion_columns
from isoflop.engines.registry import Completion, GenerationRequest
from isoflop.errors import UserError
from isoflop.files import Problem, chunk_problems, read_prompts, read_spec, run_stage
from isoflop.pipeline.shards import shard_of
from isoflop.seeds import derive_seed
from isoflop.specs import SampleSpec
from isoflop.stages.shared.chunks import Chunks, ProgressLine, fingerprint, finish_idle
from isoflop.stages.shared.models import open_policy
from isoflop.tables import CANDIDATES


def requests_for(spec: SampleSpec, problem: Problem) -> list[GenerationRequest]:
    """The requests of one problem, one per candidate."""
    problem_id, text = problem
    generator = spec.generator
    if isinstance(generator, Sampling):
        candidates, temperature, top_p = generator.samples, generator.temperature, generator.top_p
    else:
        candidates, temperature, top_p = 1, 0.0, 1.0
    return [
        GenerationRequest(
            prompt=spec.policy.prompt.format(problem=text),
            seed=derive_seed("sample", spec.seed, problem_id, candidate),
            max_tokens=generator.max_tokens,
            temperature=temperature,
            top_p=top_p,
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
    if len(arguments) != 4:
        raise UserError("usage: python -m isoflop.stages.sample SPEC PROBLEMS OUT LEDGER_OUT")
    spec_text, problems_path, out, ledger_out = arguments
    spec = read_spec(SampleSpec, spec_text, "sample")
    problems = read_prompts(problems_path)
    shard = shard_of(out, chunk_problems())
    if not shard.chunks(len(problems)):
        finish_idle(shard, out, CANDIDATES, ledger_out)
        return
    policy = open_policy(spec.policy)
    per_problem = len(requests_for(spec, ("", "")))
    line = ProgressLine(f"sample {spec.policy.model}", len(problems) * per_problem)

    def work(chunk: Sequence[Problem]) -> tuple[pa.Table, dict[str, float]]:
        requests = [request for problem in chunk for request in requests_for(spec, problem)]
        completions = policy.generate(requests, line)
        return candidates_table(chunk, per_problem, completions, spec.policy.step_separator), {
            "candidates": len(completions),
            "generated_tokens": sum(len(completion.pieces) for completion in completions),
            "prompt_tokens": sum(completion.prompt_tokens for completion in completions),
            "prompt_tokens_reused": sum(first.prompt_tokens for first in completions[::per_problem]),
        }

    name = fingerprint(f"{spec_text}{shard.size}", [problems_path], [spec.policy.model])
    chunks = Chunks(out, name, shard.size)
    candidates, totals = chunks.run(problems, work, lambda count: line.skip(count * per_problem))
    line.close()
    chunks.finish(candidates, CANDIDATES, ledger_out, totals, policy.shape)


if __name__ == "__main__":
    run_stage(main)
