"""The verifiers of the config, by the convention of their input and output."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from isoflop.config.base import Entry, Prompt, Text
from isoflop.config.generators import AttemptTexts
from isoflop.config.models import Chat, Model, ModelSize, TokenPrices

QWEN_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."


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

    engine: Literal["transformers", "vllm"] = "transformers"
    """What runs it: transformers anywhere, vLLM (docs/how-to/vllm.md)."""
    too_long: Literal["refuse", "mark"] = "refuse"
    """What becomes of a solution that does not fit: the job stops, or the solution goes without scores and
    takes no part in score-based selection (the ledger counts such solutions). Never cut."""
    prices: TokenPrices | None = None
    """What its tokens cost; for the cost model `dollars`."""
    runs: ClassVar[bool] = True
    outcome: ClassVar[bool] = False
    assumed: ClassVar[bool] = False
    scale: ClassVar[str] = "probability"

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.model is None) == (self.trained is None):
            raise ValueError("give one of model (a folder or hub id) and trained (an entry of training)")
        if self.model is None and self.revision is not None:
            raise ValueError("revision goes with a hub model; a trained one has none")
        return self


class _Tagged(RunningVerifier):
    step_tag: Text
    """What is put after every step; one token."""
    prompt: Prompt = "{problem}\n"
    """The text before the first step, with `{problem}` where the problem goes; in a chat, the user's
    message."""


class _Pair(_Tagged):
    good_token: Text
    """The token whose probability is the score."""
    bad_token: Text
    """The token it is weighed against."""

    @model_validator(mode="after")
    def _tokens_differ(self) -> Self:
        if self.good_token == self.bad_token:
            raise ValueError(f"good_token and bad_token are both {self.good_token!r}; they must differ")
        return self


class MathShepherd(_Pair):
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


class TokenPair(Chat, _Pair):
    """The general form of such a model: any tag and tokens, with or without a chat around the solution."""

    kind: Literal["token-pair"]
    """A causal language model that says good or bad at a tag after each step."""


class CausalOrm(AttemptTexts, Chat, _Pair):
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


class Rlhflow(RunningVerifier):
    """P(+) against P(-) as the assistant's answer to each step (RLHFlow, Llama3.1-8B-PRM)."""

    kind: Literal["rlhflow"]
    """A chat in which the user says the steps one by one, the problem before the first."""
    prompt: Prompt = "{problem}"
    """What the first message has before the first step and a space."""
    good_token: Text = "+"
    """The assistant's answer to a good step."""
    bad_token: Text = "-"
    """The assistant's answer to a bad step."""


class QwenPrm(_Tagged):
    """Two classes at a tag after each step (Qwen2.5-Math-PRM, of 7B and 72B)."""

    kind: Literal["qwen-prm"]
    """A Qwen2 model with a head of two layers, in its chat template."""
    system: Text = QWEN_SYSTEM
    """The chat's system message."""
    prompt: Prompt = "{problem}"
    """The user's message, with `{problem}` where the problem goes."""
    step_tag: Text = "<extra_0>"
    """What is put after every step; one token."""


class SkyworkPrm(RunningVerifier):
    """A value at the end of each step's line (Skywork-o1-Open-PRM, of 1.5B and 7B)."""

    kind: Literal["skywork-prm"]
    """A Qwen2 model with a value head; line breaks inside a step become spaces."""
    prompt: Prompt = "{problem}\n"
    """The text before the first step, with `{problem}` where the problem goes."""


class LlemmaRm(_Tagged):
    """The sigmoid of the mean of all logits at a tag after each step (Wu et al. 2024's reward model)."""

    kind: Literal["llemma-rm"]
    """A causal language model whose output matrix is a reward head, tiled over the vocabulary."""
    step_tag: Text = " ки"
    """The tag after each step; one token."""


class TokenClass(Chat, _Tagged):
    """A token classifier read at a tag after each step."""

    kind: Literal["token-class"]
    """A checkpoint for token classification."""
    good_class: Annotated[int, Field(ge=0)] = 1
    """The class whose probability is the score."""


class Orm(Chat, RunningVerifier):
    """An outcome reward model: one score for the whole solution."""

    kind: Literal["orm"]
    """A checkpoint for sequence classification: the sigmoid of one label, or a class's probability."""
    prompt: Prompt = "{problem}\n"
    """What is before the solution, with `{problem}` where the problem goes; in a chat, the user's part."""
    good_class: Annotated[int, Field(ge=0)] = 1
    """The class whose probability is the score, where there are several labels."""
    outcome: ClassVar[bool] = True


Running = MathShepherd | TokenPair | Rlhflow | QwenPrm | SkyworkPrm | LlemmaRm | TokenClass | CausalOrm | Orm
AnyVerifier = Running | ImportedVerifier
Verifier = Annotated[AnyVerifier, Field(discriminator="kind")]
RunningOne = Annotated[Running, Field(discriminator="kind")]
