"""Difficulty bins and the exchange of pretraining for inference, on cases worked by hand."""

import numpy as np
import pytest

from isoflop.allocation.difficulty import join_singles, mean_scores, pass_rates, quantile_bins
from isoflop.allocation.exchange import inference_multiplier
from isoflop.config.analysis import PAPER_RATIOS
from isoflop.errors import UserError

BINS = {
    "distinct values": ([0.9, 0.1, 0.5, 0.3, 0.7], 5, [1, 5, 3, 4, 2]),
    "more problems than bins": (
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
        5,
        [5, 5, 4, 4, 3, 3, 2, 2, 1, 1],
    ),
    "a size that bins do not divide": ([4.0, 3.0, 2.0, 1.0, 0.0], 2, [1, 1, 2, 2, 2]),
    "all alike are in the middle": ([0.5, 0.5, 0.5, 0.5], 5, [3, 3, 3, 3]),
    "never solved, as many as two bins hold": ([1.0, 0.8, 0.0, 0.0, 0.0], 5, [1, 2, 4, 4, 4]),
    "ties across an edge go where their middle is": ([1.0, 0.5, 0.5, 0.5, 0.5, 0.0], 2, [1, 2, 2, 2, 2, 2]),
    "one bin": ([0.1, 0.9], 1, [1, 1]),
    "one problem": ([0.3], 5, [3]),
}


@pytest.mark.parametrize("name", BINS)
def test_bins(name: str) -> None:
    values, bins, expected = BINS[name]
    assert quantile_bins(np.array(values), bins).tolist() == expected


def test_pass_rates_and_scores_by_problem() -> None:
    sizes = np.array([2, 3])
    assert pass_rates(np.array([True, False, True, True, False]), sizes).tolist() == [0.5, 2 / 3]
    scores = np.array([0.2, 0.4, np.nan, 0.5, 0.7])
    assert mean_scores(scores, sizes) == pytest.approx([0.3, 0.6])
    with pytest.raises(UserError, match="problem 1 has no scored sample"):
        mean_scores(np.array([0.2, 0.4, np.nan, np.nan, np.nan]), sizes)


def test_a_difficulty_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        quantile_bins(np.array([0.1, np.nan]), 2)


@pytest.mark.parametrize("data_ratio", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("size_ratio", [2.5, 14.0])
def test_the_exchange_is_what_makes_both_totals_equal(size_ratio: float, data_ratio: float) -> None:
    small, pretrained, answered = 3e9, 2e12, 4e11
    large = size_ratio * small

    def pretraining_flops(parameters: float, tokens: float) -> float:
        return 6.0 * parameters * tokens

    def inference_flops(parameters: float, tokens: float) -> float:
        return 2.0 * parameters * tokens

    paid = pretraining_flops(large, data_ratio * pretrained) + inference_flops(large, answered)
    more = inference_multiplier(size_ratio, answered / pretrained, data_ratio) * inference_flops(
        small, answered
    )
    assert pretraining_flops(small, pretrained) + more == pytest.approx(paid)


def test_the_papers_ratios_for_a_model_14_times_larger() -> None:
    # 14 + 3 * 13 / R
    assert [inference_multiplier(14.0, ratio) for ratio in PAPER_RATIOS] == pytest.approx(
        [257.75, 14 + 39 / 0.79, 14 + 39 / 22]
    )


@pytest.mark.parametrize(
    ("size_ratio", "ratio", "data_ratio", "match"),
    [
        (1.0, 0.16, 1.0, "must be larger"),
        (14.0, 0.0, 1.0, "ratio: 0"),
        (14.0, 0.16, -1.0, "data_ratio: -1"),
        (2.0, 0.01, 0.1, "nothing to spend"),
    ],
)
def test_an_exchange_with_nothing_to_exchange_is_refused(
    size_ratio: float, ratio: float, data_ratio: float, match: str
) -> None:
    with pytest.raises(UserError, match=match):
        inference_multiplier(size_ratio, ratio, data_ratio)


@pytest.mark.parametrize(
    ("bins", "expected"),
    [
        ([1, 1, 2, 2], [1, 1, 2, 2]),
        ([1, 2, 2, 3, 3], [2, 2, 2, 3, 3]),
        ([1, 1, 2, 3, 3], [1, 1, 3, 3, 3]),
        ([1, 1, 2, 2, 5], [1, 1, 2, 2, 2]),
        ([1, 2, 3, 4], [2, 2, 4, 4]),
        ([1, 2], [2, 2]),
        ([3], [3]),
    ],
)
def test_a_bin_of_one_problem_joins_its_neighbour(bins: list[int], expected: list[int]) -> None:
    assert join_singles(np.array(bins)).tolist() == expected
