"""The verifiers of the config: imported ones, and what those that run here have in common.

The kinds that run here are beside their layouts and heads (isoflop.verifiers.kinds).
"""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import model_validator

from isoflop.config.base import Entry, Prompt, Text
from isoflop.config.models import Model, ModelSize, TokenPrices


class ImportedVerifier(Entry):
    """A model whose scores are imported."""

    kind: Literal["imported"]
    """Does not run here."""
    size: ModelSize | None = None
    """What its FLOPs depend on."""
    hosted: bool = False
    """Instead of a size: nobody tells that of this model."""
    prices: TokenPrices | None = None
    """What its tokens cost; for the cost model `dollars`."""
    scale: Literal["probability", "unbounded"] = "probability"
    """What its scores are: probabilities, or any numbers (which cannot be the weights of votes)."""
    assumed: bool = False
    """Whether the scores came without the name of the model that gave them; the report says so."""
    outcome: bool = False
    """Whether it scores whole solutions: one score for each, whatever its steps."""
    runs: ClassVar[bool] = False
    model: ClassVar[str | None] = None
    revision: ClassVar[str | None] = None
    trained: ClassVar[str | None] = None

    @model_validator(mode="after")
    def _sized(self) -> Self:
        if (self.size is None) != self.hosted:
            raise ValueError("give its size, or hosted: true where nobody tells it")
        return self


class RunningVerifier(Model):
    """What all verifiers that run here have in common."""

    if TYPE_CHECKING:
        kind: str  # Every kind's own literal and prompt, at their own places among the keys.
        prompt: str

    engine: Literal["transformers", "vllm"] = "transformers"
    """What runs it: transformers anywhere, vLLM (docs/how-to/vllm.md)."""
    too_long: Literal["refuse", "mark"] = "refuse"
    """What becomes of a solution that does not fit: the job stops, or the solution goes without scores and
    takes no part in score-based selection (the ledger counts such solutions). Never cut."""
    convention: Literal["own", "any"] = "own"
    """Whether a checkpoint that was trained here must be read with the texts that it was trained with: `own`
    refuses others, `any` takes them."""
    prices: TokenPrices | None = None
    """What its tokens cost; for the cost model `dollars`."""
    runs: ClassVar[bool] = True
    outcome: ClassVar[bool] = False
    assumed: ClassVar[bool] = False
    scale: ClassVar[str] = "probability"

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if [self.model, self.package, self.trained].count(None) != 2:
            raise ValueError(
                "give one of model (a folder or hub id), package (that brings a GGUF file) and trained (an "
                "entry of training)"
            )
        if self.model is None and self.revision is not None:
            raise ValueError("revision goes with a hub model; a trained one has none")
        if self.gguf_file is not None and self.trained is not None:
            raise ValueError("gguf_file goes with model or package")
        return self

    @property
    def shown_attempts(self) -> int:
        """How many of the latest answers before the judged one it is shown; such an entry has their texts."""
        return 0


class TaggedVerifier(RunningVerifier):
    """A verifier that is read at a tag after every step."""

    step_tag: Text
    """What is put after every step; one token."""
    prompt: Prompt = "{problem}\n"
    """The text before the first step, with `{problem}` where the problem goes; in a chat, the user's
    message."""


class PairVerifier(TaggedVerifier):
    """A verifier that says one of two tokens at a tag after every step."""

    good_token: Text
    """The token whose probability is the score."""
    bad_token: Text
    """The token it is weighed against."""

    @model_validator(mode="after")
    def _tokens_differ(self) -> Self:
        if self.good_token == self.bad_token:
            raise ValueError(f"good_token and bad_token are both {self.good_token!r}; they must differ")
        return self
