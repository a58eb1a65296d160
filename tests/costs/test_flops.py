"""Costs against worked numbers, published ones, and a token-by-token count."""

import numpy as np
import pytest
from pydantic import ValidationError

from isoflop.costs import ModelShape, flops_kaplan, flops_total, flops_wu2024
from isoflop.errors import UserError

LLEMMA_7B = ModelShape(
    parameters=6_738_546_688, embedding_parameters=131_076_096, layers=32, attention_width=4096
)
LLEMMA_34B = ModelShape(
    parameters=33_743_970_304, embedding_parameters=262_144_000, layers=48, attention_width=8192
)
SMALL = ModelShape(parameters=1000, embedding_parameters=100, layers=3, attention_width=8)
JUDGE = ModelShape(parameters=5000, embedding_parameters=100, layers=2, attention_width=16)


def token_by_token(shape: ModelShape, first: int, last: int) -> float:
    """The cost of positions first..last, one at a time: the definition the closed forms must equal."""
    total = 0.0
    for position in range(first, last + 1):
        queries_keys = 2 * position * shape.attention_width
        weights_values = 2 * position * shape.attention_width
        total += 2 * shape.parameters + shape.layers * (queries_keys + weights_values)
    return total


def test_wu2024_is_two_parameters_per_generated_token() -> None:
    assert flops_wu2024(SMALL, [0, 1, 25]).tolist() == [0.0, 2000.0, 50_000.0]


@pytest.mark.parametrize(("flops_7b", "flops_34b"), [(73.9e12, 89.7e12), (125.4e12, 152.3e12)])
def test_wu2024_explains_table_4(flops_7b: float, flops_34b: float) -> None:
    # Table 4 (GSM8K, MATH500): 32 samples of Llemma 7B, 8 of 34B. Both sizes were tuned on the same
    # solutions, so the solution lengths that 2 N per token implies must agree.
    tokens_7b = flops_7b / float(flops_wu2024(LLEMMA_7B, 32))
    tokens_34b = flops_34b / float(flops_wu2024(LLEMMA_34B, 8))
    assert tokens_34b == pytest.approx(tokens_7b, rel=0.05)


def test_kaplan_sums_attention_position_by_position() -> None:
    prompts, generated = np.array([0, 5, 7]), np.array([4, 1, 30])
    expected = [token_by_token(SMALL, p + 1, p + g) for p, g in zip(prompts, generated, strict=True)]
    assert flops_kaplan(SMALL, prompts, generated).tolist() == expected


def test_kaplan_over_a_whole_window_is_the_printed_formula() -> None:
    # 2 N + 2 n_layer n_ctx d_attn per token, up to the self position (n_ctx + 1 against n_ctx).
    window = 4096
    printed = window * (2 * LLEMMA_7B.parameters + 2 * 32 * window * 4096)
    assert float(flops_kaplan(LLEMMA_7B, 0, window)) == pytest.approx(printed, rel=1e-4)


def test_total_adds_prompts_and_the_verifier() -> None:
    cost = flops_total(SMALL, [5], [10], 1.0, JUDGE, [17])
    expected = token_by_token(SMALL, 1, 15) + token_by_token(JUDGE, 1, 17)
    assert cost.tolist() == [expected]


def test_total_charges_a_shared_prompt_once_for_k_samples() -> None:
    k = 4
    per_candidate = flops_total(SMALL, np.full(k, 6), np.full(k, 9), 1 / k)
    expected = token_by_token(SMALL, 1, 6) + k * token_by_token(SMALL, 7, 15)
    assert float(per_candidate.sum()) == pytest.approx(expected, rel=1e-12)


def test_costs_are_vectorised_over_candidates() -> None:
    shape = (7, 3)
    assert flops_total(SMALL, np.ones(shape), np.ones(shape), 0.5, JUDGE, np.ones(shape)).shape == shape
    assert flops_total(SMALL, 3, np.ones(shape)).shape == shape


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_wrong_count_is_refused_with_its_row(bad: float) -> None:
    with pytest.raises(UserError, match=r"generated: row 1"):
        flops_wu2024(SMALL, [3, bad])
    with pytest.raises(UserError, match=r"prompt: row 0"):
        flops_kaplan(SMALL, [bad], [3])
    with pytest.raises(UserError, match=r"verifier_tokens: row 0"):
        flops_total(SMALL, [1], [3], 1.0, JUDGE, [bad])
    with pytest.raises(UserError, match=r"prompt_copies: row 0"):
        flops_total(SMALL, [1], [3], bad)


def test_verifier_tokens_without_a_verifier_are_refused() -> None:
    with pytest.raises(UserError, match="without the shape of a verifier"):
        flops_total(SMALL, [1], [3], 1.0, None, [4])


def test_a_shape_is_checked() -> None:
    with pytest.raises(ValidationError, match="exceed parameters"):
        ModelShape(parameters=10, embedding_parameters=11, layers=1, attention_width=4)
    with pytest.raises(ValidationError):
        ModelShape(parameters=0, embedding_parameters=0, layers=1, attention_width=4)
    with pytest.raises(ValidationError):
        ModelShape.model_validate({**SMALL.model_dump(), "heads": 4})
