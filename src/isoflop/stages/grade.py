"""Grade candidates: read their answers and compare them with each other and with the reference.

SPEC is the JSON of `isoflop.specs.GradeSpec`. Rows come out in the order of CANDIDATES. The table's
metadata and the summary on standard error count the comparisons that stayed undecided, with examples.
"""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pyarrow as pa

from isoflop.engines.step_tags import untagged
from isoflop.errors import UserError, run_main
from isoflop.files import open_parquet, read_table, table_metadata, write_table
from isoflop.grading.decided import Decided, basis
from isoflop.grading.equivalence import AnswerClasses
from isoflop.grading.grader import Grader, make_grader
from isoflop.grading.published import agreement, regraded
from isoflop.growth.former import keep, kept
from isoflop.registries import GRADERS
from isoflop.search.tree import UNFINISHED
from isoflop.specs import GradeSpec
from isoflop.stages.shared.command import File, StageCommand
from isoflop.strategy import NO_ANSWER
from isoflop.tables import CANDIDATES, GRADED_CANDIDATES, GRADES, PROBLEMS, PUBLISHED_CORRECT

_EXAMPLES = 20  # undecided pairs written to the metadata
_EXAMPLE_LENGTH = 200  # characters of each

_COMMAND = StageCommand(
    "grade",
    __doc__,
    File("problems", "table of problems"),
    File("candidates", "table of candidates"),
    File("out", "table of grades to write"),
)


@dataclass(frozen=True)
class Graded:
    """One answer (or None) per candidate, in their order, and the classes of every problem's answers."""

    problem_ids: list[str]
    answers: list[str | None]
    classes: dict[str, AnswerClasses]

    def columns(self, candidates: list[int]) -> dict[str, list[object]]:
        """The columns of GRADES; `candidates` are the candidates' numbers."""
        numbers: list[object] = []
        correct: list[object] = []
        for problem, answer in zip(self.problem_ids, self.answers, strict=True):
            classes = self.classes[problem]
            numbers.append(NO_ANSWER if answer is None else classes.number[answer])
            correct.append(answer in classes.correct)
        return {
            "problem_id": list(self.problem_ids),
            "candidate": list(candidates),
            "answer": list(self.answers),
            "answer_class": numbers,
            "correct": correct,
        }

    def undecided_candidates(self, references: Mapping[str, str]) -> dict[str, int]:
        """How many candidates of a problem could not be compared with its reference, where any could not."""
        pairs = set(self.undecided())
        return dict(
            Counter(
                problem
                for problem, answer in zip(self.problem_ids, self.answers, strict=True)
                if answer is not None and (problem, answer, references[problem]) in pairs
            )
        )

    def undecided(self) -> list[tuple[str, str, str]]:
        """Every undecided comparison: problem, answer, what it was compared with."""
        return [(problem, *pair) for problem, classes in self.classes.items() for pair in classes.undecided]


def grade(
    references: dict[str, str],
    candidates: pa.Table,
    graders: Sequence[Grader],
    source: str,
    step_tag: str | None = None,
) -> Graded:
    """Extract and classify the answers of `candidates`, a table of CANDIDATES called `source` in errors.

    The `graders` are alike and share the problems between them. `references` maps problem ids to reference
    answers; `step_tag` is what the policy writes after every step. A truncated candidate (finish "length")
    has an answer only if it states one completely, and one that a search left unfinished has none. Raises
    UserError for an unknown problem or an unusable reference.
    """
    problem_ids: list[str] = candidates.column("problem_id").to_pylist()
    texts = ("".join(untagged(steps, step_tag)) for steps in candidates.column("steps").to_pylist())
    finishes = candidates.column("finish").to_pylist()
    counts = zip(candidates["tokens"].to_pylist(), candidates["thinking_tokens"].to_pylist(), strict=True)
    answers = [
        None
        # Where the prompt opened thoughts that never end, the text has no tag that tells.
        if finish == UNFINISHED or (thinking and thinking == tokens)
        else graders[0].extract(text, truncated=finish == "length")
        for text, finish, (tokens, thinking) in zip(texts, finishes, counts, strict=True)
    ]
    by_problem: dict[str, list[str]] = {}
    for row, (problem, answer) in enumerate(zip(problem_ids, answers, strict=True)):
        if problem not in references:
            raise UserError(
                f"{source}, row {row + 1}: problem '{problem}' is not in the problems table; "
                "the candidates belong to other problems: sample again"
            )
        found = by_problem.setdefault(problem, [])
        if answer is not None:
            found.append(answer)
    for problem in by_problem:
        fault = graders[0].reference_fault(references[problem])
        if fault is not None:
            raise UserError(f"problem '{problem}': reference answer '{references[problem]:.80}': {fault}")
    idle: SimpleQueue[Grader] = SimpleQueue()
    for grader in graders:
        idle.put(grader)

    def classes_of(problem: str) -> AnswerClasses:
        grader = idle.get()
        try:
            return grader.classes(by_problem[problem], references[problem])
        finally:
            idle.put(grader)

    with ThreadPoolExecutor(len(graders)) as executor:
        classes = dict(zip(by_problem, executor.map(classes_of, by_problem), strict=True))
    return Graded(problem_ids, answers, classes)


def main(arguments: Sequence[str]) -> None:
    """Grade CANDIDATES against PROBLEMS and write the grades; raises UserError on bad input."""
    given = _COMMAND.read(GradeSpec, arguments)
    spec, files, runtime = given.spec, given.files, given.runtime
    problems = read_table(files.problems, PROBLEMS)
    candidates = read_table(files.candidates, CANDIDATES)
    references = dict(
        zip(problems.column("problem_id").to_pylist(), problems.column("answer").to_pylist(), strict=True)
    )
    rests_on = basis(given.text, programs=GRADERS[spec.grader].tests, unsandboxed=runtime.allow_unsandboxed)
    decided = Decided(_former_verdicts(files.out, rests_on) if runtime.reuse else {})
    with ExitStack() as stack:
        graders = [
            stack.enter_context(
                make_grader(
                    spec.grader,
                    choices=spec.choices,
                    allow_unsandboxed=runtime.allow_unsandboxed,
                    decided=decided,
                )
            )
            for _ in range(runtime.graders)
        ]
        graded = grade(references, candidates, graders, files.candidates, spec.step_tag)
    columns = graded.columns(candidates.column("candidate").to_pylist())
    known = [any(step.strip() for step in steps) for steps in candidates.column("steps").to_pylist()]
    published = _published(files.candidates, columns, known, imported=spec.imported)
    undecided = graded.undecided()
    answered = sum(answer is not None for answer in graded.answers)
    metadata: dict[str, object] = {
        "grader": spec.grader,
        "candidates": len(graded.answers),
        "answered": answered,
        "undecided": len(undecided),
        "undecided_candidates": graded.undecided_candidates(references),
        "undecided_examples": [[part[:_EXAMPLE_LENGTH] for part in one] for one in undecided[:_EXAMPLES]],
        **published,
        **({"decided": {"basis": rests_on, "verdicts": decided.used}} if decided.used else {}),
    }
    write_table(files.out, columns, GRADES, metadata)
    if decided.used:
        keep(Path(files.out))
    correct = columns["correct"].count(True)
    print(
        f"grade: {len(graded.answers)} candidates, {answered} answered, {correct} correct, "
        f"{len(undecided)} comparisons undecided{_differing(published)}{_taken_up(decided)}",
        file=sys.stderr,
    )


def _former_verdicts(path: str, rests_on: str) -> dict[str, Any]:
    """The verdicts that a former table at this place has, if they rest on the same."""
    former = next((one for one in (Path(path), kept(Path(path))) if one.exists()), None)
    if former is None:
        return {}
    try:
        found = table_metadata(read_table(former, GRADES)).get("decided")
    except UserError as error:
        print(f"not taken up: {error}", file=sys.stderr)
        return {}
    if not isinstance(found, dict) or found.get("basis") != rests_on:
        return {}
    verdicts = found.get("verdicts")
    return verdicts if isinstance(verdicts, dict) else {}


def _taken_up(decided: Decided) -> str:
    return f"; {decided.taken} verdicts taken up" if decided.taken else ""


def _published(
    path: str, columns: dict[str, list[Any]], known: Sequence[bool], *, imported: bool
) -> dict[str, object]:
    """How a file's grades compare with ours, for the metadata; with `imported`, they take their place.

    `known`: whether there is a text to grade, [candidates]. Raises UserError where they are wanted and there
    are none.
    """
    if PUBLISHED_CORRECT.name not in open_parquet(path).schema_arrow.names:
        if imported:
            raise UserError(f"{path}: has no grades of its files; delete it and run again")
        return {}
    theirs = read_table(path, GRADED_CANDIDATES, [PUBLISHED_CORRECT.name])[PUBLISHED_CORRECT.name].to_pylist()
    found = agreement(columns["correct"], theirs, known, _EXAMPLES)
    unknown = sum(bool(right) and not has_text for right, has_text in zip(theirs, known, strict=True))
    if imported:
        columns["answer_class"] = regraded(
            columns["problem_id"], columns["answer_class"], columns["correct"], theirs
        )
        columns["correct"] = theirs
    return {
        "published": {
            "imported": imported,
            "compared": found.compared,
            "only_here": found.only_here,
            "only_there": found.only_there,
            "answers_unknown": unknown,
            "examples": [
                [columns["problem_id"][row], columns["candidate"][row], columns["answer"][row]]
                for row in found.examples
            ],
        }
    }


def _differing(published: dict[str, object]) -> str:
    found = published.get("published")
    if not isinstance(found, dict):
        return ""
    differ = found["only_here"] + found["only_there"]
    return f"; {differ} of {found['compared']} graded otherwise by their files"


if __name__ == "__main__":
    run_main(main)
