"""A causal language model as an outcome reward model, which may judge revisions (Snell et al. 2024)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from isoflop.config.base import Text
from isoflop.config.generators import AttemptTexts
from isoflop.config.models import Chat
from isoflop.config.verifiers import PairVerifier
from isoflop.verifiers.families import CausalModel
from isoflop.verifiers.layouts import Solution, Tagged, tagged_or_chat


class CausalOrm(AttemptTexts, Chat, PairVerifier):
    """An outcome reward model that says good or bad once, at a tag after the whole solution.

    Of an answer in a chain of revisions it may be shown the answers before it (Snell et al. 2024).
    """

    kind: Literal["causal-orm"]
    """A causal language model as an outcome reward model."""
    step_tag: Text = " ки"
    """The tag after the solution; one token."""
    good_token: Text = " +"
    """The token whose probability at the tag is the score."""
    bad_token: Text = " -"
    """The token it is weighed against."""
    history: Annotated[int, Field(ge=0)] = 0
    """How many of the latest answers before the judged one are shown; 0 is none."""
    outcome: ClassVar[bool] = True

    @property
    def shown_attempts(self) -> int:
        """How many of the latest answers before the judged one are shown."""
        return self.history


@dataclass(frozen=True, kw_only=True)
class _CausalOrm(CausalModel[CausalOrm]):
    def tag(self, tokenizer: Any, entry: CausalOrm, solutions: Sequence[Solution]) -> list[Tagged]:
        """The prompt and the solution as one step, plain or in a chat."""
        whole = [(prompt, ("".join(steps),)) for prompt, steps in solutions]
        return tagged_or_chat(tokenizer, entry, entry.step_tag, whole)


VERIFIER = _CausalOrm(name="causal-orm", order=8, entry=CausalOrm, learnt_here=True)
