"""The config entries for models that the experiment trains: their start, their data, their recipe."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from isoflop.checkpoint_files.note import Convention
from isoflop.config.base import Count, Entry, Name, Prompt, Revision, Sha256, Text
from isoflop.config.generators import AttemptTexts, ChainWriting
from isoflop.config.models import GgufFile, Model

# Of `surprise_weight`: two to carry a prediction on, one to compare it with the token, one to judge.
_LAYERS_NEEDED = 4


class LlamaShape(Entry):
    """A Llama-architecture model with random weights and the word-problem tokenizer."""

    hidden_size: Count
    """Width of the residual stream."""
    layers: Count
    """Number of transformer blocks."""
    heads: Count
    """Attention heads; they divide `hidden_size`."""
    kv_heads: Count
    """Heads of keys and values; they divide `heads`."""
    intermediate_size: Count
    """Width of the feed-forward layers."""

    @model_validator(mode="after")
    def _shapes_fit(self) -> "LlamaShape":
        if self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} must be an even multiple of heads {self.heads} "
                "(rotary positions turn pairs)"
            )
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} must be a multiple of kv_heads {self.kv_heads}")
        return self


class Init(Entry):
    """The start of a training: exactly one of an architecture, a checkpoint, or an entry of `training`."""

    architecture: LlamaShape | None = None
    """Train from nothing."""
    model: Text | None = None
    """Folder with a Hugging Face checkpoint, or hub id `owner/name`."""
    revision: Revision | None = None
    """Commit of a hub model: 40 hexadecimal digits; none for a folder."""
    gguf_file: GgufFile | None = None
    """A GGUF file in that folder or repository, which is the whole checkpoint: training starts from its
    dequantised numbers."""
    package: Text | None = None
    """An installed Python package that brings `gguf_file`, instead of `model`."""
    sha256: Sha256 | None = None
    """SHA-256 of `gguf_file`; needed where a package brings it."""
    trained: Name | None = None
    """An entry of `training` above this one."""
    positions: Count | None = None
    """Longest sequence that the model reads from now on, in tokens, where it has rotary positions."""
    extra_layers: Annotated[int, Field(ge=0, le=64)] = 0
    """Layers to put on top of a checkpoint of Llama's kind; at first they pass on what they get."""

    @model_validator(mode="after")
    def _one_origin(self) -> "Init":
        origins = (self.architecture, self.model, self.package, self.trained)
        if sum(origin is not None for origin in origins) != 1:
            raise ValueError("give exactly one of architecture, model, package or trained")
        if self.revision is not None and self.model is None:
            raise ValueError("revision goes with a hub model; give model, or leave revision out")
        if self.extra_layers and self.architecture is not None:
            raise ValueError("extra_layers goes on a checkpoint; give an architecture its layers")
        if self.gguf_file is None and (self.package or self.sha256):
            raise ValueError("package and sha256 go with gguf_file: the name of a GGUF file")
        if self.gguf_file is not None:
            if self.model is None and self.package is None:
                raise ValueError("gguf_file goes with model or package")
            if self.package is not None and self.sha256 is None:
                raise ValueError(
                    "sha256 is missing: what a package brings is known by its sum (sha256sum FILE)"
                )
        return self

    @property
    def checkpoint(self) -> Model | None:
        """The checkpoint that it starts from, None for an architecture and what is trained."""
        if self.model is None and self.package is None:
            return None
        return Model(
            model=self.model,
            revision=self.revision,
            gguf_file=self.gguf_file,
            package=self.package,
            sha256=self.sha256,
        )


class SolutionData(Entry):
    """Reference solutions of data sets, or trajectories that end in a right answer."""

    dataset: Name | None = None
    """The entry of `datasets` to learn from."""
    revisions: Name | None = None
    """Instead, the entry of `revisions` to learn from."""
    held_out: Name
    """The entry of the same section to measure the loss on."""

    @model_validator(mode="after")
    def _one_source(self) -> "SolutionData":
        if (self.dataset is None) == (self.revisions is None):
            raise ValueError("give one of dataset (reference solutions) and revisions (trajectories)")
        return self

    @property
    def learned(self) -> str:
        """The entry to learn from."""
        return self.dataset or str(self.revisions)

    def describe(self) -> str:
        """What the data is, for the model's card."""
        if self.revisions is not None:
            return (
                f"Trajectories {self.revisions}: wrong answers, then a right one, which alone is learnt; "
                f"{self.held_out} held out"
            )
        return f"Reference solutions of the data set {self.dataset}; {self.held_out} held out"


class LabelData(Entry):
    """Solutions with a soft label per step, or answers of chains that are right or wrong as a whole."""

    labels: Name | None = None
    """The entry of `labels` to learn from."""
    chain_labels: Name | None = None
    """Instead, the entry of `chain_labels` to learn from."""
    held_out: Name
    """The entry of the same section to measure on."""
    history: bool = True
    """Of chains: whether the answers before the judged one are shown."""

    @model_validator(mode="after")
    def _one_source(self) -> "LabelData":
        if (self.labels is None) == (self.chain_labels is None):
            raise ValueError("give one of labels (of steps) and chain_labels (of whole answers)")
        if not self.history and self.chain_labels is None:
            raise ValueError("history: false goes with chain_labels; steps have no earlier answers")
        return self

    @property
    def learned(self) -> str:
        """The entry to learn from."""
        return self.labels or str(self.chain_labels)

    def describe(self) -> str:
        """What the data is, for the model's card."""
        if self.chain_labels is not None:
            shown = "with" if self.history else "without"
            return (
                f"Whole answers of the chains {self.chain_labels}, right or wrong, {shown} the answers "
                f"before them; {self.held_out} held out"
            )
        return f"Monte Carlo step labels {self.labels}; {self.held_out} held out"


class Recipe(Entry):
    """What policy and PRM training share."""

    init: Init
    """The start."""
    prompt: Prompt = "{problem}\n"
    """The text before the solution, with `{problem}` where the problem goes."""
    epochs: Count
    """Passes over the data."""
    batch_size: Count
    """Sequences per optimizer step."""
    device_batch_size: Count | None = None
    """Sequences per forward pass, where a batch does not fit the device; it divides `batch_size`."""
    gpus: Count = 1
    """GPUs that weights, gradients and the optimizer's moments are shared out over; without GPUs, processes.
    The recipe is the same for any number."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon` is Muon for the matrices inside the layers and AdamW for the rest."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)]
    """Peak learning rate."""
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    """The learning rate after the warm-up."""
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the steps over which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay."""
    max_length: Count = 512
    """Longest sequence, in tokens."""
    too_long: Literal["refuse", "drop"] = "refuse"
    """What happens to longer ones: the job stops, or leaves them out. They are never cut."""
    bf16: bool = False
    """Mixed precision."""
    save_dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the saved weights."""
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    """Seed of the weights and of the order of the data."""

    @model_validator(mode="after")
    def _batches_fit(self) -> "Recipe":
        if self.device_batch_size is not None and self.batch_size % self.device_batch_size:
            raise ValueError(
                f"device_batch_size {self.device_batch_size} does not divide batch_size {self.batch_size}"
            )
        if self.batch_size % ((self.device_batch_size or 1) * self.gpus):
            each = "" if self.device_batch_size is None else f", {self.device_batch_size} at once each,"
            raise ValueError(f"{self.gpus} gpus{each} do not share batch_size {self.batch_size} evenly")
        if self.gpus > 1 and self.optimizer != "adamw":
            raise ValueError(f"optimizer {self.optimizer} runs on one GPU; set gpus: 1 or optimizer: adamw")
        return self


class PolicyTraining(Recipe):
    """A policy: supervised fine-tuning with the loss on the solution only."""

    kind: Literal["policy"]
    """Learns reference solutions."""
    data: SolutionData
    """What it learns from."""
    convention: ClassVar[None] = None
    held_out_samples: Annotated[int, Field(ge=0)] = 0
    """Solutions per held-out problem, at temperature 1, that the card's accuracy by level comes from."""


class PrmTraining(Recipe):
    """A process reward model in the Math-Shepherd convention, from soft labels."""

    kind: Literal["prm"]
    """Learns the label of each step."""
    data: LabelData
    """What it learns from."""
    step_tag: Text = " ки"
    """The tag after each step; one token."""
    good_token: Text = " +"
    """The token whose probability at the tag is the score."""
    bad_token: Text = " -"
    """The token it is weighed against."""
    surprise_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of a second task for the layers that `init.extra_layers` adds, 4 or more: to tell how probable
    the start found each token. The start is frozen then. 0 is without."""

    @property
    def convention(self) -> Convention:
        """With what texts it is to be read afterwards."""
        # With a history, chains of one answer have none all the same.
        alone = self.data.chain_labels is None or not self.data.history
        return Convention(
            prompt=self.prompt,
            step_tag=self.step_tag,
            good_token=self.good_token,
            bad_token=self.bad_token,
            outcome=self.data.chain_labels is not None,
            history=False if alone else None,
        )

    @model_validator(mode="after")
    def _tokens_differ(self) -> "PrmTraining":
        if self.good_token == self.bad_token:
            raise ValueError(f"good_token and bad_token are both {self.good_token!r}; they must differ")
        return self

    @model_validator(mode="after")
    def _layers_for_surprise(self) -> "PrmTraining":
        if self.surprise_weight and self.gpus > 1:
            raise ValueError("surprise_weight is for trainings on one GPU; set gpus: 1")
        added = self.init.extra_layers
        if self.surprise_weight and added < _LAYERS_NEEDED:
            raise ValueError(f"surprise_weight needs {_LAYERS_NEEDED} init.extra_layers or more, not {added}")
        return self


TrainingConfig = Annotated[PolicyTraining | PrmTraining, Field(discriminator="kind")]


class LabelConfig(Entry):
    """Step labels without people: the share of rollouts from each step that come out right."""

    problems: Name
    """An entry of `datasets`: the problems whose solutions are labelled."""
    policies: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Entries of `policies` that write the solutions."""
    samples_per_problem: Count
    """Solutions per problem and policy."""
    completer: Name
    """The entry of `policies` that continues from every step."""
    rollouts: Count
    """Continuations per step, at least; solutions that the completer wrote itself count as theirs."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Token temperature of solutions and rollouts."""
    max_tokens: Count
    """Longest solution, in tokens."""


class TrajectoryConfig(AttemptTexts):
    """What a revision model learns: earlier attempts, by default wrong ones, then a right answer."""

    problems: Name
    """An entry of `datasets`."""
    policy: Name
    """The entry of `policies` that writes the answers."""
    samples_per_problem: Count
    """Answers per problem (Snell et al. 2024: 64)."""
    wrong: Annotated[int, Field(ge=0)] = 4
    """Most wrong answers before the right one; their number is uniform from 0, as far as there are any."""
    as_sampled: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the trajectories whose attempts are any other samples, right ones too, as a chain will really
    show. 0 is Snell et al. 2024, whose model turns two right answers of five wrong, never having seen one."""
    most_per_problem: Count | None = None
    """Most right answers of a problem to learn, drawn at random; all of them if left out."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Token temperature."""
    max_tokens: Count
    """Longest answer, in tokens; those that are cut are not learnt from."""


class ChainLabelConfig(ChainWriting):
    """What an outcome verifier of chains learns: answers of a revision model, right or wrong.

    An entry of `labels` in all but how it comes about: one step per answer, the whole of it.
    """

    problems: Name
    """An entry of `datasets`."""
    policy: Name
    """The entry of `policies` that writes the chains."""
    chains: Count
    """Chains per problem."""
