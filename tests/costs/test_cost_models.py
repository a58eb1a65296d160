"""Every cost model on pools, chains and searches, against counts of one candidate and token after another."""

from dataclasses import fields, replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.arrays import Floats
from isoflop.costs.pools import expected_costs, revision_costs, search_costs
from isoflop.costs.registry import cost_model
from isoflop.costs.shape import ModelShape, Prices, Terms
from isoflop.costs.work import Party, Usage, Work
from isoflop.registries import COST_MODELS, cost_columns, measured_costs

POLICY = ModelShape(parameters=1000, embedding_parameters=10, layers=3, attention_width=8, kv_width=4)
JUDGE = ModelShape(parameters=5000, embedding_parameters=10, layers=2, attention_width=16)
TERMS = Terms(prices=Prices(input=2.0, cached=0.5, output=8.0), value_bytes=4)
JUDGE_TERMS = Terms(prices=Prices(input=3.0, cached=1.0, output=9.0))
FURTHER = ("seconds", "dollars", "kv_bytes")


def passing(shape: ModelShape, first: int, last: int, *, attention: bool = True) -> float:
    """FLOPs of the tokens at positions first to last, one after another."""
    each = (
        2 * shape.active + attention * 4 * shape.layers * shape.attention_width * t
        for t in range(first, last + 1)
    )
    return float(sum(each))


def of_answers(prompt: int, answers: list[tuple[int, int]], seconds: float) -> dict[str, float]:
    """What some samples of one problem cost, the first of them reading the prompt.

    `answers`: generated tokens, and those that the verifier reads. `seconds`: per token of either.
    """
    costs = dict.fromkeys(cost_columns(measured_costs(FURTHER)), 0.0)
    for number, (generated, read) in enumerate(answers):
        writing = passing(POLICY, prompt + 1, prompt + generated)
        costs["tokens"] += generated
        costs["flops_wu2024"] += passing(POLICY, 1, generated, attention=False)
        costs["flops_kaplan"] += writing
        costs["flops_total"] += (
            writing + passing(JUDGE, 1, read) + (passing(POLICY, 1, prompt) if number == 0 else 0)
        )
        costs["seconds"] += seconds * (generated + read)
        costs["dollars"] += 1e-6 * ((2.0 if number == 0 else 0.5) * prompt + 8.0 * generated + 3.0 * read)
        # 3 layers, 4 numbers of 4 bytes, for every position before each token.
        costs["kv_bytes"] += sum(3 * 4 * 4 * (prompt + place) for place in range(generated))
    return costs


def usages(tokens: list[int], read: list[int], rate: float) -> tuple[Usage, Usage]:
    """Of a policy and a verifier that take `rate` seconds per token."""
    counts = np.array(tokens, dtype=np.float64), np.array(read, dtype=np.float64)
    return (
        Usage(POLICY, rate * float(counts[0].sum()), counts[0], TERMS),
        Usage(JUDGE, rate * float(counts[1].sum()), counts[1], JUDGE_TERMS),
    )


@given(
    prompt=st.integers(0, 6),
    answers=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=3, max_size=4),
    size=st.integers(1, 3),
)
def test_a_random_subset_of_samples_costs_the_mean_of_all(
    prompt: int, answers: list[tuple[int, int]], size: int
) -> None:
    policy, judge = usages([one for one, _ in answers], [one for _, one in answers], 0.25)
    prompts, sizes = np.full(len(answers), float(prompt)), np.array([len(answers)])
    found = expected_costs((size,), sizes, prompts, policy, judge, FURTHER)
    subsets = [of_answers(prompt, list(chosen), 0.25) for chosen in permutations(answers, size)]
    assert list(found) == list(cost_columns(measured_costs(FURTHER)))
    for column, costs in found.items():
        assert costs.shape == (1, 1)
        assert costs[0, 0] == pytest.approx(np.mean([one[column] for one in subsets]), rel=1e-12), column


def test_infinitely_many_samples_cost_infinitely_much() -> None:
    policy, judge = usages([3, 4], [5, 6], 0.0)
    found = expected_costs((0,), np.array([2]), np.array([2.0, 2.0]), policy, judge, FURTHER)
    assert all(np.isinf(costs).all() for costs in found.values())


def test_chains_pay_for_the_prompts_of_revisions() -> None:
    """Two chains of two answers to one problem; a revision's prompt, with the attempt, is fresh input."""
    prompts, tokens, read = [4, 9, 4, 11], [3, 2, 5, 1], [7, 6, 8, 5]
    policy, judge = usages(tokens, read, 0.5)
    rows = np.array([[[0, 1], [2, 3]]])
    found = revision_costs((2, 4), rows, np.array(prompts, float), policy, judge, FURTHER)

    def cost(chains: list[list[int]]) -> dict[str, float]:
        total = of_answers(4, [(tokens[chain[0]], read[chain[0]]) for chain in chains], 0.5)
        for row in (chain[1] for chain in chains):
            for column, value in of_answers(prompts[row], [(tokens[row], read[row])], 0.5).items():
                total[column] += value
        return total

    for column, costs in found.items():
        single = np.mean([cost([[0, 1]])[column], cost([[2, 3]])[column]])
        assert costs[:, 0].tolist() == pytest.approx([single, cost([[0, 1], [2, 3]])[column]], rel=1e-12), (
            column
        )


def test_a_search_is_priced_by_its_usage() -> None:
    counts = {
        "prompt": 5,
        "generated": 40,
        "attended": 900,
        "scored": 30,
        "scored_attended": 500,
        "seconds": 2.5,
    }
    usage = {name: np.full((1, 1, 2), float(value)) for name, value in counts.items()}
    found = search_costs(usage, Party(POLICY, TERMS), Party(JUDGE, JUDGE_TERMS), FURTHER)
    writing, reading = 2000.0 * 40 + 4 * 3 * 8 * 900, 10_000.0 * 30 + 4 * 2 * 16 * 500
    assert {name: float(cost[0, 0]) for name, cost in found.items()} == pytest.approx(
        {
            "tokens": 40.0, "flops_wu2024": 80_000.0, "flops_kaplan": writing,
            "flops_total": writing + passing(POLICY, 1, 5) + reading, "seconds": 2.5,
            "dollars": 1e-6 * (2.0 * 5 + 8.0 * 40 + 3.0 * 30), "kv_bytes": 3 * 4 * 4 * (900.0 - 40.0),
        }
    )  # fmt: skip


@pytest.mark.parametrize("name", COST_MODELS.names)
def test_a_cost_is_a_sum_over_counts(name: str) -> None:
    """What pools rest on: the cost of two works is that of their sum."""
    rng = np.random.default_rng(1)
    counts = [one.name for one in fields(Work) if one.name not in ("policy", "verifier")]
    parts = [{key: rng.uniform(0, 9, 4) for key in counts} for _ in range(2)]

    def charge(given: dict[str, Any]) -> Floats:
        return cost_model(name).charge(
            replace(Work(Party(POLICY, TERMS), Party(JUDGE, JUDGE_TERMS)), **given)
        )

    both = {key: parts[0][key] + parts[1][key] for key in counts}
    assert charge(both) == pytest.approx(charge(parts[0]) + charge(parts[1]))


@pytest.mark.parametrize(
    ("name", "unknown"),
    [
        ("wu2024", "shape"), ("kaplan", "shape"), ("total", "shape"), ("kv_bytes", "shape"),
        ("dollars", "terms"), ("seconds", "seconds"),
    ],
)  # fmt: skip
def test_what_nobody_knows_is_no_number(name: str, unknown: str) -> None:
    """A hosted model without a size has no FLOPs; all else has a cost still."""
    policy, _ = usages([3, 4], [5, 6], 0.5)
    without = {
        "shape": replace(policy, model=None),
        "terms": replace(policy, terms=Terms()),
        "seconds": replace(policy, seconds=np.nan),
    }[unknown]
    found = expected_costs((1, 2), np.array([2]), np.array([2.0, 2.0]), without, None, FURTHER)
    lost = {column for column, costs in found.items() if np.isnan(costs).any()}
    assert COST_MODELS[name].column in lost
    assert all(np.isnan(found[column]).all() for column in lost)
    dependent = {
        "shape": ("wu2024", "kaplan", "total", "kv_bytes"),
        "terms": ("dollars",),
        "seconds": ("seconds",),
    }
    assert lost == set(cost_columns(dependent[unknown]))


def test_layers_that_keep_different_things_have_no_cache_to_count() -> None:
    policy, _ = usages([3], [5], 0.5)
    unlike = replace(policy, model=POLICY.model_copy(update={"kv_width": None}))
    found = expected_costs((1,), np.array([1]), np.array([2.0]), unlike, None, FURTHER)
    assert np.isnan(found["kv_bytes"]).all()
    assert np.isfinite(found["flops_total"]).all()
