"""Solutions of several files as one pool: joined to a data set's problems, checked, repetitions dropped."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from isoflop.data.shuffle_check import belonging
from isoflop.data.solutions import Solution
from isoflop.errors import UserError
from isoflop.grading.latex import exact_verdict, normal_form


@dataclass(frozen=True)
class Target:
    """A problem of the data set."""

    problem_id: str
    prompt: str
    answer: str


@dataclass(frozen=True)
class Demands:
    """What is asked of the solutions: scores (`scored`), in [0, 1] (`probabilities`), a number of them.

    `distinct`: drop every exact repetition, not only those in another file. `graded`: that their texts are
    whole, to be graded here; else their files must say which are right. `voted`: that their answers are
    known, to be picked from.
    """

    scored: bool
    probabilities: bool
    at_least: int
    distinct: bool = False
    graded: bool = True
    voted: bool = True


@dataclass
class Pool:
    """Solutions by problem, in the order of the problems, each with its file.

    `repeated`: how many exact repetitions were dropped; `left_out`: problems with too few solutions, and how
    many they have.
    """

    solutions: dict[str, list[tuple[str, Solution]]] = field(default_factory=dict)
    repeated: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


def pool(
    files: Iterable[tuple[str, Iterable[Solution]]], problems: Sequence[Target], demands: Demands
) -> Pool:
    """All solutions of `files` (name and solutions of each).

    Raises UserError naming the file and row: a solution of a problem that the data set does not have, an
    empty one, a missing score or one that is no probability, a file whose solutions are shuffled between
    problems, and where no problem has enough solutions.
    """
    places = {problem.problem_id: place for place, problem in enumerate(problems)}
    prompts: dict[str, list[int]] = {}
    for place, problem in enumerate(problems):
        prompts.setdefault(_plain(problem.prompt), []).append(place)
    by_problem: list[list[tuple[str, Solution]]] = [[] for _ in problems]
    kept: Counter[tuple[int, str]] = Counter()
    result = Pool()
    for name, solutions in files:
        read = list(solutions)
        if not read:
            raise UserError(f"{name}: holds no solutions")
        filed = [_place(solution, problems, places, prompts) for solution in read]
        _check_belonging(name, problems, read, filed)
        here: Counter[tuple[int, str]] = Counter()
        for solution, place in zip(read, filed, strict=True):
            _check(solution, demands)
            key = (place, solution.text if solution.identity is None else solution.identity)
            here[key] += 1
            if kept[key] >= (1 if demands.distinct else here[key]):
                result.repeated += 1
                continue
            kept[key] += 1
            by_problem[place].append((name, solution))
    for problem, found in zip(problems, by_problem, strict=True):
        if len(found) < demands.at_least:
            result.left_out[problem.problem_id] = len(found)
        else:
            result.solutions[problem.problem_id] = found
    if not result.solutions:
        most = max(result.left_out.values())
        raise UserError(
            f"at_least: no problem has {demands.at_least} solutions, the most are {most}; "
            "lower it, or add files"
        )
    return result


def _place(
    solution: Solution,
    problems: Sequence[Target],
    places: Mapping[str, int],
    prompts: Mapping[str, list[int]],
) -> int:
    """The place of the problem that `solution` says it is for: by its identifier, else by its text."""
    named = None if solution.problem is None else places.get(solution.problem)
    alike = [] if solution.prompt is None else prompts.get(_plain(solution.prompt), [])
    if named is not None:
        if solution.prompt is not None and named not in alike:
            raise UserError(
                f"{solution.place}: problem '{solution.problem}' has another text than in the data set: "
                f"'{solution.prompt:.80}' instead of '{problems[named].prompt:.80}'"
            )
        _check_reference(solution, problems[named])
        return named
    if not alike:
        called = solution.problem if solution.prompt is None else f"{solution.prompt:.80}"
        raise UserError(
            f"{solution.place}: problem '{called}' is not in the data set; "
            "name the data set that these solutions are of, whole"
        )
    if len(alike) > 1:
        if solution.reference is not None:
            alike = [place for place in alike if _same_answer(solution.reference, problems[place].answer)]
        if len(alike) != 1:
            raise UserError(
                f"{solution.place}: several problems of the data set have the text '{solution.prompt:.80}'; "
                "name the problem by its identifier"
            )
    target = problems[alike[0]]
    # The text is the problem's, so that a reference may be written in another way, but not be another one.
    if solution.reference is not None and _certainly_other(solution.reference, target.answer):
        raise _other_answer(solution, target)
    return alike[0]


def _check_reference(solution: Solution, target: Target) -> None:
    if solution.reference is not None and not _same_answer(solution.reference, target.answer):
        raise _other_answer(solution, target)


def _other_answer(solution: Solution, target: Target) -> UserError:
    called = solution.problem if solution.problem is not None else f"{target.prompt:.60}"
    return UserError(
        f"{solution.place}: the answer to problem '{called}' is '{solution.reference:.80}' "
        f"there and '{target.answer:.80}' in the data set"
    )


def _normal_forms(reference: str, answer: str) -> list[str]:
    """Both in normal form, sorted; GSM8K's answer stands after ####."""
    return sorted(normal_form(text.rpartition("####")[2]) for text in (reference, answer))


def _same_answer(reference: str, answer: str) -> bool:
    """Whether two references are one: as texts in normal form, or as numbers."""
    first, second = _normal_forms(reference, answer)
    return first == second or exact_verdict(first, second) is True


def _certainly_other(reference: str, answer: str) -> bool:
    """Whether two references are different numbers."""
    first, second = _normal_forms(reference, answer)
    return first != second and exact_verdict(first, second) is False


def _check(solution: Solution, demands: Demands) -> None:
    _check_known(solution, demands)
    if not solution.text.strip() and solution.correct is None:
        raise UserError(f"{solution.place}: the solution is empty; leave it out of the file, or correct it")
    scores = solution.scores
    if not demands.scored:
        return
    if scores is None:
        raise UserError(
            f"{solution.place}: has no score; leave `verifier` out of the generator, or use scored files"
        )
    if len(scores) != len(solution.steps):
        raise UserError(
            f"{solution.place}: {len(solution.steps)} steps but {len(scores)} scores; "
            "which score belongs to which step is lost"
        )
    if demands.probabilities and not all(0.0 <= score <= 1.0 for score in scores):
        wrong = next(score for score in scores if not 0.0 <= score <= 1.0)
        raise UserError(
            f"{solution.place}: the score {wrong:g} is no probability; "
            "set the verifier's scale to unbounded if it is not meant to be one"
        )


def _check_known(solution: Solution, demands: Demands) -> None:
    """What the file leaves out is nothing that is asked for."""
    if not demands.graded and solution.correct is None:
        raise UserError(
            f"{solution.place}: the file does not say whether it is right; leave out `grades: imported`"
        )
    if not solution.partial:
        return
    if demands.graded:
        raise UserError(
            f"{solution.place}: the file has only a part of the text, so it cannot be graded here; take the "
            "files' own grades with `grades: imported` and `selectors: [pass]`, or give the whole texts"
        )
    if demands.voted:
        raise UserError(
            f"{solution.place}: the file has only a part of the text, so what was answered is not known and "
            "cannot be voted on; count these solutions with `selectors: [pass]` in an import of their own, "
            "or give the whole texts"
        )


def _check_belonging(
    name: str, problems: Sequence[Target], solutions: Sequence[Solution], filed: Sequence[int]
) -> None:
    used = sorted(set(filed))
    rank = {place: number for number, place in enumerate(used)}
    found = belonging(
        [problems[place].prompt for place in used],
        [solution.text for solution in solutions],
        [rank[place] for place in filed],
    )
    if found.is_shuffled and found.stray is not None and found.home is not None:
        raise UserError(
            f"{name}: its solutions are shuffled between problems: of {found.clear} that are clearly about "
            f"one problem, only {found.own} are about the one they are filed under. "
            f"{solutions[found.stray].place} is about '{problems[used[found.home]].prompt:.60}', not "
            f"'{problems[filed[found.stray]].prompt:.60}'"
        )


def _plain(text: str) -> str:
    return " ".join(text.split())
