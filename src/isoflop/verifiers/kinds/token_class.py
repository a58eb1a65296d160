"""A token classifier read at a tag after each step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from isoflop.config.models import Chat
from isoflop.config.verifiers import TaggedVerifier
from isoflop.verifiers.families import Classifier
from isoflop.verifiers.layouts import Solution, Tagged, tagged_or_chat
from isoflop.verifiers.registry import TinyCheckpoint


class TokenClass(Chat, TaggedVerifier):
    """A token classifier read at a tag after each step."""

    kind: Literal["token-class"]
    """A checkpoint for token classification."""
    good_class: Annotated[int, Field(ge=0)] = 1
    """The class whose probability is the score."""


@dataclass(frozen=True, kw_only=True)
class _TokenClass(Classifier[TokenClass]):
    def tag(self, tokenizer: Any, entry: TokenClass, solutions: Sequence[Solution]) -> list[Tagged]:
        """The prompt and tagged steps, plain or in a chat."""
        return tagged_or_chat(tokenizer, entry, entry.step_tag, solutions)

    def vllm_arguments(self) -> dict[str, Any]:
        """Classes, at the tokens that look like marks only."""
        from vllm.config import PoolerConfig  # noqa: PLC0415  heavy, and only there where it is used

        return {
            "convert": "classify",
            "hf_overrides": _as_sequence_classifier,
            "pooler_config": PoolerConfig(tok_pooling_type="STEP"),
        }


def _as_sequence_classifier(config: Any) -> Any:
    """vLLM's sequence classifiers are token classifiers too, under that name."""
    names = [
        name.replace("ForTokenClassification", "ForSequenceClassification") for name in config.architectures
    ]
    config.architectures = names
    return config


VERIFIER = _TokenClass(
    name="token-class",
    order=7,
    entry=TokenClass,
    auto_class="AutoModelForTokenClassification",
    vllm_task="token_classify",
    tiny=TinyCheckpoint(model="Qwen2ForTokenClassification", settings={"num_labels": 3}, tokenizer="qwen"),
)
