"""What the engines compute against what transformers does, on random checkpoints of many architectures."""

from typing import Any

import pytest
import torch
import transformers

from isoflop.engines.checkpoints import DTYPES
from isoflop.engines.loading.checks import check_kept, check_logits
from isoflop.engines.prefix_attention import NAME, attention
from isoflop.errors import UserError

COMMON = {
    "vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4,
    "intermediate_size": 48, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip
GROUPED: dict[str, Any] = COMMON | {"num_key_value_heads": 2}
SUPPORTED: dict[str, dict[str, Any]] = {
    "Llama": GROUPED,
    "Mistral": GROUPED | {"sliding_window": None},
    "Qwen2": GROUPED,
    "Qwen3": GROUPED | {"head_dim": 8},
    "GPTNeoX": COMMON,
    "OPT": COMMON | {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "Phi3": GROUPED,
    "Olmo2": GROUPED,
    "SmolLM3": GROUPED,
    "StableLm": GROUPED,
    "Starcoder2": GROUPED,
    "Gemma3": GROUPED | {"head_dim": 8, "final_logit_softcapping": None},
}
REFUSED: dict[str, dict[str, Any]] = {
    # Scales logits, attention and residuals.
    "Granite": GROUPED | {"logits_scaling": 8.0},
    "Cohere": GROUPED | {"logit_scale": 0.0625},
    # Caps logits and attention.
    "Gemma2": GROUPED | {"head_dim": 8},
    # Sinks beside the scores.
    "GptOss": GROUPED | {"head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
}


# Keys and values of other widths than each other: read by verifiers, but not kept for decoding.
LATENT = COMMON | {
    "num_key_value_heads": 4, "kv_lora_rank": 16, "q_lora_rank": None, "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8, "v_head_dim": 8, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 16, "first_k_dense_replace": 4, "n_group": 1, "topk_group": 1,
}  # fmt: skip


def random_model(architecture: str, settings: dict[str, Any], dtype: str) -> Any:
    """A model whose attention and logits are far from uniform, with the engines' attention."""
    transformers.AttentionInterface.register(NAME, attention)
    torch.manual_seed(0)
    names = [f"{architecture}TextConfig", f"{architecture}Config"]
    config = next(getattr(transformers, name) for name in names if hasattr(transformers, name))(**settings)
    config._attn_implementation = NAME
    model = getattr(transformers, f"{architecture}ForCausalLM")(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(6.0)
    return model.to(DTYPES[dtype]).eval()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("architecture", SUPPORTED)
def test_common_architectures_pass_in_every_precision(architecture: str, dtype: str) -> None:
    check_logits(random_model(architecture, SUPPORTED[architecture], dtype), architecture)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("architecture", REFUSED)
def test_others_are_refused_in_every_precision(architecture: str, dtype: str) -> None:
    model = random_model(architecture, REFUSED[architecture], dtype)
    with pytest.raises(UserError, match=r"its logits are not|its attention is not the common one"):
        check_logits(model, architecture)


@pytest.mark.parametrize("architecture", sorted(SUPPORTED.keys() - {"StableLm"}))
def test_keys_and_values_of_common_architectures_are_kept(architecture: str) -> None:
    check_kept(random_model(architecture, SUPPORTED[architecture], "float32"), architecture)


@pytest.mark.parametrize(
    ("architecture", "settings"), [("StableLm", SUPPORTED["StableLm"]), ("DeepseekV3", LATENT)]
)
def test_what_cannot_be_decoded_is_refused_for_policies(architecture: str, settings: dict[str, Any]) -> None:
    """Whose logits and hidden states are as common as those of others."""
    model = random_model(architecture, settings, "float32")
    check_logits(model, architecture)
    with pytest.raises(
        UserError, match=f"{architecture}': its attention has no keys and values of one shape"
    ):
        check_kept(model, architecture)
