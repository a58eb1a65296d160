"""Mixtures of experts: what a token meets, against counts by hand, for eight architectures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from transformers import (
    AutoModelForCausalLM,
    DeepseekV2Config,
    DeepseekV3Config,
    GptOssConfig,
    GraniteMoeConfig,
    LlamaConfig,
    MixtralConfig,
    OlmoeConfig,
    Qwen2MoeConfig,
    Qwen3MoeConfig,
)

from isoflop.costs.flops import flops_wu2024
from isoflop.engines.checkpoints import model_shape
from isoflop.errors import UserError

VOCABULARY, HIDDEN, HEADS = 64, 32, 4
COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": HIDDEN, "num_attention_heads": HEADS,
    "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
EMBEDDINGS = VOCABULARY * HIDDEN
LATENT = {
    "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 6,
    "num_key_value_heads": HEADS, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 24, "n_shared_experts": 1, "first_k_dense_replace": 1, "intermediate_size": 48,
}  # fmt: skip


def mlp(width: int) -> int:
    """Gate, up and down."""
    return 3 * HIDDEN * width


def attention(kv_heads: int, head: int = HIDDEN // HEADS) -> int:
    """Queries and output, keys and values."""
    return 2 * HIDDEN * HEADS * head + 2 * HIDDEN * kv_heads * head


@dataclass(frozen=True)
class Case:
    """A config, with parameters by hand: those outside of experts, one expert's, and how many there are.

    `layers`: with experts. `outside`: all but the routed experts, the router included. `kv`: numbers that a
    token leaves in a layer's cache.
    """

    config: Any
    layers: int
    experts: int
    chosen: int
    expert: int
    outside: int
    kv: int | None
    attention_width: int = HIDDEN


# Norms before attention and before the MLP.
NORMS = 2 * HIDDEN
CASES: dict[str, Callable[[], Case]] = {
    "mixtral": lambda: Case(
        MixtralConfig(**COMMON, num_hidden_layers=2, intermediate_size=48, num_key_value_heads=2,
                      num_local_experts=4, num_experts_per_tok=2),
        layers=2, experts=4, chosen=2, expert=mlp(48), kv=2 * 2 * 8,
        outside=2 * EMBEDDINGS + HIDDEN + 2 * (attention(2) + NORMS + 4 * HIDDEN),
    ),
    "qwen2_moe": lambda: Case(
        # The first layer is dense; the other has a gated shared expert. Queries, keys and values have biases.
        Qwen2MoeConfig(**COMMON, num_hidden_layers=2, intermediate_size=48, num_key_value_heads=2,
                       num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24,
                       shared_expert_intermediate_size=40, mlp_only_layers=[0]),
        layers=1, experts=4, chosen=2, expert=mlp(24), kv=2 * 2 * 8,
        outside=2 * EMBEDDINGS + HIDDEN + 2 * (attention(2) + HIDDEN + 2 * 16 + NORMS)
        + mlp(48) + mlp(40) + HIDDEN + 4 * HIDDEN,
    ),
    "qwen3_moe": lambda: Case(
        # Norms of queries and keys, and heads that are wider than hidden size over heads.
        Qwen3MoeConfig(**COMMON, num_hidden_layers=2, intermediate_size=48, num_key_value_heads=2,
                       num_experts=8, num_experts_per_tok=2, moe_intermediate_size=24, head_dim=16),
        layers=2, experts=8, chosen=2, expert=mlp(24), kv=2 * 2 * 16, attention_width=HEADS * 16,
        outside=2 * EMBEDDINGS + HIDDEN + 2 * (attention(2, 16) + 2 * 16 + NORMS + 8 * HIDDEN),
    ),
    "deepseek_v2": lambda: Case(
        # Latent attention: queries in full; a latent of 16 and 4 positions; 8 + 6 per head from the latent.
        DeepseekV2Config(**COMMON, **LATENT, num_hidden_layers=2, q_lora_rank=None),
        layers=1, experts=4, chosen=2, expert=mlp(24), kv=16 + 4, attention_width=HEADS * (12 + 6) // 2,
        outside=2 * EMBEDDINGS + HIDDEN + mlp(48) + mlp(24) + 4 * HIDDEN
        + 2 * (HIDDEN * HEADS * 12 + HIDDEN * 20 + 16 + 16 * HEADS * 14 + HEADS * 6 * HIDDEN + NORMS),
    ),
    "deepseek_v3": lambda: Case(
        # Queries from a latent of 12 too. The router's correction of the scores is no parameter.
        DeepseekV3Config(**COMMON, **LATENT, num_hidden_layers=3, q_lora_rank=12, n_group=1, topk_group=1),
        layers=2, experts=4, chosen=2, expert=mlp(24), kv=16 + 4, attention_width=HEADS * (12 + 6) // 2,
        outside=2 * EMBEDDINGS + HIDDEN + mlp(48) + 2 * (mlp(24) + 4 * HIDDEN)
        + 3 * (HIDDEN * 12 + 12 + 12 * HEADS * 12 + HIDDEN * 20 + 16 + 16 * HEADS * 14
               + HEADS * 6 * HIDDEN + NORMS),
    ),
    "olmoe": lambda: Case(
        OlmoeConfig(**COMMON, num_hidden_layers=2, intermediate_size=24, num_key_value_heads=4, num_experts=8,
                    num_experts_per_tok=2),
        layers=2, experts=8, chosen=2, expert=mlp(24), kv=2 * 4 * 8,
        outside=2 * EMBEDDINGS + HIDDEN + 2 * (attention(4) + 2 * HIDDEN + NORMS + 8 * HIDDEN),
    ),
    "gpt_oss": lambda: Case(
        # Biases everywhere, a sink per head, and every other layer sees a window: no one width of cache.
        GptOssConfig(**COMMON, num_hidden_layers=2, intermediate_size=24, num_key_value_heads=2, head_dim=8,
                     num_local_experts=4, num_experts_per_tok=2),
        layers=2, experts=4, chosen=2, expert=mlp(24) + 2 * 24 + HIDDEN, kv=None,
        outside=2 * EMBEDDINGS + HIDDEN
        + 2 * (attention(2) + 2 * HIDDEN + 2 * 16 + HEADS + NORMS + 4 * HIDDEN + 4),
    ),
    "granite_moe": lambda: Case(
        # The output matrix is the embeddings.
        GraniteMoeConfig(**COMMON, num_hidden_layers=2, intermediate_size=24, num_key_value_heads=2,
                         num_local_experts=4, num_experts_per_tok=2, tie_word_embeddings=True),
        layers=2, experts=4, chosen=2, expert=mlp(24), kv=2 * 2 * 8,
        outside=EMBEDDINGS + HIDDEN + 2 * (attention(2) + NORMS + 4 * HIDDEN),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_token_is_charged_what_it_meets(name: str) -> None:
    case = CASES[name]()
    shape = model_shape(AutoModelForCausalLM.from_config(case.config))
    every = case.outside + case.layers * case.experts * case.expert
    active = case.outside + case.layers * case.chosen * case.expert
    assert (shape.parameters, shape.active_parameters) == (every, active)
    assert (shape.kv_width, shape.attention_width) == (case.kv, case.attention_width)
    assert float(flops_wu2024(shape, 10)) == 20.0 * active


def test_a_dense_model_is_charged_all_of_it() -> None:
    config = LlamaConfig(**COMMON, num_hidden_layers=2, intermediate_size=48, num_key_value_heads=2)
    shape = model_shape(AutoModelForCausalLM.from_config(config))
    assert shape.active_parameters is None
    assert shape.active == shape.parameters == 2 * EMBEDDINGS + HIDDEN + 2 * (attention(2) + NORMS + mlp(48))
    assert shape.kv_width == 2 * 2 * 8
    assert "active_parameters" not in shape.model_dump()


def test_experts_that_nobody_routes_to_are_refused() -> None:
    model = AutoModelForCausalLM.from_config(CASES["olmoe"]().config)
    model.config.num_experts_per_tok = 0
    with pytest.raises(UserError, match="OlmoeForCausalLM: has experts, but its config does not say"):
        model_shape(model)


def test_more_parameters_are_met_by_every_token() -> None:
    shape = model_shape(AutoModelForCausalLM.from_config(CASES["olmoe"]().config))
    grown = shape.with_more(100, 1)
    assert grown.active - shape.active == grown.parameters - shape.parameters == 100
    assert grown.layers == 3
