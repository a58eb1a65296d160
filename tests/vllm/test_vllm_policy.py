"""The shipped policy in vLLM, as an engine and behind a server.

Greedy as in the transformers engine, sampling from the same distribution.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2_contingency
from vllm_server import VllmServer

from isoflop.config.models import Policy
from isoflop.data.word_problems import generate_problems
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.registry import Completion, GenerationRequest
from isoflop.engines.server_policy import ServerPolicy
from isoflop.engines.token_sampling import logprob_step
from isoflop.engines.vllm_policy import VllmPolicy
from isoflop.errors import UserError
from isoflop.grading.grader import make_grader
from isoflop.search.algorithms.rebase import Rebase
from isoflop.search.driver import Driver, Task, Texts
from isoflop.search.registry import new_tree, start
from isoflop.verifiers.hf_verifier import TransformersVerifier
from isoflop.verifiers.kinds.math_shepherd import MathShepherd

MODELS = Path(__file__).parents[2] / "resources" / "models"
MODEL = str(MODELS / "policy-0.9M")
PROBLEMS = [problem.prompt + "\n" for problem in generate_problems("test", 60, seed=3)]
SAMPLES = 100


@pytest.fixture(scope="module", params=["vllm", "server"])
def vllm_policy(request: pytest.FixtureRequest) -> Iterator[VllmPolicy | ServerPolicy]:
    policy: VllmPolicy | ServerPolicy
    if request.param == "vllm":
        policy = VllmPolicy(Policy(model=MODEL, engine="vllm"), batch_size=256)
    else:
        served: VllmServer = request.getfixturevalue("vllm_server")
        policy = ServerPolicy(Policy(model=MODEL, engine="server"), served.settings())
    yield policy
    policy.close()


class _Remembering(TransformersPolicy):
    """Computes nothing twice: both ways to vLLM are compared with the same completions."""

    def __init__(self, entry: Policy) -> None:
        super().__init__(entry)
        self._told: dict[tuple[GenerationRequest, ...], list[Completion]] = {}

    def generate(self, requests: Sequence[GenerationRequest], *further: Any) -> list[Completion]:
        asked = tuple(requests)
        if asked not in self._told:
            self._told[asked] = super().generate(requests, *further)
        return self._told[asked]


@pytest.fixture(scope="module")
def ours() -> TransformersPolicy:
    return _Remembering(Policy(model=MODEL))


def _without_logprob(completion: Completion) -> tuple[object, ...]:
    return (
        completion.text,
        completion.pieces,
        completion.finish,
        completion.prompt_tokens,
        completion.tokens,
    )


def _as_likely(theirs: Completion, expected: Completion) -> bool:
    """Whether their log-probability is on the point of the grid that ours is on."""
    return abs(theirs.logprob - expected.logprob) <= 0.5 * logprob_step(len(expected.tokens)) + 1e-3


def test_the_shape_is_that_of_the_loaded_model(
    vllm_policy: VllmPolicy | ServerPolicy, ours: TransformersPolicy
) -> None:
    assert vllm_policy.shape == ours.shape


@pytest.mark.parametrize("steps", [None, 1, 3])
def test_greedy_is_the_same_text_token_by_token(
    vllm_policy: VllmPolicy | ServerPolicy, ours: TransformersPolicy, steps: int | None
) -> None:
    requests = [
        GenerationRequest(prompt, 0, 40 if steps == 1 else 200, temperature=0.0)
        if steps is None
        else GenerationRequest(prompt, 0, 40 * steps, temperature=0.0, separator="\n", steps=steps)
        for prompt in PROBLEMS
    ]
    theirs, expected = vllm_policy.generate(requests), ours.generate(requests)
    assert list(map(_without_logprob, theirs)) == list(map(_without_logprob, expected))
    assert all(_as_likely(one, other) for one, other in zip(theirs, expected, strict=True))
    finishes = {completion.finish for completion in expected}
    assert ("step" if steps else "stop") in finishes


@pytest.mark.parametrize("steps", [None, 2])
def test_stop_strings_cut_the_same_text(
    vllm_policy: VllmPolicy | ServerPolicy, ours: TransformersPolicy, steps: int | None
) -> None:
    """Over several tokens, in the middle of one, and over steps."""
    plain = [
        GenerationRequest(
            prompt, 0, 200, temperature=0.0, separator="\n" if steps else None, steps=steps or 1, stop=stop
        )
        for prompt, stop in zip(PROBLEMS, 20 * [("\nThe answer",), ("nswer is",), ("= ", "zzz")], strict=True)
    ]
    theirs, expected = vllm_policy.generate(plain), ours.generate(plain)
    assert list(map(_without_logprob, theirs)) == list(map(_without_logprob, expected))
    cut = [one for one in expected if one.finish == "stop" and len(one.pieces) == len(one.tokens)]
    assert len(cut) > 15
    assert all(_as_likely(one, other) for one, other in zip(theirs, expected, strict=True))


@pytest.mark.parametrize("filters", [{"top_k": 1}, {"min_p": 1.0}, {"top_k": 9, "min_p": 0.999}])
def test_filters_that_leave_one_token_are_greedy(
    vllm_policy: VllmPolicy | ServerPolicy, ours: TransformersPolicy, filters: dict[str, Any]
) -> None:
    greedy = [GenerationRequest(prompt, 0, 60, temperature=0.0) for prompt in PROBLEMS[:20]]
    drawn = [GenerationRequest(prompt, 3, 60, temperature=1.5, **filters) for prompt in PROBLEMS[:20]]
    for engine in (vllm_policy, ours):
        texts = [one.text for one in engine.generate(drawn)]
        assert texts == [one.text for one in ours.generate(greedy)]


def test_filtered_first_tokens_are_of_the_same_distribution(
    vllm_policy: VllmPolicy | ServerPolicy, ours: TransformersPolicy
) -> None:
    """In the order min_p, top_k, top_p, each of what the one before has left."""
    # Where the first name is to be written, which the model does not know.
    [greedy] = ours.generate([GenerationRequest(PROBLEMS[10], 0, 2, temperature=0.0)])
    filters: dict[str, Any] = {"top_k": 12, "min_p": 0.002, "top_p": 0.9}
    requests = [
        GenerationRequest(PROBLEMS[10], seed, 1, temperature=2.0, written=greedy.tokens, **filters)
        for seed in range(1500)
    ]
    counts = [Counter(one.tokens for one in engine.generate(requests)) for engine in (vllm_policy, ours)]
    assert len(counts[1]) > 2
    assert counts[0].keys() == counts[1].keys()
    rows = np.array([[one[token] for token in counts[1]] for one in counts])
    assert chi2_contingency(rows, correction=False).pvalue > 1e-4


def test_a_solution_goes_on_from_tokens_that_were_written(
    vllm_policy: VllmPolicy | ServerPolicy, ours: TransformersPolicy
) -> None:
    whole = ours.generate([GenerationRequest(prompt, 0, 200, temperature=0.0) for prompt in PROBLEMS[:20]])
    requests = [
        GenerationRequest(prompt, 0, 100, temperature=0.0, written=one.tokens[: len(one.tokens) // 2])
        for prompt, one in zip(PROBLEMS, whole, strict=False)
    ]
    for completion, one in zip(vllm_policy.generate(requests), whole, strict=True):
        assert one.tokens[: len(one.tokens) // 2] + completion.tokens == one.tokens


def test_what_is_cut_is_marked(vllm_policy: VllmPolicy | ServerPolicy) -> None:
    [completion] = vllm_policy.generate([GenerationRequest(PROBLEMS[0], 0, 3, temperature=0.0)])
    assert (completion.finish, len(completion.tokens)) == ("length", 3)
    with pytest.raises(UserError, match="512 positions"):
        vllm_policy.generate([GenerationRequest(PROBLEMS[0], 0, 500)])


def test_a_request_draws_by_its_own_seed(vllm_policy: VllmPolicy | ServerPolicy) -> None:
    requests = [GenerationRequest(prompt, 7, 60) for prompt in PROBLEMS[:6]]
    first, again = vllm_policy.generate(requests), vllm_policy.generate(requests[::-1])[::-1]
    assert [one.text for one in first] == [one.text for one in again]
    pairs = [GenerationRequest(prompt, seed, 60) for prompt in PROBLEMS for seed in (1, 2)]
    others = vllm_policy.generate(pairs)
    assert sum(one.text != other.text for one, other in zip(others[::2], others[1::2], strict=True)) > 15


def test_samples_are_of_the_same_distribution(
    vllm_policy: VllmPolicy | ServerPolicy, ours: TransformersPolicy
) -> None:
    """Chi-square over the answers to each problem; the p-values of all problems are uniform if so."""
    problems = PROBLEMS[:8]
    requests = [
        GenerationRequest(prompt, 1000 * place + number, 200)
        for place, prompt in enumerate(problems)
        for number in range(SAMPLES)
    ]
    tables = [_answers(engine.generate(requests)) for engine in (vllm_policy, ours)]
    statistic, freedom = 0.0, 0
    for place in range(len(problems)):
        both = [tables[0][place], tables[1][place]]
        common = [answer for answer in both[0] | both[1] if both[0][answer] + both[1][answer] >= 10]
        rows = np.array([[counts[answer] for answer in common] for counts in both])
        rest = SAMPLES - rows.sum(axis=1, keepdims=True)
        rows = np.hstack([rows, rest]) if rest.sum() >= 10 else rows
        if rows.shape[1] > 1:
            found = chi2_contingency(rows, correction=False)
            statistic, freedom = statistic + float(found.statistic), freedom + int(found.dof)
    assert freedom >= 10
    # About 1 in 10,000 for engines that sample alike.
    assert statistic < freedom + 4.2 * (2 * freedom) ** 0.5


def _answers(completions: list[Completion]) -> list[Counter[str | None]]:
    with make_grader("number") as grader:
        found = [grader.extract(completion.text) for completion in completions]
    return [Counter(found[start : start + SAMPLES]) for start in range(0, len(found), SAMPLES)]


def test_rebase_runs_on_it(vllm_policy: VllmPolicy | ServerPolicy) -> None:
    judge = MathShepherd(kind="math-shepherd", model=str(MODELS / "prm-1.7M"), prompt="{problem}\n")
    entry = Rebase(kind="rebase", budgets=(8,), max_tokens=200, max_step_tokens=64)
    tasks = []
    for prompt in PROBLEMS[:10]:
        tree = new_tree(entry)
        tasks.append(
            Task((prompt,), Texts(prompt, prompt, "\n", 1.0), tree, start(entry, entry.budgets[0], tree))
        )
    Driver(vllm_policy, TransformersVerifier(judge, settle=True), seed=1).run(tasks)
    for task in tasks:
        assert len(task.candidates) == 8
        assert all(0 <= node.score <= 1 for node in task.tree.nodes)
        texts = ["".join(node.step.text for node in task.tree.path(end)) for end in task.candidates]
        assert sum("The answer is" in text for text in texts) >= 4
