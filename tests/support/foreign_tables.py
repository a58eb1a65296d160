"""Foreign tables of known content: valid ones of every format, then changed as people's files differ.

A case knows what its file says, so that whatever is read of it is right, refused, or wrong without a word.
"""

import gzip
import io
import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from isoflop.data.pooling import Target

Rows = list[dict[str, Any]]
# Problem, text, tokens (None where nobody counted), scores.
Said = tuple[str, str, int | None, tuple[float, ...] | None]
Truth = list[Said]

SUMS = [(17, 25), (31, 46), (58, 13), (64, 29)]
PROBLEMS = [
    Target(f"s{a}", f"Ann has {a} nuts and buys {b} more. How many are there?", str(a + b)) for a, b in SUMS
]
_OTHER_NAMES = (
    "question", "query", "id", "response", "output", "completion", "gold", "n_tokens", "length", "reward",
    "note", "Text", "text ", "texts", "prob", "extra", "model_answer", "result",
)  # fmt: skip
_JUNK: tuple[Any, ...] = (
    None,
    "",
    0,
    -3,
    2.5,
    True,
    "many",
    [],
    {},
    [1, 2],
    {"a": 1},
    10**30,
    "nan",
    float("nan"),
)


@dataclass
class Case:
    """A file, how it is read, and what it says. `optional`: what the file may rightly not tell any more.
    `origin`: what renamed columns were called. `typed`: there is a value of a wrong type, which no CSV holds.
    """

    format: str
    rows: Rows
    truth: Truth
    scored: bool
    columns: dict[str, str] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    typed: bool = False
    origin: dict[str, str] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)


def cases(count: int, seed: int) -> Iterator[tuple[Case, str, bytes]]:
    """Cases with the name and the content of their files."""
    chance = random.Random(seed)
    for _ in range(count):
        case = chance.choice(_FORMATS)(chance)
        for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
            chance.choice(_CHANGES)(case, chance)
        if chance.random() < 0.2:
            chance.choice((_move, _shorten))(case, chance)
        yield case, *_file(case, chance)


def _solutions(chance: random.Random) -> Iterator[tuple[int, str, int, list[float]]]:
    for place, (a, b) in enumerate(SUMS):
        for number in range(chance.choice((1, 2))):
            wrong = chance.choice((0, 0, 1))
            text = f"Add {a} and {b}, try {number}.\n\nThe answer is {a + b + wrong}."
            scores = [round(chance.uniform(0.05, 0.95), 3) for _ in range(2)]
            yield place, text, 20 + chance.randrange(50), scores


def _table(chance: random.Random) -> Case:
    rows: Rows = []
    truth: Truth = []
    by_text = chance.random() < 0.5
    for place, text, tokens, scores in _solutions(chance):
        problem = PROBLEMS[place]
        key = {"problem": problem.prompt} if by_text else {"problem_id": problem.problem_id}
        rows.append(key | {"text": text, "tokens": tokens, "score": scores[0], "reference": problem.answer})
        truth.append((problem.problem_id, text, tokens, (scores[0],)))
    return Case("table", rows, truth, chance.random() < 0.5)


def _stepped(chance: random.Random) -> Case:
    rows: Rows = []
    truth: Truth = []
    for place, text, tokens, scores in _solutions(chance):
        first, second = text.split("\n\n")
        steps = [first + "\n\n", second]
        rows.append(
            {
                "problem_id": PROBLEMS[place].problem_id,
                "steps": steps,
                "step_scores": scores,
                "tokens": tokens,
            }
        )
        truth.append((PROBLEMS[place].problem_id, text, tokens, tuple(scores)))
    return Case("table", rows, truth, chance.random() < 0.5)


def _grouped(chance: random.Random) -> list[tuple[Target, list[tuple[str, int, list[float]]]]]:
    found: dict[int, list[tuple[str, int, list[float]]]] = {}
    for place, text, tokens, scores in _solutions(chance):
        found.setdefault(place, []).append((text, tokens, scores))
    return [(PROBLEMS[place], members) for place, members in found.items()]


def _nested(chance: random.Random) -> Case:
    rows: Rows = []
    truth: Truth = []
    for problem, members in _grouped(chance):
        rows.append(
            {
                "problem": problem.prompt,
                "reference": int(problem.answer),
                "text": [text for text, *_ in members],
                "tokens": [tokens for _, tokens, _ in members],
                "score": [scores[0] for *_, scores in members],
            }
        )
        truth += [(problem.problem_id, text, tokens, (scores[0],)) for text, tokens, scores in members]
    return Case("table", rows, truth, chance.random() < 0.5)


def _search_and_learn(chance: random.Random) -> Case:
    rows: Rows = []
    truth: Truth = []
    for problem, members in _grouped(chance):
        rows.append(
            {
                "problem": problem.prompt,
                "answer": problem.answer,
                "unique_id": problem.problem_id,
                "completions": [text for text, *_ in members],
                "scores": [scores for *_, scores in members],
                "completion_tokens": [tokens for _, tokens, _ in members],
                "level": 1,
            }
        )
        truth += [(problem.problem_id, text, tokens, tuple(scores)) for text, tokens, scores in members]
    return Case("search-and-learn", rows, truth, chance.random() < 0.5)


def _qwen(chance: random.Random) -> Case:
    rows: Rows = []
    truth: Truth = []
    for problem, members in _grouped(chance):
        rows.append(
            {
                "question": problem.prompt,
                "gt": problem.answer,
                "code": [text for text, *_ in members],
                "pred_score": [scores[:1] for *_, scores in members],
            }
        )
        truth += [(problem.problem_id, text, None, tuple(scores[:1])) for text, _, scores in members]
    return Case("qwen-math", rows, truth, chance.random() < 0.5)


def _lm_eval(chance: random.Random) -> Case:
    rows: Rows = []
    truth: Truth = []
    for number, (problem, members) in enumerate(_grouped(chance)):
        rows.append(
            {
                "doc_id": number,
                "doc": {"question": problem.prompt, "answer": problem.answer},
                "target": problem.answer,
                "resps": [[text for text, *_ in members]],
                "filter": "none",
            }
        )
        truth += [(problem.problem_id, text, None, None) for text, *_ in members]
    return Case("lm-eval", rows, truth, False)


def _optimal_tts(chance: random.Random) -> Case:
    rows: Rows = []
    truth: Truth = []
    for problem, members in _grouped(chance):
        output = [
            {"text": text, "reward_history": scores, "token_history": [tokens - 1, 1]}
            for text, tokens, scores in members
        ]
        rows.append({"question": problem.prompt, "groundtruth": problem.answer, "output": output})
        truth += [(problem.problem_id, text, tokens, tuple(scores)) for text, tokens, scores in members]
    return Case("optimal-tts", rows, truth, chance.random() < 0.5)


def _column(case: Case, chance: random.Random) -> str:
    return chance.choice(list(case.rows[0]))


def _rename(case: Case, chance: random.Random) -> None:
    old, new = _column(case, chance), chance.choice(_OTHER_NAMES)
    if any(new in row for row in case.rows):
        return
    case.history.append(f"rename {old} {new}")
    case.origin[new] = case.origin.get(old, old)
    case.rows = [{new if name == old else name: value for name, value in row.items()} for row in case.rows]
    if chance.random() < 0.5 and old in _READ[case.format] and new == new.strip():
        case.columns[old] = new
    elif old in case.columns.values() and chance.random() < 0.5:
        case.columns = {name: new if path == old else path for name, path in case.columns.items()}


def _exchange(case: Case, chance: random.Random) -> None:
    """Two columns under each other's names."""
    first, second = _column(case, chance), _column(case, chance)
    case.history.append(f"exchange {first} {second}")
    names = {first: second, second: first}
    if first != second:
        case.rows = [{names.get(name, name): value for name, value in row.items()} for row in case.rows]


def _drop(case: Case, chance: random.Random) -> None:
    name = _column(case, chance)
    if any(one.startswith("exchange") for one in case.history):
        return  # nothing may be left that tells
    some = chance.random() < 0.3
    case.typed |= some  # in a CSV what is missing is empty
    case.history.append(f"drop {name} some={some}")
    case.optional.add(case.origin.get(name, name))
    case.rows = [
        row if some and chance.random() < 0.5 else {key: value for key, value in row.items() if key != name}
        for row in case.rows
    ]
    case.rows = [row or {"note": 1} for row in case.rows]


def _nest(case: Case, chance: random.Random) -> None:
    name, outer = _column(case, chance), chance.choice(("meta", "response", "doc", "data"))
    if any(outer in row for row in case.rows):
        return
    case.history.append(f"nest {name} {outer}")
    case.origin[outer] = case.origin.get(name, name)
    case.rows = [
        {
            (outer if key == name else key): ({key: value} if key == name else value)
            for key, value in row.items()
        }
        for row in case.rows
    ]
    if chance.random() < 0.5 and name in _READ[case.format]:
        case.columns[name] = f"{outer}.{name}"


def _retype(case: Case, chance: random.Random) -> None:
    """The same value as another type, in one row or in all."""
    name, everywhere = _column(case, chance), chance.random() < 0.5
    if case.origin.get(name, name) in case.optional:
        return  # it says something else already
    turn: Callable[[Any], Any] = chance.choice(
        (
            str,
            lambda one: [one],
            lambda one: {"value": one},
            lambda one: float(one) if type(one) is int else one,
        )
    )
    case.history.append(f"retype {name} everywhere={everywhere}")
    chosen = range(len(case.rows)) if everywhere else [chance.randrange(len(case.rows))]
    for place in chosen:
        if name in case.rows[place]:
            case.rows[place] = case.rows[place] | {name: turn(case.rows[place][name])}


def _junk(case: Case, chance: random.Random) -> None:
    """A value that says something else, in one row: whatever is read of it must be refused, or be missing."""
    name, place = _column(case, chance), chance.randrange(len(case.rows))
    value = chance.choice(_JUNK)
    before = case.rows[place].get(name)
    if case.origin.get(name, name) in case.optional:
        return
    inner = before[0] if isinstance(before, list) and len(before) == 1 else before
    if isinstance(value, type(before)) or {type(inner), type(value)} <= {int, float}:
        return  # who is to say that it is not meant?
    case.typed = True
    case.history.append(f"junk {name} row {place} {value!r}")
    case.optional.add(case.origin.get(name, name))
    case.rows[place] = case.rows[place] | {name: value}


def _shorten(case: Case, chance: random.Random) -> None:
    """A list that lost an element."""
    name, place = _column(case, chance), chance.randrange(len(case.rows))
    value = case.rows[place].get(name)
    # Of solutions, or of steps whose scores nobody has: these are then fewer.
    fewer = case.origin.get(name, name) == "output" or {"step_scores", "pred_score"} & {
        *case.optional,
        *case.origin.values(),
    }
    whole = case.origin.get(name, name) not in case.optional and not fewer
    if isinstance(value, list) and len(value) > 1 and whole:
        case.history.append(f"shorten {name} row {place}")
        case.rows[place] = case.rows[place] | {name: value[:-1]}


def _add(case: Case, chance: random.Random) -> None:
    name = chance.choice(
        ("note", "model", "budget", "answer", "steps", "correct", "tokens ", "score2", "data")
    )
    if any(name in row for row in case.rows):
        return
    case.history.append(f"add {name}")
    case.rows = [row | {name: chance.choice((1, "a", "b", None, 0.5))} for row in case.rows]


def _move(case: Case, chance: random.Random) -> None:
    """A row under another problem's name."""
    keys = ("problem", "problem_id", "question", "unique_id")
    names = [name for name in keys if name in case.rows[0] and name not in case.origin]
    # Without a reference, nothing in one row says that it is not about its problem.
    references = {"reference", "gt", "groundtruth", "answer"}
    if not names or not references & case.rows[0].keys() or references & case.optional:
        return
    if any(one.startswith("exchange") for one in case.history):
        return
    name = chance.choice(names)
    first, second = chance.randrange(len(case.rows)), chance.randrange(len(case.rows))
    if case.rows[first].get(name) == case.rows[second].get(name) or len(case.rows[first]) < 4:
        return
    case.history.append(f"move {name} {first} {second}")
    case.rows[first] = case.rows[first] | {name: case.rows[second].get(name)}


_FORMATS: tuple[Callable[[random.Random], Case], ...] = (
    _table, _table, _stepped, _nested, _nested, _search_and_learn, _search_and_learn, _qwen, _lm_eval,
    _optimal_tts,
)  # fmt: skip
_CHANGES: tuple[Callable[[Case, random.Random], None], ...] = (
    _rename, _rename, _exchange, _drop, _nest, _retype, _junk, _junk, _add,
)  # fmt: skip
_READ = {
    "table": ("problem_id", "problem", "text", "steps", "tokens", "score", "step_scores", "reference"),
    "search-and-learn": ("problem", "answer", "unique_id", "completions", "scores", "completion_tokens"),
    "qwen-math": ("question", "code", "gt", "pred_score"),
    "lm-eval": ("doc_id", "doc", "target", "resps"),
    "optimal-tts": ("question", "groundtruth", "output"),
}


def _file(case: Case, chance: random.Random) -> tuple[str, bytes]:
    """The rows as a file of some kind; nested values only where the kind has them."""
    lines = "".join(json.dumps(row) + "\n" for row in case.rows).encode()
    kind = chance.choice(("jsonl", "jsonl", "json", "jsonl.gz", "parquet", "csv"))
    if kind == "json":
        return "a.json", json.dumps(case.rows).encode()
    if kind == "jsonl.gz":
        return "a.jsonl.gz", gzip.compress(lines, mtime=0)
    flat = not any(isinstance(value, list | dict) for row in case.rows for value in row.values())
    buffer = io.BytesIO()
    if kind == "csv" and flat and not case.typed:
        pd.DataFrame(case.rows).to_csv(buffer, index=False)
        return "a.csv", buffer.getvalue()
    if kind == "parquet" and not case.typed:
        try:
            pd.DataFrame(case.rows).to_parquet(buffer)
        except (ValueError, TypeError, OverflowError):  # columns of mixed types are no Parquet
            return "a.jsonl", lines
        return "a.parquet", buffer.getvalue()
    return "a.jsonl", lines


def differs(found: Truth, case: Case) -> str:
    """What was read wrongly; empty where all is right.

    What the file does not tell any more may be missing.
    """

    def known(one: Any) -> bool:
        return one is not None and not (isinstance(one, float) and math.isnan(one))

    told = sorted((problem, text) for problem, text, *_ in found)
    true = sorted((problem, text) for problem, text, *_ in case.truth)
    if told != true:
        return f"solutions {set(told) ^ set(true)}"
    pairs = {(problem, text): (tokens, scores) for problem, text, tokens, scores in case.truth}
    for problem, text, tokens, scores in found:
        true_tokens, true_scores = pairs[problem, text]
        if known(tokens) and tokens != true_tokens:
            return f"tokens {tokens}, not {true_tokens}"
        if (
            tokens is None
            and true_tokens is not None
            and not case.optional & {"tokens", "completion_tokens", "output"}
        ):
            return "tokens are lost"
        if scores is not None and scores != true_scores and case.scored:
            return f"scores {scores}, not {true_scores}"
        if scores is None and true_scores is not None and case.scored:
            return "scores are lost"
    return ""
