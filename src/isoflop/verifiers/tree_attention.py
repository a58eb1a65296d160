"""Attention over a forest of tokens (isoflop.verifiers.prefix_trees), without a mask of all by all.

Neighbouring tokens have nearly the same path, so a block of them attends to the rows of their paths alone:
for solutions of a hundred tokens a fraction of the forest.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AttentionInterface

from isoflop.engines.prefix_attention import NAME, attention
from isoflop.errors import UserError
from isoflop.verifiers.prefix_trees import Forest

# Tokens that attend together: with more the rows of each other's paths cost more than small products do.
_BLOCK = 32


class TreeStep:
    """A forward pass over a forest, for isoflop.engines.prefix_attention to attend with.

    `keys`, `values`: what the pass leaves of each layer, kept rows then new ones, [kv_heads, rows, d]; of the
    rows `keep` only, where these are given.
    """

    def __init__(
        self, forest: Forest, model: Any, kept: Tensor | None, keep: NDArray[np.int64] | None
    ) -> None:
        """`kept`: keys then values of all layers of the kept rows, [2 * layers, kv_heads, kept, d]."""
        device = model.device
        self._kept, self._tokens = kept, len(forest.tokens)
        self._keep = None if keep is None else torch.from_numpy(keep).to(device)
        self._count = -(-self._tokens // _BLOCK)
        self._blocks = []
        for some in forest.blocks(_BLOCK):
            bias = torch.zeros(some.seen.shape, dtype=model.dtype)
            bias.masked_fill_(torch.from_numpy(~some.seen), -torch.inf)
            numbers, rows = torch.from_numpy(some.numbers), torch.from_numpy(some.rows)
            self._blocks.append((numbers.to(device), rows.to(device), bias.to(device)))
        # By the number of query heads that share keys, which the first layer tells.
        self._biases: dict[int, list[Tensor]] = {}
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Attention of the next layer. All [1, heads, new, d]; returns [1, new, heads, d]."""
        keys, values = key[0], value[0]
        if self._kept is not None:
            layer, layers = len(self.keys), len(self._kept) // 2
            keys = torch.cat([self._kept[layer], keys], dim=1)
            values = torch.cat([self._kept[layer + layers], values], dim=1)
        heads, kv_heads = query.shape[1], len(keys)
        share = heads // kv_heads
        padded = torch.nn.functional.pad(query[0], (0, 0, 0, self._count * _BLOCK - self._tokens))
        # Query heads that share keys are one head with more queries: [blocks, kv_heads, share * tokens, d].
        queries = padded.reshape(kv_heads, share, self._count, _BLOCK, -1).permute(2, 0, 1, 3, 4)
        queries = queries.reshape(self._count, kv_heads, share * _BLOCK, -1)
        output = query.new_empty((*queries.shape[:3], values.shape[-1]))
        for (numbers, rows, _), bias in zip(self._blocks, self._bias(share), strict=True):
            near_keys, near_values = (
                pool.index_select(1, rows.flatten()).view(kv_heads, *rows.shape, -1).transpose(0, 1)
                for pool in (keys, values)
            )
            output[numbers] = torch.nn.functional.scaled_dot_product_attention(
                queries[numbers], near_keys, near_values, attn_mask=bias, scale=scaling
            )
        if self._keep is not None:
            keys, values = keys.index_select(1, self._keep), values.index_select(1, self._keep)
        self.keys.append(keys)
        self.values.append(values)
        output = output.view(self._count, kv_heads, share, _BLOCK, -1).permute(0, 3, 1, 2, 4)
        return output.reshape(1, self._count * _BLOCK, heads, -1)[:, : self._tokens]

    def _bias(self, share: int) -> Sequence[Tensor]:
        if share not in self._biases:
            self._biases[share] = [bias.repeat(1, share, 1)[:, None] for _, _, bias in self._blocks]
        return self._biases[share]

    def stacked(self) -> Tensor:
        """Keys then values of all layers, [2 * layers, kv_heads, rows, d]."""
        return torch.stack([*self.keys, *self.values])


def read(
    model: Any, forest: Forest, kept: Tensor | None = None, keep: NDArray[np.int64] | None = None
) -> tuple[Tensor, TreeStep]:
    """One pass over a forest.

    Parameters
    ----------
    model
        Of transformers, whose attention is that of isoflop.engines.prefix_attention.
    forest
        What is read.
    kept
        Keys then values of all layers of its kept rows, [2 * layers, kv_heads, kept, d].
    keep
        The rows whose keys and values are wanted; all if left out.

    Returns
    -------
    The last hidden states of the new tokens, [new, hidden], and the step, which has keys and values.

    Raises
    ------
    UserError
        Where the model does not tell its attention what it was told itself.
    """
    step = TreeStep(forest, model, kept, keep)
    tokens, positions = (
        torch.from_numpy(values)[None].to(model.device) for values in (forest.tokens, forest.positions)
    )
    hidden: Tensor = model.base_model(
        input_ids=tokens,
        position_ids=positions,
        use_cache=False,
        extend=step,
        # Ready-made, so that transformers makes none: the attention function masks by itself.
        attention_mask=torch.zeros((1, 1, 1, 1), device=model.device),
    ).last_hidden_state
    if not step.keys:
        raise UserError(
            f"model {model.name_or_path!r}: its attention is not the common one (architecture "
            f"{type(model).__name__}); engine transformers does not support it"
        )
    return hidden[0], step


@contextmanager
def shared_attention(model: Any) -> Iterator[None]:
    """A model with the attention that `read` needs for a while, whatever it is used with otherwise."""
    before = model.config._attn_implementation
    if before == NAME:
        yield
        return
    AttentionInterface.register(NAME, attention)
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
