"""Math-Shepherd (Wang et al. 2024): a causal model that says good or bad at a tag after each step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from isoflop.config.base import Prompt, Text
from isoflop.config.verifiers import PairVerifier
from isoflop.verifiers.families import CausalModel
from isoflop.verifiers.layouts import Solution, Tagged, tagged_plain
from isoflop.verifiers.registry import TinyCheckpoint


class MathShepherd(PairVerifier):
    """P(good) against P(bad) at a tag after each step (Wang et al. 2024, Math-Shepherd)."""

    kind: Literal["math-shepherd"]
    """A causal language model as a process reward model."""
    prompt: Prompt = "{problem} "
    """The text before the first step, with `{problem}` where the problem goes."""
    step_tag: Text = " ки"
    """The tag after each step; one token."""
    good_token: Text = " +"
    """The token whose probability at the tag is the score."""
    bad_token: Text = " -"
    """The token it is weighed against."""


@dataclass(frozen=True, kw_only=True)
class _MathShepherd(CausalModel[MathShepherd]):
    def tag(self, tokenizer: Any, entry: MathShepherd, solutions: Sequence[Solution]) -> list[Tagged]:
        """The prompt, then steps with a tag at the end of each one's line."""
        return tagged_plain(tokenizer, entry.step_tag, solutions)


VERIFIER = _MathShepherd(
    name="math-shepherd",
    order=1,
    entry=MathShepherd,
    learnt_here=True,
    tiny=TinyCheckpoint(model="MistralForCausalLM", settings={"sliding_window": None}),
)
