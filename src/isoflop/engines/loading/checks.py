"""Faults of a loaded model: tensors that are not its file's, mathematics that is not the engines'."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from isoflop.engines.kv_cache import kept_shape
from isoflop.engines.prefix_attention import Recorder, UncommonAttentionError
from isoflop.errors import UserError

# Constants that older versions of transformers saved, which are computed.
_COMPUTED = re.compile(
    r"rotary_emb\.(inv_freq|cos_cached|sin_cached)$|\.attn\.(masked_)?bias$|\.attention\.(masked_)?bias$"
    r"|(^|\.)position_ids$"
)
_OUTPUT = "lm_head."
_LISTED = 3
# How far rounding may move hidden states, relative to their length: in float32 after all layers, in half
# precision after the first two, for it grows with every layer (of SmolLM2-135M in bfloat16 from 0.006 after
# these to 0.18 after all 30).
_ROUNDING = {torch.float32: 1e-3, torch.float16: 0.01, torch.bfloat16: 0.05}
_FIRST = slice(1, 3)
# Of logits that are said to be the same product of the same numbers: units in the last place of the largest.
_SAME = 8
# Hidden states are also made so much larger, where a cap on logits shows, as far as float16 holds them.
_LOUDER, _HELD = 64.0, 2.0**13


def check_tensors(model: Any, name: str, told: Mapping[str, Any]) -> set[str]:
    """Refuse a model that has tensors which are not its checkpoint's.

    `told`: what transformers says of the loading. Returns the names of the checkpoint's tensors that the
    model has no place for: a head, which somebody else must read (`refuse_unread`).
    """
    missing = sorted(told["missing_keys"])
    if missing:
        raise UserError(
            f"model {name!r}: lacks {_named(missing)} of {type(model).__name__}; it is cut short or of "
            "another kind: copy it again, or choose the kind that it is of"
        )
    shapes = sorted(told["mismatched_keys"])
    if shapes:
        tensor, found, wanted = shapes[0]
        raise UserError(
            f"model {name!r}: tensor {tensor} is {list(found)} and should be {list(wanted)} "
            f"({len(shapes)} such); its config.json is of another checkpoint"
        )
    if told["error_msgs"]:
        raise UserError(f"model {name!r}: cannot be loaded: {str(told['error_msgs'][0]).splitlines()[0]}")
    headless = model.get_output_embeddings() is None
    return {
        tensor
        for tensor in told["unexpected_keys"]
        if not _COMPUTED.search(tensor) and not (headless and tensor.startswith(_OUTPUT))
    }


def refuse_unread(name: str, unread: Collection[str]) -> None:
    """Raises UserError where a checkpoint has tensors that nobody reads."""
    if unread:
        raise UserError(
            f"model {name!r}: has {_named(sorted(unread))}, for which its architecture has no place; its "
            "config.json is of another checkpoint, or it is to be used as another kind of model"
        )


def check_finite(name: str, tensors: Iterator[tuple[str, Tensor]]) -> None:
    """Raises UserError naming the tensors that have a number which is none, or infinite."""
    wrong = [tensor for tensor, values in tensors if not _finite(values)]
    if wrong:
        raise UserError(
            f"model {name!r}: has NaN or infinite numbers in {_named(wrong)}; copy it again, or choose a "
            "dtype that can hold its numbers"
        )


def _finite(values: Tensor) -> bool:
    if not values.is_floating_point() or not values.numel() or values.is_meta:
        return True
    if values.element_size() == 1:
        values = values.float()
    # NaN is the least and the largest of whatever it is among.
    return all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(values.detach()))


def _named(names: Sequence[str]) -> str:
    """`tensor a`, `tensors a, b, c and 5 more`."""
    shown = ", ".join(names[:_LISTED])
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"tensor{'s' if len(names) > 1 else ''} {shown}{more}"


def check_logits(model: Any, name: str) -> None:
    """Refuse a model whose logits are more than its last hidden states times its output embeddings.

    The engines compute them so, with an attention of their own: a model that scales or caps logits or
    attention scores in other ways (Granite, Cohere, Gemma 2) would be sampled at another temperature. Of the
    same hidden states the logits must be the same in any precision; hidden states may differ by rounding.
    """
    ids = _some_ids(model)
    with torch.inference_mode(), _eager(model):
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        logits, same = model.get_output_embeddings()(hidden), True
        largest = max(float(states.abs().max()) for states in (hidden, logits))
        for factor in (1.0, min(_LOUDER, _HELD / largest)):
            given: list[Tensor] = []
            with _louder(model, factor, given):
                theirs = model(input_ids=ids, use_cache=False).logits
            # Nothing is done to the states before the last layer, and nothing to what it makes of them.
            same &= len(given) == 1 and _equal(given[0], hidden * factor)
            same &= _equal(theirs, model.get_output_embeddings()(hidden * factor))
    if not same:
        raise UserError(
            f"model {name!r}: its logits are not its hidden states times its output embeddings "
            f"(architecture {type(model).__name__}); engine transformers does not support it"
        )
    check_hidden(model, name)


def plain_head(model: Any) -> bool:
    """Whether the logits are the last hidden states times the output embeddings, as `check_logits` has it."""
    training = model.training
    model.eval()
    try:
        check_logits(model, "")
    except UserError:
        return False
    finally:
        model.train(training)
    return True


def check_hidden(model: Any, name: str) -> None:
    """Refuse a model whose hidden states differ under the attention of isoflop.engines.prefix_attention."""
    ids = _some_ids(model)
    fault = (
        f"model {name!r}: its attention is not the common one (architecture {type(model).__name__}); "
        "engine transformers does not support it"
    )
    with torch.inference_mode():
        try:
            ours = _hidden_states(model, ids)
        except UncommonAttentionError as error:
            raise UserError(f"{fault}: it has {error}") from error
        with _eager(model):
            theirs = _hidden_states(model, ids)
    for one, other in zip(ours, theirs, strict=True):
        if not float((one - other).norm()) <= _ROUNDING[model.dtype] * float(other.norm()):
            raise UserError(fault)


def check_kept(model: Any, name: str) -> None:
    """Refuse a model whose layers do not hand their attention keys and values of one shape, to be kept.

    Latent attention (DeepSeek) has wider keys than values; some models (StableLM) do not tell their attention
    what they are told themselves, so that nothing is handed over.
    """
    recorder, ids = Recorder(), _some_ids(model)
    with torch.inference_mode():
        model.base_model(input_ids=ids, use_cache=False, recorder=recorder)
    layers, heads, width = kept_shape(model.config)
    shapes = [tuple(layer.shape) for layer in (*recorder.keys, *recorder.values)]
    if shapes != [(1, heads, ids.shape[1], width)] * (2 * layers):
        raise UserError(
            f"model {name!r}: its attention has no keys and values of one shape in all layers (architecture "
            f"{type(model).__name__}); engine transformers does not support it as a policy"
        )


def _hidden_states(model: Any, ids: Tensor) -> list[Tensor]:
    """The states to compare, [1, tokens, hidden] each, in float64."""
    told = model.base_model(input_ids=ids, use_cache=False, output_hidden_states=True)
    states = [told.last_hidden_state] if model.dtype == torch.float32 else told.hidden_states[_FIRST]
    return [one.double() for one in states]


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether numbers are the same but for the last places of the largest."""
    scale = float(other.abs().max()) * torch.finfo(other.dtype).eps * _SAME
    return one.shape == other.shape and torch.allclose(one.double(), other.double(), rtol=0.0, atol=scale)


@contextmanager
def _louder(model: Any, factor: float, given: list[Tensor]) -> Iterator[None]:
    """With the hidden states that the last layer is given multiplied by `factor`; they go to `given`."""

    def hook(module: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        given.append(arguments[0] * factor)
        return (given[-1], *arguments[1:])

    handle = model.get_output_embeddings().register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _eager(model: Any) -> Iterator[None]:
    """With the plain attention of transformers instead of the model's own."""
    implementation = model.config._attn_implementation
    model.set_attn_implementation("eager")
    yield
    model.set_attn_implementation(implementation)


def _some_ids(model: Any) -> Tensor:
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    return torch.arange(1, 9, device=model.device)[None] % vocabulary
