"""Score every step of every candidate with a verifier."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from isoflop.config.generators import AttemptTexts
from isoflop.config.verifiers import RunningVerifier
from isoflop.engines.registry import ScoreRequest, StepScores
from isoflop.engines.step_tags import for_all_steps, with_words
from isoflop.errors import UserError, run_main
from isoflop.files import read_prompts, read_table
from isoflop.search.revision_texts import with_attempts
from isoflop.specs import ScoreSpec
from isoflop.stages.shared.chunked import ChunkedTask, Started, Tally, run_chunked
from isoflop.stages.shared.chunks import ProgressLine, write_measured
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.models import open_verifier
from isoflop.tables import CANDIDATES, SCORES

_COMMAND = StageCommand(
    "score",
    __doc__,
    File("problems", "table of problems"),
    File("candidates", "table of candidates"),
    File("out", "table of scores to write; a shard's part of it where the name says so"),
    File("ledger", "what scoring took, to write as JSON"),
)


def requests_for(
    verifier: RunningVerifier, problem: str, candidates: Sequence[dict[str, Any]], step_tag: str | None = None
) -> list[ScoreRequest]:
    """One request per candidate of a problem, with the answers before it in its chain if they are shown.

    `step_tag`: what the policy writes after every step, which the verifier does not see.
    """
    chains: dict[int, list[str]] = {}
    requests = []
    for row in candidates:
        told, steps = problem, with_words(row["steps"], step_tag)
        if isinstance(verifier, AttemptTexts) and row["run"] is not None:
            before = chains.setdefault(row["run"], [])
            told = with_attempts(verifier, problem, before, verifier.shown_attempts)
            before.append("".join(steps))
        requests.append(ScoreRequest(verifier.prompt.format(problem=told), tuple(steps)))
    return requests


def scores_table(
    spec: ScoreSpec,
    source: str,
    rows: Sequence[dict[str, Any]],
    requests: Sequence[ScoreRequest],
    answers: Sequence[StepScores],
) -> pa.Table:
    """The verifier's answers for `rows` of the candidates table called `source`, as a SCORES table.

    Raises UserError where there are not as many scores as steps.
    """
    scores = []
    for row, request, answer in zip(rows, requests, answers, strict=True):
        whole = spec.verifier.outcome
        expected = 1 if whole else len(request.steps)
        if answer.scores and len(answer.scores) != expected:
            raise UserError(
                f"{source}: problem {row['problem_id']!r}, candidate {row['candidate']}: "
                f"{len(answer.scores)} scores where there should be {expected}"
            )
        scores.append(
            [*answer.scores] if whole else for_all_steps(answer.scores, row["steps"], spec.step_tag)
        )
    columns = {
        "problem_id": [row["problem_id"] for row in rows],
        "candidate": [row["candidate"] for row in rows],
        "step_scores": scores,
        "verifier_tokens": [answer.tokens for answer in answers],
    }
    return pa.table(columns, schema=SCORES)


def main(arguments: Sequence[str]) -> None:
    """Score what SPEC says and write the scores and their ledger."""
    given = _COMMAND.read(ScoreSpec, arguments)
    spec, files = given.spec, given.files
    texts = dict(read_prompts(files.problems))
    columns = ["problem_id", "candidate", "steps", "budget", "run"]
    rows = read_table(files.candidates, CANDIDATES).select(columns).to_pylist()
    by_problem: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_problem.setdefault(row["problem_id"], []).append(row)
    unknown = next((name for name in by_problem if name not in texts), None)
    if unknown is not None:
        raise UserError(f"{files.candidates}: problem {unknown!r} is not in {files.problems}")

    def start() -> Started[str]:
        verifier = open_verifier(spec.verifier, given.runtime)

        def work(chunk: Sequence[str], line: ProgressLine) -> tuple[pa.Table, Tally]:
            members = [row for problem in chunk for row in by_problem[problem]]
            requests = [
                request
                for name in chunk
                for request in requests_for(spec.verifier, texts[name], by_problem[name], spec.step_tag)
            ]
            answers = verifier.score(requests, line)
            # Problems may have the same text, and be in other chunks.
            asked = zip(members, requests, strict=True)
            return scores_table(spec, files.candidates, members, requests, answers), {
                "candidates": len(members),
                "distinct": len({(row["problem_id"], one) for row, one in asked}),
                "verifier_tokens": sum(answer.tokens for answer in answers),
                "too_long": sum(not answer.scores for answer in answers),
            }

        def finish(scores: pa.Table, totals: Tally) -> None:
            write_measured(files.out, files.ledger, scores, SCORES, totals, verifier.shape)

        return Started(work, finish)

    task = ChunkedTask(
        out=files.out,
        size=given.runtime.chunk(),
        spec=given.text,
        inputs=[files.problems, files.candidates],
        models=[spec.verifier.model],
        items=list(by_problem),
        schema=SCORES,
        what=f"score {spec.verifier.checkpoint}",
        requests=len(rows),
        ledger=files.ledger,
    )
    run_chunked(task, start)


if __name__ == "__main__":
    run_main(main)
