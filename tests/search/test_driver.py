"""The driver on real engines: what is in flight at once, and what is read together, change no tree."""

from pathlib import Path
from typing import Any

import pytest

from isoflop.config.models import Policy
from isoflop.data.word_problems import generate_problems
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.registry import ScoreRequest, StepScores
from isoflop.search.algorithms.mcts import Mcts
from isoflop.search.algorithms.rebase import Rebase
from isoflop.search.driver import Driver, Task, Texts
from isoflop.search.registry import new_tree, start
from isoflop.verifiers.hf_verifier import TransformersVerifier
from isoflop.verifiers.kinds.math_shepherd import MathShepherd

SHIPPED = Path(__file__).parents[2] / "resources" / "models"
JUDGE = MathShepherd(kind="math-shepherd", model=str(SHIPPED / "prm-1.7M"), prompt="{problem}\n")
LIMITS: dict[str, Any] = {"budgets": (6,), "max_tokens": 120, "max_step_tokens": 40}
SEARCHES = {"rebase": Rebase(kind="rebase", **LIMITS), "mcts": Mcts(kind="mcts", root_children=3, **LIMITS)}
PROBLEMS = generate_problems("dev", 7, seed=12)


@pytest.fixture(scope="module")
def policy() -> TransformersPolicy:
    return TransformersPolicy(Policy(model=str(SHIPPED / "policy-0.3M")))


def tasks(name: str) -> list[Task]:
    made = []
    for problem in PROBLEMS:
        tree, prompt = new_tree(SEARCHES[name]), problem.prompt + "\n"
        made.append(
            Task((name, prompt), Texts(prompt, prompt, "\n", 1.0), tree, start(SEARCHES[name], 6, tree))
        )
    return made


def trees(done: list[Task]) -> list[object]:
    return [(task.tree.nodes, task.candidates, task.usage) for task in done]


@pytest.mark.parametrize("name", SEARCHES)
def test_windows_and_batches_change_no_tree(name: str, policy: TransformersPolicy) -> None:
    found = []
    for window, score_batch, batch_tokens in ((256, 256, 8192), (1, 256, 8192), (3, 1, 8192), (3, 5, 40)):
        done = tasks(name)
        guide = TransformersVerifier(JUDGE, batch_tokens=batch_tokens, settle=True)
        Driver(policy, guide, 3, score_batch, window).run(done)
        found.append(trees(done))
    assert all(len(task.tree.nodes) > 8 for task in done)
    for other in found[1:]:
        assert other == found[0]


def test_no_more_searches_than_the_window_are_in_flight(policy: TransformersPolicy) -> None:
    class Watching(TransformersVerifier):
        """Notes which searches have begun when steps are scored."""

        def score(self, requests: Any, progress: Any = None) -> list[StepScores]:
            begun.append(sum(bool(task.usage.prompt) for task in done))
            ended.append(sum(bool(task.candidates) for task in done))
            asked.update(request.prompt for request in requests)
            return super().score(requests, progress)

    begun: list[int] = []
    ended: list[int] = []
    asked: set[str] = set()
    done = tasks("rebase")
    told: list[tuple[int, int]] = []
    Driver(policy, Watching(JUDGE, settle=True), 3, 1, 2).run(done, lambda *some: told.append(some))
    assert max(one - other for one, other in zip(begun, ended, strict=True)) == 2
    assert begun[0] <= 2 < begun[-1] == len(PROBLEMS) == len(asked)
    assert sum(finished for finished, _ in told) == len(PROBLEMS)


def test_pieces_that_a_policy_cuts_otherwise_are_read_all_the_same() -> None:
    """A tag that the policy wrote ends a step of one solution and is in the middle of another's."""
    prompt = PROBLEMS[0].prompt + "\n"
    solutions = [
        ("2 + 3 = 5",),
        ("2 + 3 = 5\n", "The answer is 5.\n"),
        ("2 + 3 = 5 ки",),
        ("2 + 3 = 5 ки ки\n", "The answer is 5.\n"),
        ("2 + 3 = 5 ки\n", "The answer is 6.\n", "2 + 3 = 5\n"),
    ]
    asked = [ScoreRequest(prompt, steps) for steps in solutions]
    alone = [TransformersVerifier(JUDGE, settle=True).score([one])[0] for one in asked]
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1], [2, 0, 4, 1, 3]):
        for size in (1, 2, 5):
            guide = TransformersVerifier(JUDGE, settle=True)
            for begin in range(0, len(order), size):
                some = order[begin : begin + size]
                assert guide.score([asked[place] for place in some]) == [alone[place] for place in some]
