"""The generators of the config: how candidates come about, one type per kind.

The kinds of tree searches are beside their searches (isoflop.search.algorithms); what they have in common is
here.
"""

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from pydantic import AfterValidator, Field, model_validator

from isoflop.config.base import Count, Entry, Name, Text, template

Asked = Annotated[str, AfterValidator(template("problem", "attempts"))]
Attempt = Annotated[str, AfterValidator(template("attempt"))]


class Scored(Entry):
    """A generator whose answers verifiers score when they are there."""

    verifiers: tuple[Name, ...] | None = None
    """The entries of `verifiers` that score its answers; all that run if left out. With none, `[]`, only
    selectors that need none pick among them."""


class Reach(Entry):
    """What a generator is limited to."""

    policies: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Entries of `policies`; all if left out."""
    datasets: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Entries of `datasets`; all that are studied if left out."""
    at_most: dict[Name, Count] | None = None
    """Largest budget by policy, for models of which more would cost too much."""

    def cap(self, policy: str, budgets: tuple[int, ...]) -> tuple[int, ...]:
        """The budgets that a policy is given."""
        most = (self.at_most or {}).get(policy)
        return tuple(budget for budget in budgets if most is None or budget <= most)


class Stopping(Entry):
    """Where a policy's texts end, beside its end token."""

    stop: tuple[Text, ...] = ()
    """Texts that end a solution, as the end token does: it ends before the first of them. What the policy
    wrote of it is counted as generated, but is no part of the solution. In a search, what of it earlier steps
    hold stays."""


class Drawing(Stopping):
    """How tokens are drawn: from the softmax at the temperature, after `min_p`, `top_k` and `top_p`, each of
    what the one before has left, as vLLM does it."""

    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Token temperature; 0 is the generator `greedy`."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling: the smallest set of tokens with at least this probability."""
    top_k: Count | None = None
    """The k most probable tokens, and all that are as probable as the k-th; all tokens if left out."""
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Tokens with at least this share of the most probable one's probability; 0 for all."""

    def drawing(self) -> "Drawn":
        """These keys as an engine's request has them."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k or 0,
            "min_p": self.min_p,
            "stop": self.stop,
        }


class Drawn(TypedDict):
    """How a request's tokens are drawn and where it ends: keywords of a GenerationRequest."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    stop: tuple[str, ...]


def greedy(stop: tuple[str, ...]) -> Drawn:
    """The most probable token each time, until a stop string."""
    return {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "stop": stop}


class Greedy(Stopping):
    """One candidate per problem: the most probable token each time."""

    kind: Literal["greedy"]
    """Greedy decoding."""
    max_tokens: Count
    """Longest solution, in tokens; longer ones are cut and marked `length`."""
    only: Reach | None = None
    """Policies and data sets it is limited to, and largest budgets; everything if left out."""


class Sampling(Scored, Drawing):
    """Independent samples; every smaller budget is a subset of them."""

    kind: Literal["sampling"]
    """Independent sampling."""
    samples: Count
    """Candidates per problem; the largest budget the pool can answer for."""
    max_tokens: Count
    """Longest solution, in tokens; longer ones are cut and marked `length`."""
    only: Reach | None = None
    """Policies and data sets it is limited to, and largest budgets; everything if left out."""


def unscored(entry: object) -> bool:
    """Whether a generator's answers are said to be scored by no verifier."""
    return isinstance(entry, Scored) and entry.verifiers == ()


class AttemptTexts(Entry):
    """How earlier attempts are shown: as they were when the model was trained."""

    asked: Asked = "{problem}\n{attempts}"
    """What takes the problem's place in the prompt of the policy or verifier once there are `{attempts}`."""
    attempt: Attempt = "\n{attempt}\n"
    """How each of them is written, without the white space at its ends; the earliest comes first."""


class ChainWriting(AttemptTexts, Drawing):
    """How a chain is written: an answer, then revisions of it."""

    length: Count
    """Answers per chain: the first, by the policy's own prompt, and its revisions."""
    history: Count = 4
    """How many of the latest answers a revision is shown."""
    max_tokens: Count
    """Longest answer, in tokens; longer ones are cut and marked `length`."""


class Revisions(Scored, ChainWriting):
    """Chains of revisions, in parallel: every ratio of sequential to parallel answers at each budget.

    The chains of length S are a generator of their own, NAME/S, in the tables and in
    `compute_optimal.families`; its budget N is N / S chains. NAME/1 is parallel sampling.
    """

    kind: Literal["revisions"]
    """Chains of revisions."""
    chains: Count
    """Chains per problem; each is as long as it takes."""
    lengths: tuple[Count, ...] = ()
    """Lengths S to compare, strictly increasing, from 1 to `length`; the powers of two and `length` if left
    out."""
    largest: Count | None = None
    """Most answers to spend in all: of `chains`, no more than `largest` / S are continued to length S."""
    only: Reach | None = None
    """Policies and data sets it is limited to; everything if left out. `largest` limits budgets here."""

    @model_validator(mode="after")
    def _comparable(self) -> "Revisions":
        lengths = self.lengths
        if lengths and (lengths[0] != 1 or lengths[-1] != self.length or sorted(set(lengths)) != [*lengths]):
            raise ValueError(
                f"lengths: {list(lengths)} must be strictly increasing, from 1 to length {self.length}"
            )
        if self.largest is not None and self.largest < self.length:
            raise ValueError(f"largest: {self.largest} is less than one chain of length {self.length}")
        return self

    @property
    def compared(self) -> tuple[int, ...]:
        """The lengths of the chains that are compared."""
        powers = (2**power for power in range(self.length.bit_length()))
        return self.lengths or tuple(sorted({*powers, self.length}))

    def parallel(self, length: int) -> int:
        """How many chains reach `length`."""
        return self.chains if self.largest is None else min(self.chains, self.largest // length)

    def budgets(self, length: int) -> tuple[int, ...]:
        """Numbers of answers that chains of this length are measured at: 1, 2, 4, ... chains."""
        return tuple(length * 2**power for power in range(self.parallel(length).bit_length()))

    @property
    def chain_lengths(self) -> tuple[int, ...]:
        """The length of each chain."""
        return tuple(
            max(length for length in self.compared if chain < self.parallel(length))
            for chain in range(self.parallel(1))
        )


class TreeSearch(Drawing):
    """What all tree searches have in common."""

    if TYPE_CHECKING:
        kind: str  # Every search's own literal, at its own place among the keys.

    verifier: Name | None = None
    """The verifier whose scores guide the search and weigh its votes; the first one if left out."""
    budgets: Annotated[tuple[Count, ...], Field(min_length=1)]
    """Strictly increasing; each is a search of its own."""
    runs: Count = 1
    """How often every search is repeated; the intervals hold the search's own randomness."""
    max_tokens: Count
    """Longest solution, in tokens along the whole path."""
    max_step_tokens: Count
    """Longest step, in tokens; a longer one is cut and continues in the next."""
    max_depth: Count = 40
    """Most steps of a solution."""
    only: Reach | None = None
    """Policies and data sets it is limited to, and largest budgets; everything if left out."""

    @model_validator(mode="after")
    def _rising(self) -> "TreeSearch":
        if any(high <= low for low, high in pairwise(self.budgets)):
            raise ValueError(f"budgets: {list(self.budgets)} must be strictly increasing")
        return self


Sampled = Annotated[Greedy | Sampling, Field(discriminator="kind")]
