"""Qwen2.5-Math-PRM: a head of two layers at a tag after each step, in a chat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from isoflop.config.base import Prompt, Text
from isoflop.config.verifiers import TaggedVerifier
from isoflop.verifiers.layouts import Layout, Solution, Tagged, in_chat, located, token_id
from isoflop.verifiers.registry import TinyCheckpoint, VerifierKind

if TYPE_CHECKING:
    from isoflop.verifiers.heads import Head

QWEN_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."


class QwenPrm(TaggedVerifier):
    """Two classes at a tag after each step (Qwen2.5-Math-PRM, of 7B and 72B)."""

    kind: Literal["qwen-prm"]
    """A Qwen2 model with a head of two layers, in its chat template."""
    system: Text = QWEN_SYSTEM
    """The chat's system message."""
    prompt: Prompt = "{problem}"
    """The user's message, with `{problem}` where the problem goes."""
    step_tag: Text = "<extra_0>"
    """What is put after every step; one token."""


@dataclass(frozen=True, kw_only=True)
class _QwenPrm(VerifierKind[QwenPrm]):
    def tag(self, tokenizer: Any, entry: QwenPrm, solutions: Sequence[Solution]) -> list[Tagged]:
        """The chat, the steps with nothing but tags between them."""
        layouts = [
            in_chat(tokenizer, entry.system, prompt, _joined(steps, entry.step_tag))
            for prompt, steps in solutions
        ]
        return located(tokenizer, layouts, token_id(tokenizer, entry.step_tag), special=False)

    def head(self, entry: QwenPrm, model: Any, tokenizer: Any) -> "Head":
        """The saved one. Raises UserError where the checkpoint has none."""
        from isoflop.verifiers.heads import Head, saved_tensors  # noqa: PLC0415  torch

        names = ("score.0.weight", "score.0.bias", "score.2.weight", "score.2.bias")
        tensors = saved_tensors(entry.model, entry.revision, names)
        inner, inner_bias, weight, bias = (tensor.double().to(model.device) for tensor in tensors)
        return Head(weight, bias, 1, (inner, inner_bias))

    def head_parameters(self, hidden: int) -> int:
        """A layer as wide as the model, and one of two classes."""
        return hidden * hidden + hidden + 2 * hidden + 2

    def vllm_head(self, entry: QwenPrm, labels: int, tokenizer: Any) -> "Head":
        """That of the two classes, which vLLM computes."""
        from isoflop.verifiers.heads import Head  # noqa: PLC0415  torch

        return Head.of_labels(2, 1)


def _joined(steps: Sequence[str], tag: str) -> Layout:
    """Steps with nothing but tags between them."""
    text, marks = "", []
    for step in steps:
        text += step.strip() + tag
        marks.append(len(text) - 1)
    return Layout(text, marks, 0)


def _random_head(hidden: int, vocabulary: int) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    layers = {"score.0": (hidden, hidden), "score.2": (2, hidden)}
    head = {f"{name}.weight": torch.randn(shape) / 3 for name, shape in layers.items()}
    return head | {f"{name}.bias": torch.randn(shape[0]) / 3 for name, shape in layers.items()}


VERIFIER = _QwenPrm(
    name="qwen-prm",
    order=4,
    entry=QwenPrm,
    auto_class="AutoModel",
    vllm_task="token_classify",
    tiny=TinyCheckpoint(
        model="Qwen2Model",
        settings={"num_labels": 2},
        tokenizer="qwen",
        tensors=_random_head,
        prefix="model.",
        called="Qwen2ForProcessRewardModel",
    ),
)
