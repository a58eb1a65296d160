"""Score every step of every candidate with a verifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from isoflop.config.generators import AttemptTexts
from isoflop.config.verifiers import RunningVerifier
from isoflop.engines.registry import ScoreRequest, StepScores
from isoflop.engines.step_tags import for_all_steps, with_words
from isoflop.errors import UserError, run_main
from isoflop.files import read_prompts, read_table
from isoflop.growth.identity import digest
from isoflop.growth.tables import Label, read_label
from isoflop.growth.wanted import score_rows
from isoflop.search.revision_texts import with_attempts
from isoflop.specs import ScoreSpec
from isoflop.stages.shared.chunked import ChunkedTask, Tally
from isoflop.stages.shared.chunks import ProgressLine, write_measured
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.grown import Making, Part, run_grown
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


@dataclass(frozen=True)
class Judged:
    """A problem's candidates as a verifier is asked about them, one request each."""

    rows: Sequence[dict[str, Any]]
    requests: Sequence[ScoreRequest]

    @cached_property
    def digests(self) -> list[str]:
        """What each score follows from: what is told, and the steps as the policy wrote them."""
        pairs = zip(self.rows, self.requests, strict=True)
        return [digest(request.prompt, row["steps"]) for row, request in pairs]

    def asked(self, digests: Sequence[str]) -> list[tuple[dict[str, Any], ScoreRequest]]:
        """The first candidate of each of these digests, and its request."""
        pairs = zip(self.digests, zip(self.rows, self.requests, strict=True), strict=True)
        first = dict(reversed(list(pairs)))
        return [first[one] for one in digests]


def tally(scores: pa.Table, label: Label) -> Tally:
    """What a table of scores counts for; the label says which of its rows are alike."""
    lengths = pc.list_value_length(scores["step_scores"])
    return {
        "candidates": scores.num_rows,
        "distinct": len(set(zip(scores["problem_id"].to_pylist(), label.digests, strict=True))),
        "verifier_tokens": pc.sum(scores["verifier_tokens"]).as_py() or 0,
        "too_long": pc.sum(pc.equal(lengths, 0)).as_py() or 0,
    }


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
    judged = [
        Judged(own, requests_for(spec.verifier, texts[name], own, spec.step_tag))
        for name, own in by_problem.items()
    ]

    def start() -> Making[Judged]:
        verifier = open_verifier(spec.verifier, given.runtime)

        def make(part: Part[Judged], line: ProgressLine) -> tuple[pa.Table, Tally]:
            missing = [
                (row, request)
                for one, keys in zip(part.items, part.missing, strict=True)
                for row, request in one.asked([str(key[0]) for key in keys])
            ]
            requests = [request for _, request in missing]
            answers = verifier.score(requests, line)
            return scores_table(spec, files.candidates, [row for row, _ in missing], requests, answers), {}

        return Making(make, {"model": verifier.shape.model_dump()})

    def finish(scores: pa.Table, seconds: Tally, about: dict[str, Any]) -> None:
        label = read_label(about)
        assert label is not None  # every table that grows has one
        write_measured(files.out, files.ledger, scores, SCORES, tally(scores, label) | seconds, about)

    task = ChunkedTask(
        out=files.out,
        size=given.runtime.chunk(),
        spec=given.text,
        inputs=[files.problems, files.candidates],
        models=[spec.verifier.model],
        items=judged,
        schema=SCORES,
        what=f"score {spec.verifier.checkpoint}",
        requests=len(rows),
        ledger=files.ledger,
    )
    run_grown(task, score_rows(spec), start, finish, reuse=given.runtime.reuse)


if __name__ == "__main__":
    run_main(main)
