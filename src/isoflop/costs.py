"""What a candidate costs, in floating-point operations (FLOPs) under three named cost models.

| name | counts | per token at position t (1-based, the prompt before it) |
|---|---|---|
| `wu2024` | the policy's generated tokens | 2 N |
| `kaplan` | the same tokens, attention added | 2 N + 4 n_layer d_attn t |
| `total` | prompts, generated tokens, the verifier's tokens | the same, each with its own model |

`wu2024` reproduces Wu et al. 2024, Table 4. N is the number of distinct parameters in the checkpoint.

Attention: a token that attends to t positions (itself included) multiplies one query by t keys and t
weights by t values, 2 t d_attn FLOPs each, so 4 t d_attn per layer. Kaplan et al. 2020 (Table 1) write
2 n_layer n_ctx d_attn per token, with n_ctx the whole window: the same count averaged over a causal
window, where t is n_ctx / 2 on average. Here the positions are summed exactly, so no window is assumed.

Every token is charged one pass at its own position; with a key-value cache it is processed once. The pass
over a candidate's last token is charged though a sampler does not run it, so that `kaplan` is exactly
`wu2024` plus attention.

Whole pools are priced by `expected_costs` (a random subset of samples), `revision_costs` (of chains of
revisions) and `search_costs`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, model_validator

from isoflop.arrays import Floats, Ints
from isoflop.errors import UserError
from isoflop.strategy import LIMIT

CostModel = Literal["wu2024", "kaplan", "total"]
"""The name of a cost model in the config; its column is `flops_NAME`."""
COST_MODELS = tuple(f"flops_{name}" for name in get_args(CostModel))

# Two products (query-key and weight-value), each a multiplication and an addition per element.
_ATTENTION_FLOPS = 4.0


class ModelShape(BaseModel):
    """What the cost of a transformer's token depends on, counted from its checkpoint.

    `parameters`: distinct parameters, those shared by tied matrices counted once. `embedding_parameters`:
    how many of them are token or position embeddings. `layers`: transformer blocks. `attention_width`: query
    heads times head dimension (d_attn of Kaplan et al. 2020).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: int = Field(gt=0)
    embedding_parameters: int = Field(ge=0)
    layers: int = Field(gt=0)
    attention_width: int = Field(gt=0)

    @model_validator(mode="after")
    def _embeddings_are_parameters(self) -> Self:
        if self.embedding_parameters > self.parameters:
            raise ValueError(
                f"embedding_parameters ({self.embedding_parameters}) exceed parameters ({self.parameters})"
            )
        return self


@dataclass(frozen=True)
class Usage:
    """What one model's work on all candidates took: its shape, seconds in all, and tokens per candidate.

    `tokens`: [candidates]; generated ones of the policy, read ones of a verifier.
    """

    model: ModelShape
    seconds: float
    tokens: Floats


def flops_wu2024(policy: ModelShape, generated: ArrayLike) -> Floats:
    """2 N FLOPs per generated token; prompts, attention and the verifier are free (Wu et al. 2024, Table 4).

    `generated`: tokens per candidate, any shape. Returns FLOPs per candidate, the same shape.
    Raises UserError for a count that is negative or not finite.
    """
    return 2.0 * policy.parameters * _counts("generated", generated)


def flops_kaplan(policy: ModelShape, prompt: ArrayLike, generated: ArrayLike) -> Floats:
    """`flops_wu2024` plus attention over each generated token's context (Kaplan et al. 2020, Table 1).

    `prompt`, `generated`: tokens per candidate, shapes that broadcast. The i-th generated token attends to
    prompt + i positions. Returns FLOPs per candidate.
    Raises UserError for a count that is negative or not finite.
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

    `prompt_copies`: how often a candidate pays for its prompt; 1 / k where the prompt is processed once for
    k samples, 1 where every sample processes it again. `verifier_tokens`: length of the one sequence
    (problem, solution and step tags) that the verifier reads in a single pass. All arrays are per candidate
    and broadcast; returns FLOPs per candidate.
    Raises UserError for a count that is negative or not finite, and for verifier tokens without a verifier.
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


def flops_of_positions(model: ModelShape, tokens: ArrayLike, attended: ArrayLike) -> Floats:
    """FLOPs of tokens whose positions are known by their sum only, as those of a tree are.

    `tokens`: how many; `attended`: the sum of the positions they attend to, themselves included. Any shapes
    that broadcast. Raises UserError for a count that is negative or not finite.
    """
    return 2.0 * model.parameters * _counts("tokens", tokens) + (
        _ATTENTION_FLOPS * model.layers * model.attention_width * _counts("attended", attended)
    )


def search_flops(usage: Mapping[str, Floats], policy: ModelShape, verifier: ModelShape) -> Floats:
    """FLOPs of all that ran, by searches' usage: columns of USAGE, of any one shape, which is returned."""
    return (
        flops_of_positions(policy, usage["generated"], usage["attended"])
        + flops_total(policy, usage["prompt"], 0.0)
        + flops_of_positions(verifier, usage["scored"], usage["scored_attended"])
    )


def expected_costs(
    budgets: Sequence[int], sizes: Ints, prompt: Floats, policy: Usage, verifier: Usage | None
) -> dict[str, Floats]:
    """Expected cost of a random k-subset of each problem's pool: columns of CREDITS, [budgets, problems].

    `sizes`: candidates per problem. `prompt`: prompt tokens, [candidates]. `verifier`: None where the
    strategy uses none. The policy's prompt is processed once per problem whatever the budget; seconds are
    shared between candidates by their tokens. The limit k -> infinity costs infinitely much.
    """
    tokens = policy.tokens
    per_candidate = {
        "tokens": tokens,
        "flops_wu2024": flops_wu2024(policy.model, tokens),
        "flops_kaplan": flops_kaplan(policy.model, prompt, tokens),
        "seconds": policy.seconds * _shares(tokens),
    }
    shape, read = None, np.zeros_like(tokens)
    if verifier is not None:
        shape, read = verifier.model, verifier.tokens
        per_candidate["seconds"] = per_candidate["seconds"] + verifier.seconds * _shares(read)
    per_candidate["flops_total"] = flops_total(policy.model, prompt, tokens, 0.0, shape, read)
    once = {"flops_total": _pool_means(flops_total(policy.model, prompt, 0.0, 1.0), sizes)}
    samples = np.array(budgets, dtype=np.float64)[:, None]
    costs = {}
    for name, values in per_candidate.items():
        cost = samples * _pool_means(values, sizes) + once.get(name, 0.0)
        # Set apart, for infinitely many samples of cost 0 would not be a number.
        costs[name] = np.where(samples == LIMIT, np.inf, cost)
    return costs


def revision_costs(
    budgets: Sequence[int], rows: Ints, prompt: Floats, policy: Usage, verifier: Usage | None
) -> dict[str, Floats]:
    """Expected cost of a random subset of chains: columns of CREDITS, [budgets, problems].

    `budgets`: numbers of answers. `rows`: of the candidates in the chains, [problems, P, S]. `prompt`: prompt
    tokens, [candidates]. First answers share one reading of the problem's prompt; every revision reads its
    own, attempts included. Seconds are shared between candidates by their tokens.
    """
    tokens = policy.tokens
    # How often each answer pays for its prompt: a first one shares it.
    copies = np.ones_like(tokens)
    firsts = rows[:, :, 0]
    copies[firsts] = 0.0
    shape, read = (None, 0.0) if verifier is None else (verifier.model, verifier.tokens)
    seconds = policy.seconds * _shares(tokens)
    if verifier is not None:
        seconds = seconds + verifier.seconds * _shares(verifier.tokens)
    each = {
        "tokens": tokens,
        "flops_wu2024": flops_wu2024(policy.model, tokens),
        "flops_kaplan": flops_kaplan(policy.model, prompt, tokens),
        "flops_total": flops_total(policy.model, prompt, tokens, copies, shape, read),
        "seconds": seconds,
    }
    once = flops_total(policy.model, prompt, 0.0)[firsts[:, 0]]
    chains = np.array(budgets, dtype=np.float64)[:, None] / rows.shape[2]
    costs = {}
    for name, values in each.items():
        # In rising order, so that the order of the chains changes no last bit.
        mean = np.sort(values[rows].sum(axis=2), axis=1).mean(axis=1)
        costs[name] = chains * mean + (once if name == "flops_total" else 0.0)
    return costs


def search_costs(usage: Mapping[str, Floats], policy: ModelShape, verifier: ModelShape) -> dict[str, Floats]:
    """Cost of a search by its usage: columns of CREDITS, [budgets, problems], means over runs.

    `usage`: columns of USAGE, each [problems, budgets, runs]. The verifier's reading belongs to the search,
    whatever picks the answer. Paths are read once, by either model: what a step follows is kept.
    """
    generated, attended = usage["generated"], usage["attended"]
    costs = {
        "tokens": generated,
        "flops_wu2024": flops_of_positions(policy, generated, np.zeros_like(attended)),
        "flops_kaplan": flops_of_positions(policy, generated, attended),
        "flops_total": search_flops(usage, policy, verifier),
        "seconds": usage["seconds"],
    }
    return {name: values.mean(axis=2).T for name, values in costs.items()}


def _pass_flops(model: ModelShape, before: Floats, tokens: Floats) -> Floats:
    """FLOPs of `tokens` tokens after `before` cached ones, at positions before + 1 ... before + tokens."""
    attended = tokens * before + tokens * (tokens + 1.0) / 2.0
    result: Floats = (
        2.0 * model.parameters * tokens + _ATTENTION_FLOPS * model.layers * model.attention_width * attended
    )
    return result


def _shares(tokens: Floats) -> Floats:
    """Each candidate's share of all tokens; equal shares where there are none."""
    total = float(tokens.sum())
    return tokens / total if total > 0 else np.full(tokens.size, 1.0 / tokens.size)


def _pool_means(values: Floats, sizes: Ints) -> Floats:
    """Mean over each problem's pool, summed in rising order: the same whatever the order of samples."""
    problem = np.repeat(np.arange(sizes.size), sizes)
    ranked = values[np.lexsort((values, problem))]
    means: Floats = np.add.reduceat(ranked, np.cumsum(sizes) - sizes) / sizes
    return means


def _counts(name: str, values: ArrayLike) -> Floats:
    counts: Floats = np.asarray(values, dtype=np.float64)
    wrong = ~(np.isfinite(counts) & (counts >= 0))
    if np.any(wrong):
        row = int(np.argmax(wrong))
        raise UserError(
            f"{name}: row {row} is {counts.flat[row]:g}, but a count must be finite and at least 0"
        )
    return counts
