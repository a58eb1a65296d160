"""Score every step of every candidate with a verifier.

python -m isoflop.stages.score SPEC PROBLEMS CANDIDATES OUT.parquet OUT.ledger.json
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from isoflop.config.verifiers import CausalOrm, Running
from isoflop.engines.registry import ScoreRequest
from isoflop.engines.step_tags import for_all_steps, with_words
from isoflop.errors import UserError
from isoflop.files import chunk_problems, read_prompts, read_spec, read_table, run_stage
from isoflop.pipeline.shards import shard_of
from isoflop.search.revision_texts import with_attempts
from isoflop.specs import ScoreSpec
from isoflop.stages.shared.chunks import Chunks, ProgressLine, fingerprint, finish_idle
from isoflop.stages.shared.models import open_verifier
from isoflop.tables import CANDIDATES, SCORES


def requests_for(
    verifier: Running, problem: str, candidates: Sequence[dict[str, Any]], step_tag: str | None = None
) -> list[ScoreRequest]:
    """One request per candidate of a problem, with the answers before it in its chain if they are shown.

    `step_tag`: what the policy writes after every step, which the verifier does not see.
    """
    chains: dict[int, list[str]] = {}
    requests = []
    for row in candidates:
        told, steps = problem, with_words(row["steps"], step_tag)
        if isinstance(verifier, CausalOrm) and row["run"] is not None:
            before = chains.setdefault(row["run"], [])
            told = with_attempts(verifier, problem, before, verifier.history)
            before.append("".join(steps))
        requests.append(ScoreRequest(verifier.prompt.format(problem=told), tuple(steps)))
    return requests


def main(arguments: Sequence[str]) -> None:
    """Score what SPEC says and write the scores and their ledger."""
    if len(arguments) != 5:
        raise UserError(
            "usage: python -m isoflop.stages.score SPEC PROBLEMS CANDIDATES OUT.parquet OUT.ledger.json"
        )
    spec_text, problems_path, candidates_path, out, ledger_out = arguments
    spec = read_spec(ScoreSpec, spec_text, "score")
    texts = dict(read_prompts(problems_path))
    columns = ["problem_id", "candidate", "steps", "budget", "run"]
    rows = read_table(candidates_path, CANDIDATES).select(columns).to_pylist()
    by_problem: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_problem.setdefault(row["problem_id"], []).append(row)
    unknown = next((name for name in by_problem if name not in texts), None)
    if unknown is not None:
        raise UserError(f"{candidates_path}: problem {unknown!r} is not in {problems_path}")
    shard = shard_of(out, chunk_problems())
    if not shard.chunks(len(by_problem)):
        finish_idle(shard, out, SCORES, ledger_out)
        return
    verifier = open_verifier(spec.verifier)
    line = ProgressLine(f"score {spec.verifier.model}", len(rows))

    def work(chunk: Sequence[str]) -> tuple[pa.Table, dict[str, float]]:
        members = [row for problem in chunk for row in by_problem[problem]]
        requests = [
            request
            for name in chunk
            for request in requests_for(spec.verifier, texts[name], by_problem[name], spec.step_tag)
        ]
        answers = verifier.score(requests, line)
        scores = []
        for row, request, answer in zip(members, requests, answers, strict=True):
            expected = 1 if spec.verifier.outcome else len(request.steps)
            if answer.scores and len(answer.scores) != expected:
                raise UserError(
                    f"{candidates_path}: problem {row['problem_id']!r}, candidate {row['candidate']}: "
                    f"{len(answer.scores)} scores where there should be {expected}"
                )
            whole = spec.verifier.outcome
            scores.append(
                [*answer.scores] if whole else for_all_steps(answer.scores, row["steps"], spec.step_tag)
            )
        columns = {
            "problem_id": [row["problem_id"] for row in members],
            "candidate": [row["candidate"] for row in members],
            "step_scores": scores,
            "verifier_tokens": [answer.tokens for answer in answers],
        }
        return pa.table(columns, schema=SCORES), {
            "candidates": len(members),
            "distinct": len(set(requests)),
            "verifier_tokens": sum(answer.tokens for answer in answers),
            "too_long": sum(not answer.scores for answer in answers),
        }

    inputs = [problems_path, candidates_path]
    name = fingerprint(f"{spec_text}{shard.size}", inputs, [spec.verifier.model])
    chunks = Chunks(out, name, shard.size)
    scores, totals = chunks.run(
        list(by_problem), work, lambda count: line.skip(count * len(rows) // len(by_problem))
    )
    line.close()
    chunks.finish(scores, SCORES, ledger_out, totals, verifier.shape)


if __name__ == "__main__":
    run_stage(main)
