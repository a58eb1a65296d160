"""An outcome reward model that is a sequence classifier: one score for the whole solution."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from isoflop.config.base import Prompt
from isoflop.config.models import Chat
from isoflop.config.verifiers import RunningVerifier
from isoflop.verifiers.families import Classifier
from isoflop.verifiers.layouts import Layout, Solution, Tagged, in_chat
from isoflop.verifiers.registry import TinyCheckpoint


class Orm(Chat, RunningVerifier):
    """An outcome reward model: one score for the whole solution."""

    kind: Literal["orm"]
    """A checkpoint for sequence classification: the sigmoid of one label, or a class's probability."""
    prompt: Prompt = "{problem}\n"
    """What is before the solution, with `{problem}` where the problem goes; in a chat, the user's part."""
    good_class: Annotated[int, Field(ge=0)] = 1
    """The class whose probability is the score, where there are several labels."""
    outcome: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class _Orm(Classifier[Orm]):
    def tag(self, tokenizer: Any, entry: Orm, solutions: Sequence[Solution]) -> list[Tagged]:
        """The solution as it stands; the place is the last token."""
        layouts = [Layout(prompt + "".join(steps), [], len(prompt)) for prompt, steps in solutions]
        if entry.chat:
            layouts = [
                in_chat(tokenizer, entry.system, prompt, Layout("".join(steps).strip(), [], 0))
                for prompt, steps in solutions
            ]
        texts = [layout.text for layout in layouts]
        encoded = tokenizer(texts, add_special_tokens=not entry.chat)["input_ids"] if texts else []
        return [Tagged(ids, [len(ids) - 1], 0) for ids in encoded]

    def good_label(self, entry: Orm, labels: int) -> int | None:
        """None for an only label, which is the log-odds. Raises UserError for a class that is none."""
        return None if labels == 1 else super().good_label(entry, labels)


VERIFIER = _Orm(
    name="orm",
    order=9,
    entry=Orm,
    auto_class="AutoModelForSequenceClassification",
    vllm_task="classify",
    tiny=TinyCheckpoint(
        model="LlamaForSequenceClassification", settings={"num_labels": 1}, tokenizer="llama3"
    ),
)
