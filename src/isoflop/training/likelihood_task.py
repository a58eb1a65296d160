"""What layers on top of a frozen policy learn besides step labels: how probable it found each token.

Step labels are a few bits a solution. What the policy would have written itself is known at every token,
and a wrong step is mostly one that it would not have written; but that is known a position early, at the
token before, and only at the top. The first two added layers learn to carry the prediction a position on
(with grouped queries one layer's values are narrower than the stream), the last but one to tell the
probability it gave the token that is there. The last is free to judge steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from isoflop.errors import UserError

_RMS = 10.0
# Telling is learnt last, from the few tokens that were in doubt.
_TELLING = 3.0


def llama_layers(model: Any, name: str) -> Any:
    """The list of layers of the model called `name`. Raises UserError if they are not of Llama's kind."""
    layers = getattr(model.base_model, "layers", None)
    if layers is None or not hasattr(getattr(layers[-1], "mlp", None), "down_proj"):
        raise UserError(f"extra_layers: {name!r} has no layers of Llama's kind to add to")
    return layers


@torch.no_grad()
def rescale_residual(model: Any, factor: float) -> None:
    """Multiply all that is written to the residual stream by `factor`; the logits stay as they are.

    For models of Llama's kind, which normalise what a layer reads.
    """
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    embedding.weight.mul_(factor)
    if head.weight is embedding.weight:
        model.base_model.norm.weight.div_(factor)
    for layer in model.base_model.layers:
        for written in (layer.self_attn.o_proj, layer.mlp.down_proj):
            for parameter in written.parameters():
                parameter.mul_(factor)


@torch.no_grad()
def freeze_start(model: Any, added: int, examples: Sequence[Sequence[int]]) -> None:
    """Freeze all but the `added` top layers, and bring what they read to a size that they can add to.

    The residual stream of a trained model is many times what a fresh layer writes, so that the layers above,
    which normalise what they read, would hardly see it. `examples` are token ids to measure its size on.
    Raises UserError for a model whose logits this would change.
    """
    layers = model.base_model.layers
    start = len(layers) - added
    training = model.training
    model.eval()  # with dropout, no two passes would agree
    inputs = [torch.tensor([ids], device=model.device) for ids in examples]
    squares = []
    for ids in inputs:
        states = model.base_model(input_ids=ids, output_hidden_states=True).hidden_states
        squares.append(states[start].float().pow(2).mean())
    before = model(input_ids=inputs[0]).logits
    rescale_residual(model, _RMS / float(torch.stack(squares).mean().sqrt()))
    # The norms' epsilon and rounding move logits in the fourth digit; another kind of start, in the first.
    if (model(input_ids=inputs[0]).logits - before).abs().max() > 1e-2 * before.abs().max():
        raise UserError("surprise_weight: the start is not of Llama's kind, its layers cannot be rescaled")
    model.train(training)
    model.requires_grad_(False)
    for layer in layers[start:]:
        layer.requires_grad_(True)


@dataclass(frozen=True)
class SurpriseTask:
    """The second task of `added` layers; `good`, `bad` and `tag` are token ids."""

    added: int
    good: int
    bad: int
    tag: int
    weight: float

    def loss(self, model: Any, hidden_states: Sequence[Tensor], ids: Tensor, solution: Tensor) -> Tensor:
        """The weighted sum of two means over positions of solutions, in nats; the second counts threefold.

        The divergence of what can be read off the second added layer from what the start predicted one
        position before; and the cross-entropy of P(good) against P(bad), read off the last but one, with
        the probability that the start gave the token. Tags, which it never saw, and what follows one are
        left out of the second. `hidden_states` are what each layer reads, and then the normalised top,
        [rows, positions, width]; `ids` and the mask `solution` are [rows, positions].
        """
        start = len(model.base_model.layers) - self.added
        norm, head = model.base_model.norm, model.get_output_embeddings().weight
        here = solution[:, 1:]
        with torch.no_grad():
            predicted = torch.log_softmax((norm(hidden_states[start][:, :-1][here]) @ head.T).float(), -1)
            probability = predicted.gather(1, ids[:, 1:][here][:, None])[:, 0].exp()
        carried = torch.log_softmax((norm(hidden_states[start + 2][:, 1:][here]) @ head.T).float(), -1)
        carrying = functional.kl_div(carried, predicted, reduction="batchmean", log_target=True)
        told = ((ids[:, 1:] != self.tag) & (ids[:, :-1] != self.tag))[here]
        read = norm(hidden_states[-2][:, 1:][here][told])
        margin = (read @ (head[self.good] - head[self.bad])).float()
        telling = functional.binary_cross_entropy_with_logits(margin, probability[told])
        return self.weight * (carrying + _TELLING * telling)
