"""Skywork-o1-Open-PRM: a value at the end of each step's line."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from isoflop.config.base import Prompt
from isoflop.config.verifiers import RunningVerifier
from isoflop.verifiers.layouts import Solution, Tagged
from isoflop.verifiers.registry import TinyCheckpoint, VerifierKind

if TYPE_CHECKING:
    from isoflop.verifiers.heads import Head


class SkyworkPrm(RunningVerifier):
    """A value at the end of each step's line (Skywork-o1-Open-PRM, of 1.5B and 7B)."""

    kind: Literal["skywork-prm"]
    """A Qwen2 model with a value head; line breaks inside a step become spaces."""
    prompt: Prompt = "{problem}\n"
    """The text before the first step, with `{problem}` where the problem goes."""


@dataclass(frozen=True, kw_only=True)
class _SkyworkPrm(VerifierKind[SkyworkPrm]):
    def tag(self, tokenizer: Any, entry: SkyworkPrm, solutions: Sequence[Solution]) -> list[Tagged]:
        """The prompt and every step encoded apart, a line's end after each step."""
        line_end = tokenizer("\n", add_special_tokens=False)["input_ids"][-1]
        start = tokenizer.bos_token or ""
        tagged = []
        for prompt, steps in solutions:
            ids = list(tokenizer(start + prompt)["input_ids"])
            begin, places = len(ids), []
            for step in steps:
                flat = re.sub(r"\s*\n\s*", " ", step.strip())
                ids += [*(tokenizer(flat)["input_ids"] if flat else []), line_end]
                places.append(len(ids) - 1)
            tagged.append(Tagged(ids, places, begin))
        return tagged

    def head(self, entry: SkyworkPrm, model: Any, tokenizer: Any) -> "Head":
        """The saved one. Raises UserError where the checkpoint has none."""
        from isoflop.verifiers.heads import Head, saved_tensors  # noqa: PLC0415  torch

        names = ("v_head.summary.weight", "v_head.summary.bias")
        weight, bias = saved_tensors(entry.model, entry.revision, names)
        return Head.of(weight, bias, None, model.device)

    def head_parameters(self, hidden: int) -> int:
        """One linear layer."""
        return hidden + 1


def _random_head(hidden: int, vocabulary: int) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    return {"v_head.summary.weight": torch.randn(1, hidden), "v_head.summary.bias": torch.randn(1)}


VERIFIER = _SkyworkPrm(
    name="skywork-prm",
    order=5,
    entry=SkyworkPrm,
    tiny=TinyCheckpoint(model="Qwen2ForCausalLM", tokenizer="qwen", tensors=_random_head),
)
