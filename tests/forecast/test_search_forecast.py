"""Expected uses of searches against the searches themselves, scripted and run by the real driver."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import TypeAdapter
from scripted import play

from isoflop.config.generators import TreeSearch
from isoflop.config.study import Searched
from isoflop.costs import ModelShape
from isoflop.engines.registry import Completion, GenerationRequest, ScoreRequest, StepScores
from isoflop.forecast.tokens import Lengths, expected_use, step_ends
from isoflop.search.driver import Driver, Task, Texts
from isoflop.search.registry import new_tree, start
from isoflop.search.tree import Look

LIMITS = {"max_tokens": 60, "max_step_tokens": 9}
SEARCHES: dict[str, dict[str, Any]] = {
    "rebase": {"kind": "rebase"},
    "rebase by rounding": {"kind": "rebase", "allocation": "round"},
    "beam": {"kind": "beam"},
    "dvts": {"kind": "dvts"},
    "lookahead": {"kind": "lookahead"},
    "lookahead by two": {"kind": "lookahead", "lookahead_steps": 2},
    "mcts": {"kind": "mcts"},
}
BUDGETS = (4, 8, 16, 64)


def search(name: str, budget: int, **settings: Any) -> TreeSearch:
    one: TreeSearch = TypeAdapter(Searched).validate_python(
        {**LIMITS, **SEARCHES[name], "budgets": (budget,), **settings}
    )
    return one


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        (Lengths(0, 10, 2), (5, 10)),
        (Lengths(0, 10, 3), (3, 7, 10)),
        (Lengths(0, 2.4, 9), (1, 2)),
        (Lengths(0, 0.2, 0.1), (1,)),
    ],
)
def test_steps_of_a_solution(lengths: Lengths, expected: tuple[int, ...]) -> None:
    assert step_ends(lengths) == expected


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", SEARCHES)
def test_as_many_requests_nodes_and_tokens_as_a_scripted_search(name: str, budget: int) -> None:
    """Steps of 6 characters, which the script counts as tokens; solutions of 4 steps."""
    entry = search(name, budget)
    lengths = Lengths(prompt=11, solution=24, steps=4)
    grown = new_tree(entry)

    def script(path: tuple[str, ...], child: int) -> tuple[str, bool, float]:
        return "step..", len(path) == 3, (7 * child + 3 * len(path)) % 10 / 10

    candidates, rounds = play(grown, start(entry, budget, grown), script, lambda path, steps: len(path) / 10)
    use = expected_use(entry, budget, lengths, 1.0)
    written = sum(node.step.count for node in grown.nodes)
    looks = [question for questions in rounds for question in questions if isinstance(question, Look)]
    looked = sum(6 * min(one.steps, 4 - grown.nodes[one.node].depth) for one in looks)
    found = [len(grown.nodes), sum(map(len, rounds)), len(rounds), len(candidates), written + looked, looked]
    expected = [use.nodes, use.requests, use.rounds, use.candidates, use.generated, use.looked]
    if name in ("mcts", "rebase by rounding"):
        # What these grow depends on the scores, which are others here.
        assert expected == pytest.approx(found, rel=0.35)
    else:
        assert expected == found


class Writer:
    """A policy that writes tokens `t` and ends its steps at given places."""

    shape = ModelShape(parameters=1, embedding_parameters=0, layers=1, attention_width=1)

    def __init__(self, ends: Sequence[int], prompt: int) -> None:
        self._ends, self._prompt = ends, prompt

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        progress: Any = None,
        more: Callable[..., Any] | None = None,
    ) -> list[Completion]:
        waiting, answered = list(requests), 0
        done: list[Completion] = []
        while answered < len(waiting):
            finished = []
            for place in range(answered, len(waiting)):
                done.append(self._complete(waiting[place]))
                finished.append((place, done[-1]))
            answered = len(waiting)
            assert more is not None
            waiting += more(finished, 0)
        return done

    def _complete(self, request: GenerationRequest) -> Completion:
        begun = len(request.written)
        ahead = [end for end in self._ends if end > begun][: request.steps]
        last = min(ahead[-1], begun + request.max_tokens)
        places = range(begun + 1, last + 1)
        pieces = tuple("t\n" if place in self._ends else "t" for place in places)
        return Completion(
            "".join(pieces),
            pieces,
            "stop" if last == self._ends[-1] else "step",
            self._prompt + begun,
            0.0,
            tuple(places),
        )


class Reader:
    """A verifier whose tokens are the policy's and a tag after each step."""

    shape = Writer.shape

    def __init__(self, prompt: int) -> None:
        self._prompt = prompt

    def score(self, requests: Sequence[ScoreRequest], progress: Any = None) -> list[StepScores]:
        found = []
        for request in requests:
            ends, total = [], self._prompt
            for step in request.steps:
                total += step.count("t") + 1
                ends.append(total)
            found.append(StepScores((0.5,) * len(ends), total, tuple(ends)))
        return found


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize(
    "lengths",
    [Lengths(11, 24, 4), Lengths(7, 40, 3), Lengths(5, 80, 20)],
    ids=["short", "cut steps", "too long"],
)
def test_tokens_are_those_that_the_driver_counts(name: str, budget: int, lengths: Lengths) -> None:
    entry = search(name, budget)
    tree = new_tree(entry)
    task = Task(("x",), Texts("p", "p", "\n", 1.0), tree, start(entry, budget, tree))
    prompt = round(lengths.prompt)
    Driver(Writer(step_ends(lengths), prompt), Reader(prompt), seed=0).run([task])
    use = expected_use(entry, budget, lengths, 1.0)
    usage = task.usage
    counted = [usage.generated, usage.attended, usage.looked, usage.scored, usage.scored_attended]
    expected = [use.generated, use.attended, use.looked, use.scored, use.scored_attended]
    # Equal scores share a budget in their own way, and that of MCTS and of rounding shows in the tokens.
    loose = name in ("mcts", "rebase by rounding")
    assert expected == pytest.approx(counted, rel=0.45 if loose else 1e-12)
