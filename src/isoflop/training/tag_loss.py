"""The loss of a process reward model: P(good) against P(bad) at its tags, with soft labels.

Binary cross-entropy as in Snell et al. 2024, App. D.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class TagLoss:
    """The loss of two tokens' probabilities; labels are soft, from 0 to 1 at the tags and below 0 elsewhere.

    `good`, `bad`: the tokens' ids.
    """

    good: int
    bad: int

    def __call__(
        self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Of a model's outputs, in nats: the mean over the steps of a batch, or the sum over that number."""
        at_tags = labels >= 0
        logits = outputs["logits"][at_tags]
        total = _cross_entropy(logits[:, self.good] - logits[:, self.bad], labels[at_tags])
        return total / (at_tags.sum() if num_items_in_batch is None else num_items_in_batch)

    def summed(self, model: Any, batch: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """The sum over the steps of a batch, in nats, from the two tokens' logits at the tags alone.

        Parameters
        ----------
        model
            A causal language model whose logits are its last hidden states times its output embeddings.
        batch
            What it reads: token ids and attention mask, [rows, positions].
        labels
            [rows, positions].

        Notes
        -----
        With 49,152 words the other logits are a fifth of the work of a model of 135M parameters.
        """
        at_tags = labels >= 0
        hidden = model.base_model(**batch, use_cache=False).last_hidden_state[at_tags]
        head, tokens = model.get_output_embeddings(), [self.good, self.bad]
        # The difference of two logits in bfloat16 would be good to an eighth.
        with torch.autocast(hidden.device.type, enabled=False):
            bias = None if head.bias is None else head.bias[tokens].float()
            logits = functional.linear(hidden.float(), head.weight[tokens].float(), bias)
            return _cross_entropy(logits[:, 0] - logits[:, 1], labels[at_tags])


def _cross_entropy(margin: Tensor, labels: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(margin.float(), labels.float(), reduction="sum")
