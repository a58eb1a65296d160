"""What a policy engine and a verifier engine are asked and answer; no engine is imported here."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from isoflop.costs.shape import ModelShape
from isoflop.errors import UserError


@dataclass(frozen=True)
class GenerationRequest:
    """One continuation to write. The same request gives the same text in any batch.

    `prompt` is the whole text to continue, the template filled in; `written` are tokens that an earlier
    completion of it wrote and that this one goes on from. `seed` drives the request's own randomness;
    `temperature` 0 means greedy. `top_p`, `top_k` (0: all) and `min_p` filter what is drawn from
    (isoflop.engines.token_sampling.Draws); they change nothing that is greedy. With `separator`, the
    continuation ends after `steps` steps (isoflop.engines.steps) if not before; otherwise `steps` means
    nothing. It ends where `written` and it hold one of the texts `stop` (isoflop.engines.steps.stopped_at).
    """

    prompt: str
    seed: int
    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    written: tuple[int, ...] = ()
    separator: str | None = None
    steps: int = 1
    top_k: int = 0
    min_p: float = 0.0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Completion:
    """A continuation: its text, token pieces, finish reason (stop | length | step) and log-probability.

    `pieces` are the texts of the generated tokens; the end token, where there is one, is "". `tokens` are
    their ids, without the end token. `logprob` is natural, at temperature 1, of the generated tokens with the
    end token. `prompt_tokens` counts what was there before them. After a stop string, `text` ends before it,
    its tokens are among the generated ones, and what they have of it is in no piece. `thinking`: how many of
    the generated tokens are thoughts (isoflop.thinking); None where nobody counted.
    """

    text: str
    pieces: tuple[str, ...]
    finish: str
    prompt_tokens: int
    logprob: float
    tokens: tuple[int, ...] = ()
    thinking: int | None = None


@dataclass(frozen=True)
class ScoreRequest:
    """One solution whose steps want scores; `prompt` has the verifier's template filled in."""

    prompt: str
    steps: tuple[str, ...]


@dataclass(frozen=True)
class StepScores:
    """A score in [0, 1] per step, and the tokens read for them: in all, and up to each step's end."""

    scores: tuple[float, ...]
    tokens: int
    step_ends: tuple[int, ...] = ()


Progress = Callable[[int, int], None]
"""Called with (requests just finished, tokens just generated or read)."""


More = Callable[[Sequence[tuple[int, Completion]], int], Sequence[GenerationRequest]]
"""Called with the completions just finished, by the number of their request, and how many are in flight.

Returns further requests, numbered from where the last ones ended; an engine with nothing in flight asks until
there are none.
"""


class Policy(Protocol):
    """A loaded model that writes continuations.

    `notes`: what readers are to know of how it does. `settled`: how many tokens it has chosen again in
    float64.
    """

    shape: ModelShape
    notes: tuple[str, ...]
    settled: int

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        progress: Progress | None = None,
        more: More | None = None,
    ) -> list[Completion]:
        """One completion per request, in order; those that `more` asks for come after the first ones."""
        ...


class Verifier(Protocol):
    """A loaded model that scores the steps of solutions."""

    shape: ModelShape

    def score(self, requests: Sequence[ScoreRequest], progress: Progress | None = None) -> list[StepScores]:
        """One list of step scores per request, in order."""
        ...


_POLICIES = {
    "transformers": ("isoflop.engines.hf_policy", "TransformersPolicy"),
    "vllm": ("isoflop.engines.vllm_policy", "VllmPolicy"),
    "server": ("isoflop.engines.server_policy", "ServerPolicy"),
}
_VERIFIERS = {
    "transformers": ("isoflop.verifiers.hf_verifier", "TransformersVerifier"),
    "vllm": ("isoflop.verifiers.vllm_verifier", "VllmVerifier"),
}


def load_policy(engine: str, **settings: Any) -> Policy:
    """Load a policy with the named engine. Raises UserError for an unknown name."""
    policy: Policy = _load(_POLICIES, engine, settings)
    return policy


def load_verifier(engine: str, **settings: Any) -> Verifier:
    """Load a verifier with the named engine. Raises UserError for an unknown name."""
    verifier: Verifier = _load(_VERIFIERS, engine, settings)
    return verifier


def _load(table: dict[str, tuple[str, str]], engine: str, settings: dict[str, Any]) -> Any:
    if engine not in table:
        raise UserError(f"engine: {engine!r} is not one of {', '.join(sorted(table))}")
    module, name = table[engine]
    return getattr(importlib.import_module(module), name)(**settings)
