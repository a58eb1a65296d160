"""Properties that hold between the cost models, whatever the model and the counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.costs import ModelShape, flops_kaplan, flops_total, flops_wu2024


@given(
    prompt=st.integers(0, 500),
    generated=st.integers(0, 500),
    read=st.integers(0, 500),
    layers=st.integers(1, 50),
    copies=st.floats(0.0, 1.0),
)
def test_cost_models_are_nested(prompt: int, generated: int, read: int, layers: int, copies: float) -> None:
    shape = ModelShape(parameters=12345, embedding_parameters=0, layers=layers, attention_width=32)
    plain = flops_wu2024(shape, generated)
    attention = flops_kaplan(shape, prompt, generated)
    total = flops_total(shape, prompt, generated, copies, shape, read)
    assert plain <= attention <= total
    # A prompt and a continuation cost what one pass over both costs.
    assert flops_total(shape, prompt, generated) == pytest.approx(
        float(flops_kaplan(shape, 0, prompt + generated))
    )
