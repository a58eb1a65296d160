"""Bootstrap, curves, interpolation, scaling laws, the frontier of sizes, and their tables."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.fits.bootstrap import (
        Interval,
        Resampling,
        accuracy_interval,
        difference_interval,
        problem_weights,
    )
    from isoflop.fits.curves import CreditsInput, Curve, build_curves, curves_csv
    from isoflop.fits.evidence import Evidence, Series
    from isoflop.fits.fitting import Fit
    from isoflop.fits.frontier import pareto
    from isoflop.fits.scaling_laws import (
        akaike_weights,
        fit_coverage_power_law,
        fit_exponential_in_compute,
        fit_exponential_saturation,
        fit_power_law,
        fit_power_law_with_floor,
    )
    from isoflop.fits.size_regression import fit_optimal_size

__all__ = [
    "CreditsInput",
    "Curve",
    "Evidence",
    "Fit",
    "Interval",
    "Resampling",
    "Series",
    "accuracy_interval",
    "akaike_weights",
    "build_curves",
    "curves_csv",
    "difference_interval",
    "fit_coverage_power_law",
    "fit_exponential_in_compute",
    "fit_exponential_saturation",
    "fit_optimal_size",
    "fit_power_law",
    "fit_power_law_with_floor",
    "pareto",
    "problem_weights",
]

face(__name__)
