"""A published search as a pool: its solutions by budget and run, and what is known of their cost."""

import numpy as np
import pytest

from isoflop.costs import ModelShape, Usage, flops_kaplan, flops_of_positions
from isoflop.errors import UserError
from isoflop.selection.pool import Candidates, SelectSpec, StepScores
from isoflop.selection.published import published_search
from isoflop.selection.samples import SamplePool

SHAPE = ModelShape(parameters=1000, embedding_parameters=0, layers=2, attention_width=8)
# Two problems, budgets 1 and 2, two runs each: right or not, score, tokens.
SEARCHES = [
    (problem, budget, run)
    for problem in ("p", "q")
    for budget in (1, 2)
    for run in (0, 1)
    for _ in range(budget)
]
RIGHT = np.array([1, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0], dtype=np.bool_)
SCORES = np.array([0.5, 0.5, 0.75, 0.25, 0.5, 0.25, 0.5, 0.5, 0.75, 0.25, 0.5, 0.5])
TOKENS = np.arange(1.0, 13.0)
PROMPT = np.repeat([3.0, 5.0], 6)


def samples(scored: bool = True) -> SamplePool:
    usage = Usage(SHAPE, float("nan"), TOKENS)
    return SamplePool(
        Candidates(["p", "q"], np.array([6, 6]), np.where(RIGHT, 0, 1), RIGHT),
        {"v": StepScores(SCORES, np.ones(12, dtype=np.int64))} if scored else {},
        PROMPT,
        usage,
        {"v": Usage(SHAPE, float("nan"), PROMPT + TOKENS)} if scored else {},
    )


def spec(*selectors: str, scored: bool = True) -> SelectSpec:
    return SelectSpec(
        budgets=(1, 2),
        selectors=selectors,
        step_aggregations=("last",) if scored else (),
        verifiers=("v",) if scored else (),
        seed=1,
        generator_kind="published_search",
        code="c",
    )


def test_credits_are_means_over_runs_of_what_each_search_published() -> None:
    finished = np.ones(12, dtype=np.bool_)
    pool = published_search(samples(), finished, SEARCHES, (1, 2), "c")
    found = {row.picking.selector: row.credit for row in pool.credits(spec("majority", "best_of_n", "pass"))}
    # Of p: runs right, wrong; then wrong (0.75) over right, both right.
    assert found["best_of_n"].tolist() == [[0.5, 0.0], [0.5, 0.5]]
    assert found["majority"].tolist() == [[0.5, 0.0], [0.75, 0.25]]
    assert found["pass"].tolist() == [[0.5, 0.0], [1.0, 0.5]]
    finished[8] = False
    pool = published_search(samples(), finished, SEARCHES, (1, 2), "c")
    assert pool.credits(spec("pass"))[0].credit.tolist() == [[0.5, 0.0], [1.0, 0.0]]


@pytest.mark.parametrize("scored", [True, False])
def test_costs_are_those_of_the_published_solutions(scored: bool) -> None:
    pool = published_search(samples(scored), np.ones(12, dtype=np.bool_), SEARCHES, (1, 2), "c")
    costs = pool.costs((1, 2), "v", ("seconds",))
    tokens = np.array([[1.5, 7.5], [(3 + 4 + 5 + 6) / 2, (9 + 10 + 11 + 12) / 2]])
    np.testing.assert_allclose(costs["tokens"], tokens)
    np.testing.assert_allclose(costs["flops_wu2024"], 2 * 1000 * tokens)
    written = [
        float(flops_kaplan(SHAPE, prompt, count)) for prompt, count in zip(PROMPT, TOKENS, strict=True)
    ]
    expected = np.array([[sum(written[:2]), sum(written[6:8])], [sum(written[2:6]), sum(written[8:])]]) / 2
    np.testing.assert_allclose(costs["flops_kaplan"], expected)
    assert np.isnan(costs["seconds"]).all()
    # Besides writing: the policy reads the prompt, and the guide the prompt and every solution.
    for problem, prompt in enumerate((3, 5)):
        for place, rows in enumerate(((0, 2), (2, 6))):
            counts = TOKENS[6 * problem :][slice(*rows)].astype(int)
            positions = [sum(range(prompt + 1, prompt + count + 1)) for count in counts]
            first = flops_of_positions(SHAPE, prompt, sum(range(1, prompt + 1)))
            read = flops_of_positions(SHAPE, sum(counts) / 2, sum(positions) / 2)
            more = float(first + scored * (first + read))
            extra = costs["flops_total"][place, problem] - costs["flops_kaplan"][place, problem]
            assert extra == pytest.approx(more)


def test_a_search_that_is_missing_is_named() -> None:
    keys = [("p", 1, 0) if key == ("p", 1, 1) else key for key in SEARCHES]
    with pytest.raises(UserError, match="c: 1 searches are missing"):
        published_search(samples(), np.ones(12, dtype=np.bool_), keys, (1, 2), "c")
