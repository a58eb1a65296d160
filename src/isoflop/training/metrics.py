"""How well step scores tell right steps from wrong ones."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from isoflop.errors import UserError


def step_auc(scores: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """The chance that a random right step scores above a random wrong one; ties count half.

    `scores` and `right` are [steps]. Raises UserError unless there are steps of both kinds.
    """
    rights = int(right.sum())
    wrongs = len(right) - rights
    if rights == 0 or wrongs == 0:
        raise UserError(f"step AUC needs right and wrong steps; there are {rights} and {wrongs}")
    # In the scores' own precision ranks would overflow or be rounded.
    known = scores.astype(np.float64)
    return float(mannwhitneyu(known[right], known[~right], method="asymptotic").statistic / (rights * wrongs))
