"""The general form of a causal model that says good or bad after each step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from isoflop.config.models import Chat
from isoflop.config.verifiers import PairVerifier
from isoflop.verifiers.families import CausalModel
from isoflop.verifiers.layouts import Solution, Tagged, tagged_or_chat
from isoflop.verifiers.registry import TinyCheckpoint


class TokenPair(Chat, PairVerifier):
    """The general form of such a model: any tag and tokens, with or without a chat around the solution."""

    kind: Literal["token-pair"]
    """A causal language model that says good or bad at a tag after each step."""


@dataclass(frozen=True, kw_only=True)
class _TokenPair(CausalModel[TokenPair]):
    def tag(self, tokenizer: Any, entry: TokenPair, solutions: Sequence[Solution]) -> list[Tagged]:
        """The prompt and tagged steps, plain or in a chat."""
        return tagged_or_chat(tokenizer, entry, entry.step_tag, solutions)


VERIFIER = _TokenPair(
    name="token-pair",
    order=2,
    entry=TokenPair,
    learnt_here=True,
    tiny=TinyCheckpoint(model="Qwen2ForCausalLM", tokenizer="qwen"),
)
