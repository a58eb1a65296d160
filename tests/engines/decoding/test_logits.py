"""The output layer in pieces is the output layer."""

import pytest
import torch

from isoflop.engines.decoding.logits import logits_of


@pytest.mark.parametrize("words", [1, 79, 4096, 9001])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_pieces_are_the_whole(words: int, bias: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(24, words, bias=bias).to(dtype)
    hidden = torch.randn(7, 24).to(dtype)
    room = torch.full((9, words), 5.0, dtype=dtype)
    with torch.inference_mode():
        found = logits_of(head, hidden, room)
        tolerance = 8 * torch.finfo(dtype).eps
        assert torch.allclose(found, head(hidden), rtol=tolerance, atol=tolerance)
        assert torch.equal(found, logits_of(head, hidden))
    assert found.data_ptr() == room.data_ptr()
    assert bool((room[7:] == 5.0).all())


def test_output_layers_of_other_kinds_are_asked_themselves() -> None:
    class Doubled(torch.nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(input)

    head = Doubled(4, 6)
    hidden = torch.randn(2, 4)
    with torch.inference_mode():
        assert torch.equal(logits_of(head, hidden, torch.zeros(2, 6)), head(hidden))
