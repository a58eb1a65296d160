"""What a kind of verifier is, and how one is looked up by its name in the config.

A kind is one object in a module of its own in `isoflop.verifiers.kinds`, or one that an entry point of the
group `isoflop.verifiers` refers to. The config is built from these modules, so they import nothing that has a
config or a specification in it, and torch only inside of functions. Most are a `CausalModel` or a
`Classifier` (isoflop.verifiers.families), with a layout from the parts of isoflop.verifiers.layouts.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from isoflop.config.verifiers import RunningVerifier
from isoflop.costs.shape import ModelShape
from isoflop.errors import UserError
from isoflop.registries import VERIFIERS, VerifierTraits
from isoflop.verifiers.layouts import Solution, Tagged

if TYPE_CHECKING:
    from isoflop.verifiers.heads import Head

_Entry = TypeVar("_Entry", bound=RunningVerifier)


def _nothing(hidden: int, vocabulary: int) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class TinyCheckpoint:
    """What a tiny random checkpoint of a kind is like, for rehearsals and tests.

    `model`: the class of transformers; `settings`: of its config, beside the sizes. `tokenizer`: like that of
    Llama 2 and Mistral, Qwen2, or Llama 3. `tensors`: those that the class does not hold, or holds otherwise,
    by name, from the hidden size and the tokens of the vocabulary. `prefix`: before the names of those that
    it holds. `called`: the architecture that the checkpoint's config names, if another.
    """

    model: str = "LlamaForCausalLM"
    settings: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Literal["sentencepiece", "qwen", "llama3"] = "sentencepiece"
    tensors: Callable[[int, int], dict[str, Any]] = _nothing
    prefix: str = ""
    called: str | None = None


@dataclass(frozen=True, kw_only=True)
class VerifierKind(VerifierTraits, ABC, Generic[_Entry]):
    """A kind of verifier: its keys, what it reads, and how a score comes of a hidden state.

    `entry`: its keys in the config, a RunningVerifier with a `prompt`. `auto_class`: the class of
    transformers that loads a checkpoint. `tiny`: what a random one is like.
    """

    entry: type[_Entry]
    auto_class: str = "AutoModelForCausalLM"
    tiny: TinyCheckpoint = TinyCheckpoint()

    def __post_init__(self) -> None:
        super().__post_init__()
        if "prompt" not in self.entry.model_fields:
            raise UserError(f"{self.entry.__name__}: give it the key prompt, an isoflop.config.base.Prompt")

    @abstractmethod
    def tag(self, tokenizer: Any, entry: _Entry, solutions: Sequence[Solution]) -> list[Tagged]:
        """Every solution as the verifier reads it; one place per step, or one in all for an ORM.

        Raises UserError where the tokenizer merges a mark with its surroundings.
        """

    @abstractmethod
    def head(self, entry: _Entry, model: Any, tokenizer: Any) -> "Head":
        """The head of a loaded model. Raises UserError where the checkpoint has none of the kind."""

    def head_parameters(self, hidden: int) -> int:
        """Weights and biases of a head that the model of `auto_class` does not hold, by its hidden size."""
        return 0

    def vllm_arguments(self) -> dict[str, Any]:
        """Arguments that make a checkpoint a pooling model of vLLM's; asked where there is a `vllm_task`."""
        return {}

    def vllm_head(self, entry: _Entry, labels: int, tokenizer: Any) -> "Head":
        """The head that is applied here, to hidden states or to labels where vLLM has the layer before.

        `labels`: how many the checkpoint's config has. Asked where there is a `vllm_task`.
        """
        raise UserError(f"verifier of kind {self.name!r}: has a vllm_task and no vllm_head; give it one")


def verifier_kind(name: str) -> VerifierKind[Any]:
    """A kind of verifier by its name. Raises UserError for an unknown one, or one that cannot score."""
    found = VERIFIERS[name]
    if not isinstance(found, VerifierKind):
        raise UserError(
            f"verifier of kind {name!r}: has only keys; make it an isoflop.verifiers.registry.VerifierKind"
        )
    return found


def tag_solutions(tokenizer: Any, entry: RunningVerifier, solutions: Sequence[Solution]) -> list[Tagged]:
    """Every solution as the verifier reads it; one place per step, or one in all for an ORM.

    Raises UserError where the tokenizer merges a mark with its surroundings.
    """
    return verifier_kind(entry.kind).tag(tokenizer, entry, solutions)


def check_marks(tokenizer: Any, entry: RunningVerifier) -> None:
    """Read a solution of one step. Raises UserError where its marks would be no tokens."""
    tag_solutions(tokenizer, entry, [(entry.prompt.format(problem="1 + 1 = ?"), ("2\n",))])


def with_head(shape: ModelShape, entry: RunningVerifier, hidden: int) -> ModelShape:
    """The shape with the parameters of a head that the transformers model, `hidden` wide, does not hold."""
    return shape.with_more(verifier_kind(entry.kind).head_parameters(hidden))
