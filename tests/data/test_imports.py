"""Files of published solutions: every format, the pool they make, and what is refused."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isoflop.data.format import import_format
from isoflop.data.notes import pool_notes
from isoflop.data.pooling import Demands, Pool, Scored, Target, pool
from isoflop.data.shuffle_check import belonging
from isoflop.data.solutions import Solution, split_scored
from isoflop.errors import UserError
from isoflop.files import local_files

REAL = Path(os.environ.get("ISOFLOP_DATA") or Path(__file__).parents[3] / "shared" / "data")
ANY = Demands(scored=False, probabilities=False, at_least=1)
SCORED = Demands(scored=True, probabilities=True, at_least=1)


def read(name: str, *rows: Mapping[str, Any]) -> list[Solution]:
    return list(
        import_format(name).read((f"a.jsonl, line {number}", row) for number, row in enumerate(rows, start=1))
    )


def refusal(name: str, row: Mapping[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        read(name, row)
    return str(caught.value)


SEARCH = {
    "problem": "What is 2 + 3?",
    "answer": "5",
    "unique_id": "sum/1",
    "completions": ["Add them.\n\nThe answer is 5.", "It is 6."],
    "scores": [[0.9, 0.8], [0.1]],
    "completion_tokens": [9, -1],
}


def test_search_and_learn() -> None:
    first, second = read("search-and-learn", SEARCH)
    assert first == Solution(
        place="a.jsonl, line 1, completion 1",
        problem="sum/1",
        prompt="What is 2 + 3?",
        reference="5",
        steps=("Add them.\n\n", "The answer is 5."),
        scores=(0.9, 0.8),
        tokens=9,
    )
    assert (second.steps, second.scores, second.tokens) == (("It is 6.",), (0.1,), None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scores": [[0.9, 0.8]]}, "line 1: 2 completions but 1 scores"),
        ({"scores": [[0.9], [0.1]]}, "completion 1: 2 steps but 1 step scores"),
        ({"scores": [[0.9, None], [0.1]]}, "completion 1: score 2 is None"),
        ({"scores": [[0.9, float("nan")], [0.1]]}, "completion 1: score 2 is nan"),
        ({"completions": ["a", 3]}, "entry 2 of 'completions' is int"),
        ({"completion_tokens": [9, "many"]}, "completion 2: 'many' is not a number of tokens"),
    ],
)
def test_search_and_learn_rows_at_fault(change: dict[str, Any], said: str) -> None:
    assert said in refusal("search-and-learn", SEARCH | change)


def test_another_format_is_named_by_the_field_it_lacks() -> None:
    assert "no field 'response'" in refusal("qwen-math", SEARCH)
    assert "is the file of another format?" in refusal("rebase", SEARCH)


def test_an_empty_last_step_takes_its_score_with_it() -> None:
    """search-and-learn appends one and uses its score."""
    steps, scores = split_scored("One.\n\nTwo.\n\n", "\n\n", (0.5, 0.25, 0.99), "here")
    assert (steps, scores) == (("One.\n\n", "Two.\n\n"), (0.5, 0.25))
    assert split_scored("\n\nOne.", "\n\n", (0.1, 0.5), "here") == (("\n\nOne.",), (0.5,))


def test_rebase() -> None:
    row = {
        "question": "Q?",
        "ground_truth_answer": "5",
        "total_tokens": 900,
        "model_answer": [
            {"text": "Q?\nStep 1: a ки\nStep 2: The answer is: 5 ки", "step_scores": [0.5, 0.25]}
        ],
    }
    [leaf] = read("rebase", row)
    assert leaf.steps == ("\nStep 1: a ки\n", "Step 2: The answer is: 5 ки")
    assert (leaf.scores, leaf.tokens, leaf.reference, leaf.prompt) == ((0.5, 0.25), None, "5", "Q?")
    row["model_answer"] = [{"text": "Q? Step 1: a", "step_scores": [0.5, 0.25]}]
    assert "answer 1: 1 steps but 2 step scores" in refusal("rebase", row)


def test_qwen_math() -> None:
    row = {"question": "Q?", "gt": "5", "code": ["It is 5.", "6"], "pred_score": [[3.5], [-1.25]]}
    first, second = read("qwen-math", row)
    assert (first.steps, first.scores, first.reference) == (("It is 5.",), (3.5,), "5")
    assert second.scores == (-1.25,)
    assert "2 code but 1 pred_score" in refusal("qwen-math", row | {"pred_score": [[3.5]]})


def test_lm_eval_takes_one_filter_and_the_unfiltered_responses() -> None:
    row = {"doc_id": 0, "doc": {"question": "Q?", "answer": "a #### 5"}, "target": "5", "filter": "strict"}
    row |= {"resps": [["It is 5.", "It is 6."]], "filtered_resps": [["5"]]}
    found = read("lm-eval", row, row | {"filter": "flexible"}, row | {"doc_id": 1})
    assert [solution.text for solution in found] == ["It is 5.", "It is 6."] * 2
    assert found[0].prompt == "Q?"
    assert "a generative task has one per document" in refusal("lm-eval", row | {"resps": [["a"], ["b"]]})
    assert "a generative task's responses are texts" in refusal("lm-eval", row | {"resps": [[[-1.5, True]]]})


def test_optimal_tts() -> None:
    path = {"text": "## Step 1: a\n\n## Step 2: b", "reward_history": [0.5, 0.25], "token_history": [4, 5]}
    row = {"question": "Q?", "groundtruth": "5", "output": [path]}
    [found] = read("optimal-tts", row)
    assert (found.steps, found.scores, found.tokens) == (
        ("## Step 1: a\n\n", "## Step 2: b"),
        (0.5, 0.25),
        9,
    )
    assert read("optimal-tts", row | {"output": [path | {"token_history": [4, 0]}]})[0].tokens is None
    late = {"text": "[TIMEOUT] Solution took longer", "reward_history": [0.0]}
    assert "output 1: holds the mark of a search that ran out of time" in refusal(
        "optimal-tts", row | {"output": [late]}
    )
    failed = {"text": "## Step 1: a", "reward_history": [0.0]}
    assert "line 1: every reward is a lone 0.0: its verifier failed" in refusal(
        "optimal-tts", row | {"output": [failed, failed]}
    )
    assert len(read("optimal-tts", row | {"output": [failed, path]})) == 2
    assert "as many steps as there are rewards (3)" in refusal(
        "optimal-tts", row | {"output": [path | {"reward_history": [0.5, 0.5, 0.5]}]}
    )


@pytest.mark.parametrize(
    ("row", "steps", "scores"),
    [
        ({"text": "It is 5.", "score": 0.5}, ("It is 5.",), (0.5,)),
        ({"steps": ["a ", "b"], "step_scores": [0.5, 0.25]}, ("a ", "b"), (0.5, 0.25)),
        ({"answer": 5}, ("\\boxed{5}",), None),
    ],
)
def test_the_generic_table(row: dict[str, Any], steps: Any, scores: Any) -> None:
    [found] = read("table", {"problem_id": "p1", "finish": "length", "tokens": -1} | row)
    assert (found.steps, found.scores, found.tokens, found.truncated) == (steps, scores, None, True)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "a"}, "neither problem_id nor problem"),
        ({"problem_id": "p1"}, "none of steps, text and answer"),
        ({"problem_id": "p1", "text": "a", "step_scores": [0.5, 0.5]}, "1 steps but 2 step scores"),
        ({"problem_id": "p1", "text": "a", "finish": "eos"}, "finish is 'eos'"),
        ({"problem_id": "p1", "steps": []}, "steps is an empty list"),
        ({"problem_id": "p1", "text": "a", "tokens": 5, "thinking_tokens": 6}, "6 thinking tokens of 5"),
        ({"problem_id": "p1", "text": "a", "thinking_tokens": 6}, "6 thinking tokens but no `tokens`"),
        ({"problem_id": "p1", "text": "a", "tokens": -1, "thinking_tokens": 6}, "6 thinking tokens but no"),
        ({"problem_id": "p1", "text": "a", "thinking_tokens": "five"}, "'five' is not a number of tokens"),
    ],
)
def test_generic_rows_at_fault(row: dict[str, Any], said: str) -> None:
    assert said in refusal("table", row)


@pytest.mark.parametrize(("given", "thinking"), [(None, None), (-1, None), (0, 0), (7, 7), (9, 9)])
def test_thinking_tokens_of_the_generic_table_are_some_of_all(given: Any, thinking: int | None) -> None:
    row = {"problem_id": "p1", "text": "It is 5.", "tokens": 9, "thinking_tokens": given}
    [found] = read("table", row)
    assert (found.tokens, found.thinking) == (9, thinking)


PROBLEMS = [Target("p1", "What is 2 + 3?", "5"), Target("p2", "What is 4 + 4?", "8")]


def solution(problem: str, text: str, scores: tuple[float, ...] | None = None, **rest: Any) -> Solution:
    fields: dict[str, Any] = {"prompt": None, "reference": None, "tokens": None} | rest
    return Solution(place=f"f, {text}", problem=problem, steps=(text,), scores=scores, **fields)


def together(*files: list[Solution], demands: Demands = ANY) -> Pool:
    named = [(f"f{number}", iter(file)) for number, file in enumerate(files)]
    return pool(named, PROBLEMS, demands)


def test_the_same_samples_published_twice_count_once_and_like_samples_stay() -> None:
    one = [solution("p1", "a"), solution("p1", "a"), solution("p1", "b"), solution("p2", "c")]
    two = [solution("p1", "a"), solution("p1", "d"), solution("p1", "b"), solution("p1", "b")]
    found = together(one, two)
    assert [(name, one.text) for name, one in found.solutions["p1"]] == [
        ("f0", "a"), ("f0", "a"), ("f0", "b"), ("f1", "d"), ("f1", "b"),
    ]  # fmt: skip
    assert found.repeated == 2
    distinct = together(one, two, demands=Demands(False, False, 1, distinct=True))
    assert [one.text for _, one in distinct.solutions["p1"]] == ["a", "b", "d"]
    assert distinct.repeated == 4


def test_problems_with_too_few_solutions_are_left_out_and_counted() -> None:
    file = [solution("p1", "a"), solution("p1", "b"), solution("p2", "c")]
    found = together(file, demands=Demands(False, False, 2))
    assert list(found.solutions) == ["p1"]
    assert found.left_out == {"p2": 1}
    with pytest.raises(UserError, match="no problem has 3 solutions, the most are 2"):
        together(file, demands=Demands(False, False, 3))


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (solution("p9", "a", (0.5,)), "problem 'p9' is not in the data set"),
        (solution("p1", "a"), "has no score"),
        (solution("p1", "a", (1.5,)), "the score 1.5 is no probability"),
        (solution("p1", "a", (0.5, 0.5)), "1 steps but 2 scores"),
        (solution("p1", "a", (0.5,), prompt="What is 4 + 4?"), "problem 'p1' has another text"),
        (solution("p1", "a", (0.5,), reference="6"), "the answer to problem 'p1' is '6' there and '5'"),
    ],
)
def test_solutions_at_fault(one: Solution, said: str) -> None:
    with pytest.raises(UserError, match="f, ") as caught:
        together([one], demands=SCORED)
    assert said in str(caught.value)


def test_a_problem_is_found_by_its_text_whatever_its_spacing() -> None:
    found = together([solution("elsewhere/7", "a", prompt="What  is 2 + 3?\n")])
    assert list(found.solutions) == ["p1"]


def tale(number: int) -> tuple[str, str]:
    """A problem and a solution of it."""
    names = ["Ada", "Bob", "Cyd", "Dan", "Eve", "Fay", "Gus", "Hal", "Ivy", "Jon", "Kim", "Lea", "Max", "Ned"]
    name, thing = names[number % 14], ["apples", "books", "coins", "drums", "eggs", "forks"][number % 6]
    start, more = 100 + 7 * number, 11 + 3 * number
    prompt = f"{name} has {start} {thing} and buys {more} more. How many {thing} does {name} have?"
    return prompt, f"{name} starts with {start} {thing} and buys {more}, so {start + more} in all."


def test_solutions_shuffled_between_problems_are_refused_with_the_evidence() -> None:
    """As search-and-learn's best-of-n files with n > 1: sample (i, j) is problem (i n + j) mod 25's."""
    tales = [tale(number) for number in range(25)]
    problems = [Target(f"p{number}", prompt, "1") for number, (prompt, _) in enumerate(tales)]
    right = [solution(f"p{i}", tales[i][1] + " " * j) for i in range(25) for j in range(2)]
    assert len(pool([("good", iter(right))], problems, ANY).solutions) == 25
    wrong = [solution(f"p{i}", tales[(2 * i + j) % 25][1] + " " * j) for i in range(25) for j in range(2)]
    with pytest.raises(
        UserError, match=r"^bad: its solutions are shuffled between problems: of \d+ .* only 2 "
    ) as caught:
        pool([("good", iter(right)), ("bad", iter(wrong))], problems, ANY)
    assert "is about 'Bob has 107 books" in str(caught.value)


DATA = REAL / "llama-8b-math500"


@pytest.mark.skipif(not DATA.is_dir(), reason="the published Llama solutions are not here")
@pytest.mark.parametrize("samples", [1, 2])
def test_real_solutions_are_taken_and_shuffled_ones_refused(samples: int) -> None:
    path = next(path for path in sorted(DATA.iterdir()) if f"_n{samples}_" in path.name)
    rows = [json.loads(line) for line in path.open(encoding="utf-8")]
    problems = [Target(row["unique_id"], row["problem"], row["answer"]) for row in rows]
    assert len(pool([("f", iter(read("search-and-learn", *rows)))], problems, ANY).solutions) == 500
    turned = [dict(row) for row in rows]
    for place, row in enumerate(turned):
        other = rows[place // 25 * 25 + (place + 7) % 25]
        row |= {name: other[name] for name in ("completions", "scores", "completion_tokens")}
    with pytest.raises(UserError, match="shuffled between problems"):
        pool([("f", iter(read("search-and-learn", *turned)))], problems, ANY)


TWINS = [
    Target("d/1", "What is $x$?", "3"),
    Target("d/2", "What is $x$?", "4"),
    Target("e", "1 + 1?", "1,200"),
]


def told(problem: str | None, prompt: str | None, reference: str | None) -> Solution:
    return Solution("here", problem, prompt, reference, ("It is 3.",), None, None)


@pytest.mark.parametrize(
    ("one", "problem"),
    [
        (told("d/2", "What is $x$?", None), "d/2"),
        (told(None, "What is  $x$?", "4"), "d/2"),
        (told("elsewhere", "What is $x$?", "3"), "d/1"),
        (told(None, "1 + 1?", "1200"), "e"),
        (told(None, "1 + 1?", "One and one.\n#### 1,200"), "e"),
    ],
)
def test_problems_of_one_text_are_told_apart_by_name_or_reference(one: Solution, problem: str) -> None:
    assert list(pool([("a", [one])], TWINS, ANY).solutions) == [problem]


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (told(None, "What is $x$?", None), "several problems of the data set have the text"),
        (told(None, "What is $x$?", "7"), "several problems of the data set have the text"),
        (told(None, "1 + 1?", "1300"), "the answer to problem '1 + 1?' is '1300' there and '1,200'"),
        (told("other", "1 + 1?", "1300"), "is '1300' there and '1,200' in the data set"),
    ],
)
def test_another_reference_is_refused_however_the_problem_is_found(one: Solution, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        pool([("a", [one])], TWINS, ANY)


def test_lm_eval_documents_with_capital_names_are_taken() -> None:
    row = {"doc_id": 0, "doc": {"Question": "2 + 3?", "Answer": 5}, "target": "5", "resps": [["It is 5."]]}
    assert [one.prompt for one in read("lm-eval", row)] == ["2 + 3?"]


def test_bare_answers_and_a_data_sets_own_programs_are_not_shuffled() -> None:
    math = REAL / "math500" / "test.jsonl"
    mbpp = REAL / "mbpp" / "mbpp.jsonl"
    if not (math.is_file() and mbpp.is_file()):
        pytest.skip(f"real data not here: {REAL}; set ISOFLOP_DATA")
    rows = [json.loads(line) for line in math.read_text().splitlines()]
    tasks = [json.loads(line) for line in mbpp.read_text().splitlines()][10:510]
    order = list(range(500))
    answers = belonging([row["problem"] for row in rows], [row["answer"] for row in rows], order)
    programs = [f"```python\n{task['code']}\n```" for task in tasks]
    own = belonging([task["text"] for task in tasks], programs, order)
    moved = belonging([task["text"] for task in tasks], [*programs[1:], programs[0]], order)
    assert (answers.is_shuffled, own.is_shuffled, moved.is_shuffled) == (False, False, True)


def test_an_empty_solution_is_kept_and_needs_no_score() -> None:
    file = [solution("p1", ""), solution("p1", " "), solution("p1", ""), solution("p1", "a", (0.5,))]
    found = together(file, demands=SCORED)
    assert [one.text for _, one in found.solutions["p1"]] == ["", " ", "", "a"]
    assert found.empty == 3
    assert list(pool_notes(found, 1)) == [
        "1 of 2 problems were left out: they have fewer than 1 solutions, or lack a budget or run.",
        "3 solutions are empty, which counts as wrong.",
    ]
    distinct = together(file[:3], demands=Demands(False, False, 1, distinct=True))
    assert len(distinct.solutions["p1"]) == 3


def test_a_note_says_of_how_many_the_thoughts_are_not_known() -> None:
    counts = (3, None, 0)
    file = [solution("p1", f"a{count}", tokens=9, thinking=count) for count in counts]
    [_, note] = pool_notes(together(file), 1)
    assert note.startswith("How much was thought is not known of 1 of 3 solutions")
    assert len(list(pool_notes(together(file[1:2]), 1))) == 1


def searched(problem: str, budget: int | None, run: int | None, text: str = "a") -> Solution:
    return solution(problem, text, budget=budget, run=run)


SEARCHES = [
    searched(problem, budget, run, f"{budget} {run} {number}")
    for problem in ("p2", "p1")
    for budget in (4, 2)
    for run in (7, 3)
    for number in range(budget)
]


def test_the_solutions_of_a_search_come_by_budget_and_run_and_a_problem_needs_all() -> None:
    demands = Demands(False, False, 1, budgets=(2, 4))
    found = together(SEARCHES, demands=demands).solutions
    assert list(found) == ["p1", "p2"]
    assert [(one.budget, one.run) for _, one in found["p1"]] == [
        (2, 0), (2, 0), (2, 1), (2, 1), *[(4, 0)] * 4, *[(4, 1)] * 4,
    ]  # fmt: skip
    assert found["p1"][0][1].text == "2 3 0"
    missing = [one for one in SEARCHES if (one.problem, one.budget, one.run) != ("p2", 4, 3)]
    assert together(missing, demands=demands).left_out == {"p2": 3}
    # What one budget repeats of another is no repetition.
    alike = [searched("p1", budget, 0) for budget in (2, 4)]
    assert together(alike, [searched("p1", 2, 0)], demands=demands).repeated == 1


@pytest.mark.parametrize(
    ("rows", "budgets", "said"),
    [
        ([searched("p1", 2, 0)], (), "has budget 2: it is of a search; list its budgets in `budgets`"),
        ([searched("p1", 2, 0)], (4,), "has budget 2, and the generator's `budgets` are 4"),
        ([searched("p1", None, 0)], (4,), "has no budget, and the generator's `budgets` are 4"),
        ([searched("p1", 2, 0)], (2, 4), "no solutions at 4"),
        (
            [searched("p1", 2, 0), searched("p1", 4, 0), searched("p1", 4, 1)],
            (2, 4),
            "the numbers of runs differ (1 at budget 2, 2 at budget 4)",
        ),
        ([searched("p1", 2, 0), searched("p2", 4, 0)], (2, 4), "no problem has solutions at each of 2, 4"),
    ],
)
def test_searches_at_fault(rows: list[Solution], budgets: tuple[int, ...], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        together(rows, demands=Demands(False, False, 1, budgets=budgets))


def test_scores_of_every_verifier_are_asked_for() -> None:
    named = {"prm": Scored(probabilities=True), "orm": Scored(probabilities=False, outcome=True)}
    demands = Demands(False, False, 1, named=named)
    good = Solution(
        "f, a", "p1", None, None, ("a ", "b"), None, None, named_scores={"prm": (0.5, 0.25), "orm": (7,)}
    )
    assert together([good], demands=demands).solutions["p1"] == [("f0", good)]
    changes: list[tuple[dict[str, tuple[float, ...] | None], str]] = [
        ({"prm": (0.5,)}, "2 steps but 1 scores by prm"),
        ({"prm": None}, "has no score by prm"),
        ({"prm": (0.5, 1.5)}, "the score 1.5 by prm is no probability"),
        ({"orm": (7.0, 8.0)}, "2 scores by orm, which scores whole solutions"),
    ]
    for change, said in changes:
        with pytest.raises(UserError, match=re.escape(said)):
            together([replace(good, named_scores={**good.named_scores, **change})], demands=demands)


def test_shuffled_solutions_are_taken_where_one_says_so_and_a_note_says_it() -> None:
    tales = [tale(number) for number in range(25)]
    problems = [Target(f"p{number}", prompt, "1") for number, (prompt, _) in enumerate(tales)]
    wrong = [solution(f"p{i}", tales[(i + 5) % 25][1]) for i in range(25)]
    with pytest.raises(UserError, match="if you know better, `shuffled: report` takes it"):
        pool([("bad", iter(wrong))], problems, ANY)
    found = pool([("bad", iter(wrong))], problems, replace(ANY, shuffled=True))
    assert found.strayed["bad"].own == 0
    assert "bad: its solutions may be shuffled between problems: of 25 " in next(pool_notes(found, 1))


HUMAN = {"task_id": "HumanEval/0", "prompt": "def f(x):\n", "entry_point": "f", "test": "def check(c): pass"}


@pytest.mark.parametrize(
    "rest", [{"filtered_resps": [["def f(x):\n    return 1", "def f(x):\n    return 2"]]}, {}]
)
def test_lm_eval_programs_are_whole(rest: dict[str, Any]) -> None:
    row = {"doc_id": 0, "doc": HUMAN, "target": "def check(c): pass\ncheck(f)", **rest}
    found = read("lm-eval", row | {"resps": [["    return 1", "    return 2"]]})
    assert [one.text for one in found] == ["def f(x):\n    return 1", "def f(x):\n    return 2"]
    assert (found[0].prompt, found[0].reference) == ("def f(x):\n", None)


def test_optimal_tts_steps_that_end_in_the_authors_mark() -> None:
    text = "Step 1: a = 1\nb = 2 ки\nStep 2: The answer is 5 ки\n"
    row = {"question": "Q?", "groundtruth": "5", "output": [{"text": text, "reward_history": [0.5, 0.25]}]}
    [found] = read("optimal-tts", row)
    assert (found.steps, found.scores) == (
        ("Step 1: a = 1\nb = 2\n", "Step 2: The answer is 5\n"), (0.5, 0.25),
    )  # fmt: skip
    row["output"] = [{"text": text, "reward_history": [0.5]}]
    assert read("optimal-tts", row)[0].steps == ("Step 1: a = 1\nb = 2\nStep 2: The answer is 5\n",)
    row["output"] = [{"text": text, "reward_history": [0.5, 0.5, 0.5]}]
    assert "2 steps end in 'ки', but 3 rewards" in refusal("optimal-tts", row)


def test_records_of_optimal_tts_lie_in_folders_by_question(tmp_path: Path) -> None:
    for number in (0, 1, 10):
        (tmp_path / f"question_{number}").mkdir()
        (tmp_path / f"question_{number}" / "record_0.jsonl").write_text("{}")
    found = local_files(str(tmp_path / "question_*" / "record_*.jsonl"))
    assert [path.parent.name for path in found] == ["question_0", "question_1", "question_10"]


SCRIPTS = {
    "Russian": (
        "Анна купила {a} яблок и {b} груш для {w}. Сколько фруктов?",
        "У Анны {a} яблок, {b} груш для {w}: {c}.",
    ),
    "Chinese": (
        "小明有{a}个苹果和{b}个梨给{w}，一共有多少个水果？",
        "小明有{a}个苹果和{b}个梨给{w}，所以一共{c}个水果。",
    ),
    "Arabic": (
        "اشترت سارة {a} تفاحة و {b} كمثرى من أجل {w}. كم فاكهة؟",
        "لدى سارة {a} تفاحة و {b} كمثرى من أجل {w}: {c}.",
    ),
}
NAMES = {
    "Russian": [
        "бабушки",
        "дедушки",
        "соседки",
        "учителя",
        "доктора",
        "повара",
        "сестры",
        "тёти",
        "дяди",
        "подруги",
    ],
    "Chinese": [
        "奶奶家里",
        "爷爷家里",
        "邻居朋友",
        "学校老师",
        "医院医生",
        "饭店厨师",
        "可爱妹妹",
        "远方阿姨",
        "城里叔叔",
        "新来同学",
    ],
    "Arabic": [
        "الجدة",
        "الجيران",
        "المعلمة",
        "الطبيب",
        "الطباخ",
        "الصديقة",
        "العمة",
        "الخالة",
        "المدرسة",
        "المكتبة",
    ],
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("answered_in", ["own", "English"])
def test_solutions_in_other_scripts_are_not_shuffled_and_told_where_they_are(
    script: str, answered_in: str
) -> None:
    asked, said = SCRIPTS[script]
    if answered_in == "English":
        said = "Add {a} and {b} to get the total number of fruits, which is {c}."
    facts = [
        {"a": 11 + 3 * n, "b": 200 + 7 * n, "c": 211 + 10 * n, "w": NAMES[script][n % 10]} for n in range(40)
    ]
    problems = [asked.format(**one) for one in facts]
    solutions = [said.format(**one) for one in facts]
    right = belonging(problems, solutions, list(range(40)))
    assert not right.is_shuffled
    wrong = belonging(problems, [*solutions[5:], *solutions[:5]], list(range(40)))
    assert wrong.is_shuffled == (answered_in == "own")
