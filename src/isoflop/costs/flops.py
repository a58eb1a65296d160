"""Floating-point operations (FLOPs) of candidates: the formulas behind three cost models.

| name | counts | per token at position t (1-based, the prompt before it) |
|---|---|---|
| `wu2024` | the policy's generated tokens | 2 N |
| `kaplan` | the same tokens, attention added | 2 N + 4 n_layer d_attn t |
| `total` | prompts, generated tokens, the verifier's tokens | the same, each with its own model |

`wu2024` reproduces Wu et al. 2024, Table 4. N is the number of distinct parameters in the checkpoint that a
token meets: all of them, or of a mixture of experts those of its router, of the experts that it is routed to
and of the shared ones.

Attention: a token that attends to t positions (itself included) multiplies one query by t keys and t
weights by t values, 2 t d_attn FLOPs each, so 4 t d_attn per layer. Kaplan et al. 2020 (Table 1) write
2 n_layer n_ctx d_attn per token, with n_ctx the whole window: the same count averaged over a causal
window, where t is n_ctx / 2 on average. Here the positions are summed exactly, so no window is assumed.

Every token is charged one pass at its own position; with a key-value cache it is processed once. The pass
over a candidate's last token is charged though a sampler does not run it, so that `kaplan` is exactly
`wu2024` plus attention.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from isoflop.arrays import Floats
from isoflop.costs.shape import ModelShape
from isoflop.costs.work import attended_after
from isoflop.errors import UserError

# Two products (query-key and weight-value), each a multiplication and an addition per element.
_ATTENTION_FLOPS = 4.0


def flops_wu2024(policy: ModelShape, generated: ArrayLike) -> Floats:
    """2 N FLOPs per generated token; prompts, attention and the verifier are free (Wu et al. 2024, Table 4).

    Parameters
    ----------
    policy
        Its shape.
    generated
        Tokens per candidate, of any shape.

    Returns
    -------
    FLOPs per candidate, of the same shape.

    Raises
    ------
    UserError
        For a count that is negative or not finite.

    References
    ----------
    Wu et al. 2024, Inference Scaling Laws, Table 4. doi:10.48550/arXiv.2408.00724
    """
    return 2.0 * policy.active * _counts("generated", generated)


def flops_kaplan(policy: ModelShape, prompt: ArrayLike, generated: ArrayLike) -> Floats:
    """`flops_wu2024` plus attention over each generated token's context (Kaplan et al. 2020, Table 1).

    Parameters
    ----------
    policy
        Its shape.
    prompt, generated
        Tokens per candidate, of shapes that broadcast.

    Returns
    -------
    FLOPs per candidate.

    Raises
    ------
    UserError
        For a count that is negative or not finite.

    Notes
    -----
    The i-th generated token attends to prompt + i positions.

    References
    ----------
    Kaplan et al. 2020, Scaling Laws for Neural Language Models, Table 1. doi:10.48550/arXiv.2001.08361
    """
    return _pass_flops(policy, _counts("prompt", prompt), _counts("generated", generated))


def flops_total(
    policy: ModelShape,
    prompt: ArrayLike,
    generated: ArrayLike,
    prompt_copies: ArrayLike = 1.0,
    verifier: ModelShape | None = None,
    verifier_tokens: ArrayLike = 0,
) -> Floats:
    """FLOPs of all that ran: the prompt, the generated tokens and the verifier's reading of the candidate.

    Parameters
    ----------
    policy
        Its shape.
    prompt, generated
        Tokens per candidate.
    prompt_copies
        How often a candidate pays for its prompt: 1 / k where the prompt is processed once for k samples,
        1 where every sample processes it again.
    verifier
        Its shape; None where none is used.
    verifier_tokens
        Length of the one sequence (problem, solution and step tags) that the verifier reads in a single pass.

    Returns
    -------
    FLOPs per candidate; all arrays broadcast.

    Raises
    ------
    UserError
        For a count that is negative or not finite, and for verifier tokens without a verifier.
    """
    prompts, read = _counts("prompt", prompt), _counts("verifier_tokens", verifier_tokens)
    copies = _counts("prompt_copies", prompt_copies)
    policy_flops = copies * _pass_flops(policy, np.zeros(()), prompts) + flops_kaplan(
        policy, prompts, generated
    )
    if verifier is None:
        if np.any(read > 0):
            raise UserError("verifier_tokens are given without the shape of a verifier; give both or neither")
        return policy_flops + np.zeros_like(read)
    return policy_flops + _pass_flops(verifier, np.zeros(()), read)


def flops_of_positions(model: ModelShape | None, tokens: ArrayLike, attended: ArrayLike) -> Floats:
    """FLOPs of tokens whose positions are known by their sum only, as those of a tree are.

    Parameters
    ----------
    model
        Its shape; None where nobody knows it.
    tokens
        How many.
    attended
        The sum of the positions that they attend to, themselves included.

    Returns
    -------
    FLOPs, of the shape that both broadcast to; nan where the model is not known.

    Raises
    ------
    UserError
        For a count that is negative or not finite.
    """
    counts, positions = _counts("tokens", tokens), _counts("attended", attended)
    if model is None:
        return np.full(np.broadcast(counts, positions).shape, np.nan)
    flops: Floats = 2.0 * model.active * counts + (
        _ATTENTION_FLOPS * model.layers * model.attention_width * positions
    )
    return flops


def search_flops(usage: Mapping[str, Floats], policy: ModelShape, verifier: ModelShape) -> Floats:
    """FLOPs of all that ran in searches.

    Parameters
    ----------
    usage
        Columns of USAGE (isoflop.tables), all of one shape.
    policy, verifier
        Their shapes.

    Returns
    -------
    FLOPs, of the shape of the usage.
    """
    return (
        flops_of_positions(policy, usage["generated"], usage["attended"])
        + flops_total(policy, usage["prompt"], 0.0)
        + flops_of_positions(verifier, usage["scored"], usage["scored_attended"])
    )


def _pass_flops(model: ModelShape, before: Floats, tokens: Floats) -> Floats:
    """FLOPs of `tokens` tokens after `before` cached ones, at positions before + 1 ... before + tokens."""
    return flops_of_positions(model, tokens, attended_after(before, tokens))


def _counts(name: str, values: ArrayLike) -> Floats:
    counts: Floats = np.asarray(values, dtype=np.float64)
    wrong = ~(np.isfinite(counts) & (counts >= 0))
    if np.any(wrong):
        row = int(np.argmax(wrong))
        raise UserError(
            f"{name}: row {row} is {counts.flat[row]:g}, but a count must be finite and at least 0"
        )
    return counts
