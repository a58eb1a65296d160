"""Snell et al. 2024: difficulty, compute-optimal choice, exchange with pretraining."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.allocation.compute_optimal import Chosen, choose
    from isoflop.allocation.difficulty import pass_rates, quantile_bins
    from isoflop.allocation.exchange import inference_multiplier
    from isoflop.allocation.study import Studied, study_choice

__all__ = [
    "Chosen",
    "Studied",
    "choose",
    "inference_multiplier",
    "pass_rates",
    "quantile_bins",
    "study_choice",
]

face(__name__)
