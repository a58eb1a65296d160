"""One stream of numbers per request, and log-probabilities on a grid."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from isoflop.engines.token_sampling import ROUNDING_PER_TOKEN, settle_logprob, uniforms


def test_streams_are_uniform_and_distinct() -> None:
    seeds = np.repeat(np.arange(200, dtype=np.uint64), 50)
    positions = np.tile(np.arange(50, dtype=np.uint64), 200)
    values = uniforms(seeds, positions)
    assert kstest(values, "uniform").pvalue > 1e-4
    assert len(np.unique(values)) == len(values)
    assert np.array_equal(uniforms(seeds[7:9], positions[7:9]), values[7:9])


@given(st.floats(-3e3, 0.0), st.integers(1, 5000), st.floats(-1.0, 1.0))
def test_a_log_probability_that_is_not_doubtful_stays_on_its_point(
    logprob: float, tokens: int, shift: float
) -> None:
    settled, doubtful = settle_logprob(logprob, tokens)
    moved = settle_logprob(logprob + 0.99 * shift * tokens * ROUNDING_PER_TOKEN, tokens)[0]
    assert doubtful or moved == settled
    assert abs(settled - logprob) <= 2.0**-12 * max(tokens, 8)
    assert settle_logprob(settled, tokens) == (settled, False)
    # Tables hold log-probabilities in float32.
    assert float(np.float32(settled)) == settled


def test_few_log_probabilities_are_doubtful() -> None:
    values = np.random.default_rng(0).uniform(-100.0, 0.0, 20_000)
    for tokens in (1, 8, 9, 64, 65, 1000):
        assert np.mean([settle_logprob(value, tokens)[1] for value in values]) < 0.04
