"""The output layer, some thousand words at a time: with a large vocabulary its product takes longest."""

from typing import Any

import torch
from torch import Tensor

# Of so many words the product's result stays in the processor's cache until it is written.
_WORDS = 4096


def logits_of(head: Any, hidden: Tensor, room: Tensor | None = None) -> Tensor:
    """The logits [rows, vocabulary] of hidden states [rows, hidden]; gradients cannot be had of them.

    `room`: where to write them [rows or more, vocabulary]; pages that the system has yet to hand out take as
    long as the product. Models whose output layer is no plain one, and GPUs, make their own.
    """
    if type(head) is not torch.nn.Linear or hidden.device.type != "cpu":
        logits: Tensor = head(hidden)
        return logits
    words = len(head.weight)
    out = hidden.new_empty(len(hidden), words) if room is None else room[: len(hidden)]
    for start in range(0, words, _WORDS):
        end = min(start + _WORDS, words)
        torch.mm(hidden, head.weight[start:end].T, out=out[:, start:end])
    if head.bias is not None:
        out += head.bias
    return out
