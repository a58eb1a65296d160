"""The models of the config: policies, and verifiers by the convention of their input and output."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from isoflop.config.base import Count, Dtype, Entry, Name, Prompt, Revision, Text
from isoflop.config.revisions import AttemptTexts

Engine = Literal["transformers", "vllm", "server"]
# Keys come from the environment, so neither a user nor a query is part of an address.
Address = Annotated[str, StringConstraints(pattern=r"^https?://[^\s@?#]+$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Share = Annotated[float, Field(gt=0, le=1)]
# Not a Name: that of policies which are given none is "all".
Family = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
Tag = Annotated[str, StringConstraints(pattern=r"\S")]

QWEN_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."


class ModelSize(Entry):
    """Of a model whose work is imported: what its FLOPs depend on."""

    parameters: Count
    """Distinct parameters, those of tied matrices once."""
    layers: Count
    """Transformer blocks."""
    attention_width: Count
    """Query heads times their dimension."""


class Server(Entry):
    """A running OpenAI-compatible endpoint of vLLM or SGLang. Changing it repeats nothing."""

    url: Address
    """Where its `/completions` is, usually with `/v1` at the end: `http://127.0.0.1:8000/v1`."""
    name: Text | None = None
    """Under what name it serves the model, if not that of `model`."""
    concurrency: Count = 256
    """Requests under way at once, and at most `engine_settings.batch_size`."""
    timeout: Annotated[float, Field(gt=0)] = 600.0
    """Seconds after which a request counts as failed, its time in the server's queue included."""
    retries: Annotated[int, Field(ge=0, le=100)] = 6
    """How often a request is made again, after 1, 2, 4 ... up to 60 seconds, when the server cannot be
    reached, is too busy, breaks down or takes too long."""
    key_variable: Variable = "ISOFLOP_API_KEY"
    """The environment variable that has the server's API key, where it wants one."""


def checkpoint_name(model: str, revision: str | None) -> str:
    """What a checkpoint goes by among the settings of a machine."""
    return model if revision is None else f"{model}@{revision}"


class _Model(Entry):
    """What all models that may run here have in common: where they are, and what runs them."""

    model: Text | None = None
    """Folder with a Hugging Face checkpoint, or hub id `owner/name`."""
    revision: Revision | None = None
    """Commit of a hub model: 40 hexadecimal digits; none for a folder."""
    trained: Name | None = None
    """Name of an entry of `training`, instead of `model`."""
    engine: Engine = "transformers"
    """What runs it: transformers anywhere, vLLM (docs/how-to/vllm.md), or a server that is running already
    (docs/how-to/server.md), whose `dtype` and `quantization` are then to be those given here."""
    dtype: Dtype = "float32"
    """Precision of the weights; float32 results of engine transformers do not depend on the batch."""
    max_length: Count | None = None
    """Longest prompt and solution together in tokens, where that is to be less than the model's own limit."""
    quantization: Text | None = None
    """With engine vllm: how weights are quantised, where the checkpoint does not say."""
    gpus: Count = 1
    """With engine vllm: GPUs that a copy of the model is spread over. No result depends on it."""
    memory_share: Share = 0.9
    """With engine vllm: share of each GPU's memory for weights, keys and values. No result depends on it."""

    @property
    def checkpoint(self) -> str:
        """Which weights these are: folder or hub id, with its commit."""
        return checkpoint_name(str(self.model), self.revision)


class _Chat(Entry):
    """What may be said in a chat template."""

    chat: bool = False
    """Whether the texts are the messages of a chat, in the model's chat template."""
    system: Text | None = None
    """The chat's system message."""

    @model_validator(mode="after")
    def _chats(self) -> Self:
        if self.system is not None and not self.chat:
            raise ValueError("system goes with chat: true")
        return self


class Policy(_Chat, _Model):
    """A model that writes solutions: a checkpoint, or the size of one whose solutions are imported."""

    size: ModelSize | None = None
    """Size of a model that does not run here, instead of `model`; for generators of kind `import`."""
    prompt: Prompt = "{problem}\n"
    """What the model continues, with `{problem}` where the problem goes; in a chat, the user's part."""
    chat_template: Text | None = None
    """A Jinja chat template instead of the tokenizer's own."""
    step_separator: Text = "\n"
    """What ends a step of a solution."""
    step_tag: Tag | None = None
    """What the model itself writes at the end of every step, where it learnt to. It goes on from its tags;
    neither graders nor verifiers see them."""
    datasets: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Entries of `datasets` that it is studied on; all that are studied if left out."""
    family: Family = "all"
    """The family it belongs to: sizes are compared, and laws of size fitted, inside one family only."""
    assumed: bool = False
    """Whether imported solutions came without the name of the model that wrote them; the report says so."""
    server: Server | None = None
    """With engine server: where it is. No result depends on it."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if [self.model, self.trained, self.size].count(None) != 2:
            raise ValueError(
                "give one of model (a folder or hub id), trained (an entry of training) and size (of a model "
                "whose work is imported)"
            )
        if self.model is None and self.revision is not None:
            raise ValueError("revision goes with a hub model; a trained or imported one has none")
        if self.runs and self.assumed:
            raise ValueError("assumed is for imported solutions, of a policy with a size")
        if self.chat_template is not None and not self.chat:
            raise ValueError("chat_template goes with chat: true")
        return self

    @property
    def runs(self) -> bool:
        """Whether there is a checkpoint to run."""
        return self.size is None


class ImportedVerifier(Entry):
    """A model whose scores are imported."""

    kind: Literal["imported"]
    """Does not run here."""
    size: ModelSize
    """What its FLOPs depend on."""
    scale: Literal["probability", "unbounded"] = "probability"
    """What its scores are: probabilities, or any numbers (which cannot be the weights of votes)."""
    assumed: bool = False
    """Whether the scores came without the name of the model that gave them; the report says so."""
    runs: ClassVar[bool] = False
    outcome: ClassVar[bool] = False
    model: ClassVar[str | None] = None
    revision: ClassVar[str | None] = None
    trained: ClassVar[str | None] = None


class RunningVerifier(_Model):
    """What all verifiers that run here have in common."""

    engine: Literal["transformers", "vllm"] = "transformers"
    """What runs it: transformers anywhere, vLLM (docs/how-to/vllm.md)."""
    too_long: Literal["refuse", "mark"] = "refuse"
    """What becomes of a solution that does not fit: the job stops, or the solution goes without scores and
    takes no part in score-based selection (the ledger counts such solutions). Never cut."""
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


class TokenPair(_Chat, _Pair):
    """The general form of such a model: any tag and tokens, with or without a chat around the solution."""

    kind: Literal["token-pair"]
    """A causal language model that says good or bad at a tag after each step."""


class CausalOrm(AttemptTexts, _Chat, _Pair):
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


class TokenClass(_Chat, _Tagged):
    """A token classifier read at a tag after each step."""

    kind: Literal["token-class"]
    """A checkpoint for token classification."""
    good_class: Annotated[int, Field(ge=0)] = 1
    """The class whose probability is the score."""


class Orm(_Chat, RunningVerifier):
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
