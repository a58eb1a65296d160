"""The generators of the config: how candidates come about, one type per kind."""

from itertools import pairwise
from math import isqrt
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from isoflop.config.base import Count, Entry, Name, template
from isoflop.config.imports.entries import Import

Asked = Annotated[str, AfterValidator(template("problem", "attempts"))]
Attempt = Annotated[str, AfterValidator(template("attempt"))]


class Scored(Entry):
    """A generator whose answers verifiers score when they are there."""

    verifiers: tuple[Name, ...] | None = None
    """The entries of `verifiers` that score its answers; all that run if left out."""


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


class Greedy(Entry):
    """One candidate per problem: the most probable token each time."""

    kind: Literal["greedy"]
    """Greedy decoding."""
    max_tokens: Count
    """Longest solution, in tokens; longer ones are cut and marked `length`."""
    only: Reach | None = None
    """Policies and data sets it is limited to, and largest budgets; everything if left out."""


class Sampling(Scored):
    """Independent samples; every smaller budget is a subset of them."""

    kind: Literal["sampling"]
    """Independent sampling."""
    samples: Count
    """Candidates per problem; the largest budget the pool can answer for."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Token temperature; 0 is the generator `greedy`."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling: the smallest set of tokens with at least this probability."""
    max_tokens: Count
    """Longest solution, in tokens; longer ones are cut and marked `length`."""
    only: Reach | None = None
    """Policies and data sets it is limited to, and largest budgets; everything if left out."""


class AttemptTexts(Entry):
    """How earlier attempts are shown: as they were when the model was trained."""

    asked: Asked = "{problem}\n{attempts}"
    """What takes the problem's place in the prompt of the policy or verifier once there are `{attempts}`."""
    attempt: Attempt = "\n{attempt}\n"
    """How each of them is written, without the white space at its ends; the earliest comes first."""


class ChainWriting(AttemptTexts):
    """How a chain is written: an answer, then revisions of it."""

    length: Count
    """Answers per chain: the first, by the policy's own prompt, and its revisions."""
    history: Count = 4
    """How many of the latest answers a revision is shown."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Token temperature."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling: the smallest set of tokens with at least this probability."""
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


class TreeSearch(Entry):
    """What all tree searches have in common."""

    verifier: Name | None = None
    """The verifier whose scores guide the search and weigh its votes; the first one if left out."""
    budgets: Annotated[tuple[Count, ...], Field(min_length=1)]
    """Strictly increasing; each is a search of its own."""
    runs: Count = 1
    """How often every search is repeated; the intervals hold the search's own randomness."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Token temperature."""
    max_tokens: Count
    """Longest solution, in tokens along the whole path."""
    max_step_tokens: Count
    """Longest step, in tokens; a longer one is cut and goes on in the next."""
    max_depth: Count = 40
    """Most steps of a solution."""
    only: Reach | None = None
    """Policies and data sets it is limited to, and largest budgets; everything if left out."""

    @model_validator(mode="after")
    def _rising(self) -> "TreeSearch":
        if any(high <= low for low, high in pairwise(self.budgets)):
            raise ValueError(f"budgets: {list(self.budgets)} must be strictly increasing")
        return self


class Rebase(TreeSearch):
    """Reward balanced search (Wu et al. 2024); a budget is the number of solutions."""

    kind: Literal["rebase"]
    """REBASE."""
    balance_temperature: Annotated[float, Field(gt=0)] = 0.1
    """T_b: how strongly the shares of a budget follow the scores; the smaller, the stronger."""
    allocation: Literal["sequential", "round"] = "sequential"
    """How shares become whole children: best node first and exactly the budget (the authors' code), or each
    rounded (the paper)."""
    iterations: Count | None = None
    """How often what is left of the budget is shared out; after that every solution is written to its end at
    once. Until all have ended if left out; Wu et al. share once for programs."""


class _Beams(TreeSearch):
    """Searches that keep N / M beams."""

    beam_width: Count | Literal["sqrt"] = 4
    """M: children of every beam that is kept; N / M are kept. `sqrt` is the square root of the budget."""

    @model_validator(mode="after")
    def _divisible(self) -> "_Beams":
        for budget in self.budgets:
            if self.beam_width == "sqrt" and isqrt(budget) ** 2 != budget:
                raise ValueError(f"budgets: {budget} is no square, which beam_width: sqrt needs")
            if budget % self.width(budget):
                raise ValueError(
                    f"budgets: {budget} beams cannot be cut to {budget} / {self.beam_width}; give multiples "
                    "of beam_width"
                )
        return self

    def width(self, budget: int) -> int:
        """M at a budget."""
        return isqrt(budget) if self.beam_width == "sqrt" else self.beam_width


class Beam(_Beams):
    """Beam search (Snell et al. 2024); a budget is the number N of beams."""

    kind: Literal["beam"]
    """Beam search."""


class Dvts(_Beams):
    """Diverse verifier tree search: N / M subtrees searched apart (Beeching et al. 2024)."""

    kind: Literal["dvts"]
    """DVTS."""


class Lookahead(_Beams):
    """Beam search by the score after further steps at temperature 0 (Snell et al. 2024)."""

    kind: Literal["lookahead"]
    """Lookahead search."""
    lookahead_steps: Count = 1
    """k: how many steps are looked ahead; counts as N (k + 1) samples."""


class Mcts(TreeSearch):
    """Monte Carlo tree search (Wu et al. 2024); a budget is the number of expansions."""

    kind: Literal["mcts"]
    """MCTS."""
    exploration: Annotated[float, Field(ge=0)] = 1.0
    """C of UCT."""
    root_children: Count | None = None
    """Children of the root; an eighth of the budget if left out (Wu et al.: 4, 8, 16 for 32, 64, 128)."""
    children: Count = 2
    """Children of any other node."""


Sampled = Annotated[Greedy | Sampling, Field(discriminator="kind")]
AnySearch = Rebase | Beam | Dvts | Lookahead | Mcts
Searched = Annotated[AnySearch, Field(discriminator="kind")]
Generator = Annotated[Greedy | Sampling | Revisions | Import | AnySearch, Field(discriminator="kind")]
