"""What candidates cost: cost models by name, the FLOPs behind three of them, and the prices of whole
pools."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.costs.flops import (
        flops_kaplan,
        flops_of_positions,
        flops_total,
        flops_wu2024,
        search_flops,
    )
    from isoflop.costs.pools import expected_costs, revision_costs, search_costs
    from isoflop.costs.registry import CostModel, cost_model
    from isoflop.costs.shape import ModelShape, Prices, Terms
    from isoflop.costs.work import Party, Usage, Work

__all__ = [
    "CostModel",
    "ModelShape",
    "Party",
    "Prices",
    "Terms",
    "Usage",
    "Work",
    "cost_model",
    "expected_costs",
    "flops_kaplan",
    "flops_of_positions",
    "flops_total",
    "flops_wu2024",
    "revision_costs",
    "search_costs",
    "search_flops",
]

face(__name__)
