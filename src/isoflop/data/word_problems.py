"""Grade-school word problems with distractors: the language the shipped models speak.

A problem is a few plain sentences about who has how many of something, in the order of a story, and
a question. Its level is the number of calculations the answer needs (1-5). Some sentences are
distractors, about things nobody asked for. The reference solution is one line per calculation, each
restating the facts it uses before it computes:

    Ana has 19 pears. Mia has 64 apples. Compared with Mia, Tom has 26 more apples. Mia also has 13
    pears. How many apples does Tom have?

    Mia has 64 apples. Compared with Mia, Tom has 26 more apples: 64 + 26 = 90.
    The answer is 90.

Splits are disjoint by construction: a problem belongs to the split that the hash of its structure
and numbers names, whatever the people and things are called.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from isoflop.errors import UserError
from isoflop.seeds import derive_seed

NAMES = (
    "Mia", "Tom", "Ana", "Leo", "Eva", "Sam", "Zoe", "Max",
    "Lily", "Ben", "Ruth", "Omar", "Nina", "Carl", "Iris", "Hugo",
)  # fmt: skip
THINGS = (
    "apples", "pears", "books", "coins", "shells", "cards", "stamps", "marbles", "stickers", "pencils",
)  # fmt: skip
LEVELS = (1, 2, 3, 4, 5)
SPLITS = ("train", "dev", "test")
LARGEST = 499
_GIVEN_RANGE = (10, 80)
_DIFFERENCE_RANGE = (5, 60)
_TIMES_RANGE = (2, 3)
_ASIDES_RANGE = (0, 2)
_SPLIT_SHARES = 20


@dataclass(frozen=True)
class Fact:
    """One person's holding: a given number, or a relation to one or two other people."""

    person: str
    kind: str  # given | more | fewer | times | half | together
    number: int
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class WordProblem:
    """A problem, its reference solution and, for checking steps, the true holding of each person."""

    problem_id: str
    prompt: str
    answer: str
    level: int
    solution: str


def statement(fact: Fact, things: str) -> str:
    """What `fact` says, without the full stop."""
    if fact.kind == "given":
        return f"{fact.person} has {fact.number} {things}"
    head = f"Compared with {fact.others[0]}, {fact.person} has"
    match fact.kind:
        case "more" | "fewer":
            return f"{head} {fact.number} {fact.kind} {things}"
        case "times":
            return f"{head} {'twice' if fact.number == 2 else f'{fact.number} times'} as many {things}"
        case "half":
            return f"{head} half as many {things}"
        case "together":
            return f"{head} more {things}, by as many as {fact.others[1]} has"
    raise ValueError(fact.kind)


def solution_step(fact: Fact, things: str, operands: Sequence[int], given: Sequence[Fact]) -> str:
    """The solution line that applies `fact` to the holdings of the people it refers to.

    `given` are the given facts it uses, restated first; the other operand was found on a line above.
    """
    restated = "".join(f"{statement(used, things)}. " for used in given)
    value = apply_fact(fact, operands)
    sign, right = {
        "more": ("+", fact.number),
        "fewer": ("-", fact.number),
        "times": ("*", fact.number),
        "half": ("/", 2),
        "together": ("+", operands[-1]),
    }[fact.kind]
    return f"{restated}{statement(fact, things)}: {operands[0]} {sign} {right} = {value}."


def apply_fact(fact: Fact, operands: Sequence[int]) -> int:
    """The holding that `fact` gives its person, from the holdings of `fact.others` in that order."""
    match fact.kind:
        case "given":
            return fact.number
        case "more":
            return operands[0] + fact.number
        case "fewer":
            return operands[0] - fact.number
        case "times":
            return operands[0] * fact.number
        case "half":
            return operands[0] // 2
        case "together":
            return operands[0] + operands[1]
    raise ValueError(fact.kind)


def generate_problems(split: str, size: int, seed: int, levels: Sequence[int] = LEVELS) -> list[WordProblem]:
    """`size` distinct problems of `split`, levels in turn; fixed by the arguments alone.

    A longer list with the same arguments begins with the shorter one.
    Raises UserError for an unknown split or level.
    """
    if split not in SPLITS:
        raise UserError(f"wordproblems: split {split!r} is not one of {', '.join(SPLITS)}")
    unknown = [level for level in levels if level not in LEVELS]
    if unknown or not levels:
        raise UserError(f"wordproblems: levels must be among {list(LEVELS)}, not {list(levels)}")
    problems: list[WordProblem] = []
    seen: set[str] = set()
    for index in range(size):
        level = levels[index % len(levels)]
        rng = random.Random(derive_seed("wordproblems", seed, split, index))
        while True:
            facts, asked = _draw(rng, level)
            if _split_of(facts, asked) != split:
                continue
            problem = _write(f"{split}-{index:05d}", level, facts, asked, rng)
            if problem.prompt not in seen:
                break
        seen.add(problem.prompt)
        problems.append(problem)
    return problems


def _draw(rng: random.Random, level: int) -> tuple[list[Fact], str]:
    """Facts in the order they are told, and the person asked about, whose holding is the last fact."""
    people = iter(rng.sample(NAMES, len(NAMES)))
    facts = [Fact(next(people), "given", rng.randint(*_GIVEN_RANGE))]
    value = facts[0].number
    for _ in range(level):
        to = facts[-1].person
        while True:
            kind = rng.choice(("more", "fewer", "times", "half", "together"))
            number = {
                "more": rng.randint(*_DIFFERENCE_RANGE),
                "fewer": rng.randint(*_DIFFERENCE_RANGE),
                "times": rng.randint(*_TIMES_RANGE),
                "half": 0,
                "together": rng.randint(*_GIVEN_RANGE),
            }[kind]
            result = apply_fact(Fact("", kind, number), [value, number])
            if 1 <= result <= LARGEST and not (kind == "half" and value % 2):
                break
        others: tuple[str, ...] = (to,)
        if kind == "together":
            facts.append(Fact(next(people), "given", number))
            others, number = (to, facts[-1].person), 0
        facts.append(Fact(next(people), kind, number, others))
        value = result
    return facts, facts[-1].person


def _write(problem_id: str, level: int, facts: Sequence[Fact], asked: str, rng: random.Random) -> WordProblem:
    things, other_things = rng.sample(THINGS, 2)
    sentences = [f"{statement(fact, things)}." for fact in facts]
    strangers = [name for name in NAMES if name not in {fact.person for fact in facts}]
    for _ in range(rng.randint(*_ASIDES_RANGE)):
        place = rng.randint(0, len(sentences))
        person, also = rng.choice(strangers), ""
        if place and rng.random() < 0.5:
            person, also = rng.choice(facts[:place]).person, "also "
        sentences.insert(place, f"{person} {also}has {rng.randint(*_GIVEN_RANGE)} {other_things}.")
    prompt = " ".join([*sentences, f"How many {things} does {asked} have?"])
    by_person = {fact.person: fact for fact in facts}
    values = holdings(facts)
    needed = needed_facts(by_person, asked)
    lines = [
        solution_step(
            fact,
            things,
            [values[other] for other in fact.others],
            [by_person[other] for other in fact.others if by_person[other].kind == "given"],
        )
        for fact in needed
    ]
    if len(lines) != level:
        raise AssertionError(f"{problem_id}: {len(lines)} steps at level {level}")
    lines.append(f"The answer is {values[asked]}.")
    return WordProblem(problem_id, prompt, str(values[asked]), level, "\n".join(lines) + "\n")


def holdings(facts: Sequence[Fact]) -> dict[str, int]:
    """What each person has; `facts` in an order in which each refers to earlier ones only."""
    values: dict[str, int] = {}
    for fact in facts:
        values[fact.person] = apply_fact(fact, [values[other] for other in fact.others])
    return values


def needed_facts(by_person: dict[str, Fact], asked: str) -> list[Fact]:
    """The calculations that the holding of `asked` depends on, each after those it needs."""
    ordered: list[Fact] = []

    def visit(person: str) -> None:
        fact = by_person[person]
        for other in fact.others:
            visit(other)
        if fact.kind != "given" and fact not in ordered:
            ordered.append(fact)

    visit(asked)
    return ordered


def _split_of(facts: Sequence[Fact], asked: str) -> str:
    """The split of every problem with this structure and these numbers."""
    places = {fact.person: place for place, fact in enumerate(facts)}
    told = ";".join(
        f"{fact.kind},{fact.number},{','.join(str(places[other]) for other in fact.others)}" for fact in facts
    )
    share = derive_seed("wordproblems-split", told, places[asked]) % _SPLIT_SHARES
    return {0: "test", 1: "dev"}.get(share, "train")


_GIVEN = re.compile(r"(?P<person>\w+) has (?P<number>\d+) (?P<things>\w+)")
_COMPARED = re.compile(
    r"Compared with (?P<first>\w+), (?P<person>\w+) has (?:"
    r"(?P<difference>\d+) (?P<direction>more|fewer) \w+"
    r"|(?P<times>twice|\d+ times) as many \w+"
    r"|(?P<half>half) as many \w+"
    r"|more \w+, by as many as (?P<second>\w+) has)"
)
_QUESTION = re.compile(r"How many (?P<things>\w+) does (?P<asked>\w+) have\?")
_STEP = re.compile(
    r"(?:\w+ has \d+ \w+\. )*Compared with \w+, (?P<person>\w+) has [^:]*: "
    r"(?P<left>\d+) (?P<sign>[-+*/]) (?P<right>\d+) = (?P<value>\d+)\."
)
_ANSWER = re.compile(r"The answer is (?P<value>\d+)\.")


def read_facts(prompt: str) -> tuple[list[Fact], str]:
    """The facts a problem states, in order, without its asides, and the person it asks about."""
    question = _QUESTION.search(prompt)
    if question is None:
        raise UserError(f"not a word problem of this project: {prompt[:80]!r}")
    facts = []
    for told in prompt[: question.start()].split("."):
        if match := _GIVEN.fullmatch(told.strip()):
            if match["things"] == question["things"]:
                facts.append(Fact(match["person"], "given", int(match["number"])))
        elif match := _COMPARED.fullmatch(told.strip()):
            facts.append(_comparison(match))
    return facts, question["asked"]


def _comparison(match: re.Match[str]) -> Fact:
    person, first = match["person"], match["first"]
    if match["difference"]:
        return Fact(person, match["direction"], int(match["difference"]), (first,))
    if match["times"]:
        return Fact(
            person, "times", 2 if match["times"] == "twice" else int(match["times"].split()[0]), (first,)
        )
    if match["half"]:
        return Fact(person, "half", 0, (first,))
    return Fact(person, "together", 0, (first, match["second"]))


def true_steps(prompt: str, steps: Sequence[str]) -> list[bool]:
    """For each step of a solution, whether it and all before it are true of the problem.

    A calculation is true if its arithmetic holds and its result is what that person really has;
    the last line is true if it names the answer. This is a yardstick for verifiers; none is
    trained on it.
    """
    facts, asked = read_facts(prompt)
    values = holdings(facts)
    verdicts: list[bool] = []
    so_far = True
    for step in steps:
        so_far = so_far and _is_true(step.strip(), values, asked)
        verdicts.append(so_far)
    return verdicts


def _is_true(step: str, values: dict[str, int], asked: str) -> bool:
    if match := _ANSWER.fullmatch(step):
        return int(match["value"]) == values[asked]
    if match := _STEP.fullmatch(step):
        left, right, value = int(match["left"]), int(match["right"]), int(match["value"])
        holds = {
            "+": left + right == value,
            "-": left - right == value,
            "*": left * right == value,
            "/": value * right == left,
        }[match["sign"]]
        return holds and values.get(match["person"]) == value
    return False


def vocabulary() -> list[str]:
    """Every piece of text a problem, a solution or a step tag is made of, a space before each word."""
    words = [
        "The", "answer", "is", "How", "many", "does", "have", "has", "also", "more", "fewer", "as",
        "twice", "times", "half", "Compared", "with", "by",
    ]  # fmt: skip
    pieces = ["\n", ".", ",", ":", "?", " +", " -", " *", " /", " =", " ки"]
    pieces += [f"{space}{digit}" for space in ("", " ") for digit in range(10)]
    pieces += [f" {word}" for word in (*words, *NAMES, *THINGS)]
    return pieces
