"""The loss of a policy in pieces, for vocabularies whose logits of a whole batch would fill the memory."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from isoflop.training.examples import IGNORED

# Logits of a batch up to this many are computed at once: 256 MiB in float32.
WHOLE = 2**26
_PIECE = 2**25
# How far rounding may move the two sums of a few tokens' losses apart, relative to them.
_ROUNDING = 1e-5


def too_many_logits(model: Any, labels: Tensor) -> bool:
    """Whether the logits of a batch are better computed in pieces.

    Parameters
    ----------
    model
        A causal language model.
    labels
        Of a batch, [rows, positions].
    """
    return int(labels.numel()) * int(model.config.get_text_config().vocab_size) > WHOLE


def only_solution_loss(model: Any) -> bool:
    """Whether a model's own loss is that of `solution_loss` and nothing beside it, as for its experts.

    Parameters
    ----------
    model
        A causal language model whose logits are its last hidden states times its output embeddings.
    """
    training = model.training
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    ids = torch.arange(1, 17, device=model.device)[None] % vocabulary
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    model.eval()
    try:
        with torch.no_grad():
            own = float(model(**batch, labels=ids).loss)
            ours = float(solution_loss(model, batch, ids)) / (ids.shape[1] - 1)
    finally:
        model.train(training)
    return abs(own - ours) <= _ROUNDING * abs(own)


def solution_loss(model: Any, batch: Mapping[str, Tensor], labels: Tensor) -> Tensor:
    """The summed cross-entropy of all labelled tokens, in nats, with few logits in memory at a time.

    Parameters
    ----------
    model
        A causal language model whose logits are its last hidden states times its output embeddings.
    batch
        What it reads: token ids and attention mask, [rows, positions].
    labels
        The tokens at the same positions, IGNORED where nothing is to be predicted, [rows, positions].

    Notes
    -----
    Logits are computed at the places before labelled tokens only, and again for the gradient.
    """
    hidden = model.base_model(**batch, use_cache=False).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    labelled = wanted != IGNORED
    states, tokens = hidden[labelled], wanted[labelled]
    head = model.get_output_embeddings()

    def of_piece(rows: Tensor, following: Tensor) -> Tensor:
        return functional.cross_entropy(head(rows).float(), following, reduction="sum")

    size = max(1, _PIECE // int(model.config.get_text_config().vocab_size))
    total = torch.zeros((), device=states.device)
    for rows, following in zip(torch.split(states, size), torch.split(tokens, size), strict=True):
        total = total + checkpoint(of_piece, rows, following, use_reentrant=False)
    return total
