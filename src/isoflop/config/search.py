"""The tree searches of the config."""

from itertools import pairwise
from math import isqrt
from typing import Annotated, Literal

from pydantic import Field, model_validator

from isoflop.config.base import Count, Entry, Greedy, Import, Name, Reach, Sampling
from isoflop.config.revisions import Revisions


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


AnySearch = Rebase | Beam | Dvts | Lookahead | Mcts
Searched = Annotated[AnySearch, Field(discriminator="kind")]
Generator = Annotated[Greedy | Sampling | Revisions | Import | AnySearch, Field(discriminator="kind")]
