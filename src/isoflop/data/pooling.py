"""Solutions of several files as one pool: joined to a data set's problems, checked, repetitions dropped."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from isoflop.data.shuffle_check import Belonging, belonging
from isoflop.data.solutions import Solution
from isoflop.errors import UserError
from isoflop.grading.latex import exact_verdict, normal_form

_MORE_WORDS = 5  # of a reference than of the answer: it is then a text about it


@dataclass(frozen=True)
class Target:
    """A problem of the data set."""

    problem_id: str
    prompt: str
    answer: str


@dataclass(frozen=True)
class Scored:
    """What is asked of a verifier's scores: in [0, 1] (`probabilities`), one for the whole (`outcome`)."""

    probabilities: bool
    outcome: bool = False


@dataclass(frozen=True)
class Demands:
    """What is asked of the solutions: scores (`scored`), in [0, 1] (`probabilities`), a number of them.

    `distinct`: drop every exact repetition, not only those in another file. `outcome`: one score is of the
    whole solution. `named`: what is asked of the scores of several verifiers, by name. `budgets`: of a
    published search, which each have solutions of their own; a problem then needs all of them, in every run.
    `shuffled`: take a file although its solutions are about other problems. `graded`: that their texts are
    whole, to be graded here; else their files must say which are right. `voted`: that their answers are
    known, to be picked from.
    """

    scored: bool
    probabilities: bool
    at_least: int
    distinct: bool = False
    outcome: bool = False
    named: Mapping[str, Scored] = field(default_factory=dict)
    budgets: tuple[int, ...] = ()
    shuffled: bool = False
    graded: bool = True
    voted: bool = True


@dataclass
class Pool:
    """Solutions by problem, in the order of the problems, each with its file; of a search, by budget and run.

    `repeated`: how many exact repetitions were dropped; `left_out`: problems with too few solutions, and how
    many they have (of a search, how many of its budgets and runs). `empty`: solutions without text, which are
    kept. `strayed`: what the check for shuffled solutions found in files that were taken all the same.
    """

    solutions: dict[str, list[tuple[str, Solution]]] = field(default_factory=dict)
    repeated: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    empty: int = 0
    strayed: dict[str, Belonging] = field(default_factory=dict)


def pool(
    files: Iterable[tuple[str, Iterable[Solution]]], problems: Sequence[Target], demands: Demands
) -> Pool:
    """All solutions of `files` (name and solutions of each).

    Raises UserError naming the file and row: a solution of a problem that the data set does not have, a
    missing score or one that is no probability, a budget that is not asked for, a file whose solutions are
    shuffled between problems, and where no problem has enough solutions.
    """
    places = {problem.problem_id: place for place, problem in enumerate(problems)}
    prompts: dict[str, list[int]] = {}
    for place, problem in enumerate(problems):
        prompts.setdefault(_plain(problem.prompt), []).append(place)
    by_problem: list[list[tuple[str, Solution]]] = [[] for _ in problems]
    kept: Counter[tuple[object, ...]] = Counter()
    result = Pool()
    for name, solutions in files:
        read = list(solutions)
        if not read:
            raise UserError(f"{name}: holds no solutions")
        filed = [_place(solution, problems, places, prompts) for solution in read]
        found = _belonging(problems, read, filed)
        if found.is_shuffled:
            if not demands.shuffled:
                raise _shuffled(name, problems, read, filed, found)
            result.strayed[name] = found
        here: Counter[tuple[object, ...]] = Counter()
        for solution, place in zip(read, filed, strict=True):
            _check(solution, demands)
            text = solution.text if solution.identity is None else solution.identity
            key = (place, solution.budget, solution.run, text)
            here[key] += 1
            # Nothing is said alike by chance: empty solutions of one file are no clones.
            distinct = demands.distinct and bool(text.strip())
            if kept[key] >= (1 if distinct else here[key]):
                result.repeated += 1
                continue
            kept[key] += 1
            result.empty += not solution.text.strip()
            by_problem[place].append((name, solution))
    if demands.budgets:
        _arrange_searches(problems, by_problem, demands.budgets, result)
        return result
    for problem, members in zip(problems, by_problem, strict=True):
        if len(members) < demands.at_least:
            result.left_out[problem.problem_id] = len(members)
        else:
            result.solutions[problem.problem_id] = members
    if not result.solutions:
        most = max(result.left_out.values())
        raise UserError(
            f"at_least: no problem has {demands.at_least} solutions, the most are {most}; "
            "lower it, or add files"
        )
    return result


def _arrange_searches(
    problems: Sequence[Target],
    by_problem: Sequence[list[tuple[str, Solution]]],
    budgets: tuple[int, ...],
    result: Pool,
) -> None:
    """Solutions by budget and run, runs numbered from 0; problems that lack any are left out.

    Raises UserError for a budget without solutions, and where budgets differ in their runs.
    """
    runs: dict[int, set[int | None]] = {budget: set() for budget in budgets}
    for members in by_problem:
        for _, solution in members:
            runs[solution.budget or 0].add(solution.run)
    missing = [budget for budget, found in runs.items() if not found]
    if missing:
        raise UserError(
            f"budgets: no solutions at {', '.join(map(str, missing))}; leave it out, or add files"
        )
    counts = {budget: len(found) for budget, found in runs.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} at budget {budget}" for budget, count in counts.items())
        raise UserError(f"budgets: the numbers of runs differ ({told}); give as many of each")
    order = {
        (budget, run): (place, number)
        for place, budget in enumerate(budgets)
        for number, run in enumerate(sorted(runs[budget], key=lambda run: -1 if run is None else run))
    }
    for problem, members in zip(problems, by_problem, strict=True):
        found = {(one.budget or 0, one.run) for _, one in members}
        if len(found) < len(order):
            result.left_out[problem.problem_id] = len(found)
            continue
        members.sort(key=lambda member: order[member[1].budget or 0, member[1].run])
        result.solutions[problem.problem_id] = [
            (name, replace(one, run=order[one.budget or 0, one.run][1])) for name, one in members
        ]
    if not result.solutions:
        raise UserError(
            f"budgets: no problem has solutions at each of {', '.join(map(str, budgets))} in every run; "
            "leave some out, or add files"
        )


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
    # The text is the problem's: a reference may be written in another way, but be neither another nor prose.
    if solution.reference is not None and (
        _certainly_other(solution.reference, target.answer) or _is_prose(solution.reference, target.answer)
    ):
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


def _is_prose(reference: str, answer: str) -> bool:
    """Whether a reference is much longer than the answer, and not the same."""
    words = len(reference.rpartition("####")[2].split())
    return words > len(answer.split()) + _MORE_WORDS and not _same_answer(reference, answer)


def _certainly_other(reference: str, answer: str) -> bool:
    """Whether two references are different numbers."""
    first, second = _normal_forms(reference, answer)
    return first != second and exact_verdict(first, second) is False


def _check(solution: Solution, demands: Demands) -> None:
    _check_known(solution, demands)
    if demands.budgets and solution.budget not in demands.budgets:
        has = "no budget" if solution.budget is None else f"budget {solution.budget}"
        raise UserError(
            f"{solution.place}: has {has}, and the generator's `budgets` are "
            f"{', '.join(map(str, demands.budgets))}; give each file or row its budget, or choose by `where`"
        )
    if not demands.budgets and solution.budget is not None:
        raise UserError(
            f"{solution.place}: has budget {solution.budget}: it is of a search; list its budgets in "
            "`budgets`, or leave the column unread (`ignore: [budget]`) if these are samples"
        )
    if demands.scored:
        _check_scores(solution, solution.scores, Scored(demands.probabilities, demands.outcome), "")
    for name, asked in demands.named.items():
        _check_scores(solution, solution.named_scores.get(name), asked, f" by {name}")


def _check_scores(solution: Solution, scores: Sequence[float] | None, asked: Scored, who: str) -> None:
    if scores is None:
        if not solution.text.strip():
            return  # there was nothing to score
        raise UserError(
            f"{solution.place}: has no score{who}; leave it out of `verifier` or `verifiers`, "
            "or use scored files"
        )
    wanted = 1 if asked.outcome else len(solution.steps)
    if len(scores) != wanted:
        raise UserError(
            f"{solution.place}: {wanted} steps but {len(scores)} scores{who}; "
            "which score belongs to which step is lost"
            if not asked.outcome
            else f"{solution.place}: {len(scores)} scores{who}, which scores whole solutions (`outcome`)"
        )
    if asked.probabilities and not all(0.0 <= score <= 1.0 for score in scores):
        wrong = next(score for score in scores if not 0.0 <= score <= 1.0)
        raise UserError(
            f"{solution.place}: the score {wrong:g}{who} is no probability; "
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


def _belonging(problems: Sequence[Target], solutions: Sequence[Solution], filed: Sequence[int]) -> Belonging:
    used = sorted(set(filed))
    rank = {place: number for number, place in enumerate(used)}
    found = belonging(
        [problems[place].prompt for place in used],
        [solution.text for solution in solutions],
        [rank[place] for place in filed],
    )
    return found if found.home is None else replace(found, home=used[found.home])


def _shuffled(
    name: str,
    problems: Sequence[Target],
    solutions: Sequence[Solution],
    filed: Sequence[int],
    found: Belonging,
) -> UserError:
    assert found.stray is not None  # of clear ones that are not about their own
    assert found.home is not None
    return UserError(
        f"{name}: its solutions are shuffled between problems: of {found.clear} that are clearly about "
        f"one problem, only {found.own} are about the one they are filed under. "
        f"{solutions[found.stray].place} is about '{problems[found.home].prompt:.60}', not "
        f"'{problems[filed[found.stray]].prompt:.60}'; if you know better, `shuffled: report` takes it"
    )


def _plain(text: str) -> str:
    return " ".join(text.split())
