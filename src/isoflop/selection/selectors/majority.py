"""Majority voting: every candidate with an answer has one vote."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Floats
from isoflop.selection.chain_votes import pooled_majority
from isoflop.selection.kinds import Vote
from isoflop.selection.registry import Chains


@dataclass(frozen=True, kw_only=True)
class _Majority(Vote):
    def over_chains(
        self, chains: Chains, parallel: Sequence[int], draws: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """The answers of all chains vote together."""
        return pooled_majority(chains, parallel, draws, rng)


SELECTOR = _Majority(name="majority", label="majority voting", short="mv", order=1)
