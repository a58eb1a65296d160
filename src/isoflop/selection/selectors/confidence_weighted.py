"""Votes weighted by the policy's own confidence: the geometric mean of a candidate's token probabilities.

The weight is exp(mean token log-probability), between 0 and 1. No verifier is needed, and nothing is paid
beyond sampling.
"""

from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Floats
from isoflop.selection.kinds import Vote


@dataclass(frozen=True, kw_only=True)
class _ConfidenceVote(Vote):
    def weights(self, scores: Floats) -> Floats:
        """The probability of a token, as a mean: [candidates]."""
        weights: Floats = np.exp(scores)
        return weights


SELECTOR = _ConfidenceVote(
    name="confidence_weighted",
    label="voting weighted by confidence",
    short="cwv",
    order=6,
    reads="logprob",
)
