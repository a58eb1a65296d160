"""RLHFlow's Llama3.1-8B-PRM: a chat in which the assistant answers every step with good or bad."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from isoflop.config.base import Prompt, Text
from isoflop.config.verifiers import RunningVerifier
from isoflop.engines.prompts import conversation, render_chat
from isoflop.verifiers.families import CausalModel
from isoflop.verifiers.layouts import Layout, Solution, Tagged, located, split_at, token_id
from isoflop.verifiers.registry import TinyCheckpoint


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


@dataclass(frozen=True, kw_only=True)
class _Rlhflow(CausalModel[Rlhflow]):
    def tag(self, tokenizer: Any, entry: Rlhflow, solutions: Sequence[Solution]) -> list[Tagged]:
        """The dialogue, as if all steps had been called good."""
        layouts = [_dialogue(tokenizer, prompt, steps, entry.good_token) for prompt, steps in solutions]
        good = token_id(tokenizer, entry.good_token)
        # A causal model says the token after a place there.
        return located(tokenizer, layouts, good, special=False, before=True)


def _dialogue(tokenizer: Any, prompt: str, steps: Sequence[str], good: str) -> Layout:
    """Each step a message of the user's, each answered with the good token; marks are the answers."""
    stand_ins = [f"\ue000{number}\ue001" for number in range(len(steps))]
    messages = []
    for number, (step, stand_in) in enumerate(zip(steps, stand_ins, strict=True)):
        said = step.strip() if number else f"{prompt} {step.strip()}"
        messages += conversation(None, said, stand_in)
    parts = split_at(tokenizer, render_chat(tokenizer, messages), stand_ins)
    text, marks = parts[0], []
    for part in parts[1:]:
        marks.append(len(text))
        text += good + part
    return Layout(text, marks, max(0, text.find(prompt) + len(prompt)) if prompt else 0)


VERIFIER = _Rlhflow(name="rlhflow", order=3, entry=Rlhflow, tiny=TinyCheckpoint(tokenizer="llama3"))
