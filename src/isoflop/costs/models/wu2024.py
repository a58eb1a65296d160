"""2 N FLOPs per generated token (Wu et al. 2024, Table 4)."""

from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Floats
from isoflop.costs.flops import flops_of_positions
from isoflop.costs.registry import CostModel
from isoflop.costs.work import Work


@dataclass(frozen=True, kw_only=True)
class _Wu2024(CostModel):
    def charge(self, work: Work) -> Floats:
        return flops_of_positions(work.policy.shape, work.generated, np.zeros_like(work.generated))


COST_MODEL = _Wu2024(
    name="wu2024", column="flops_wu2024", unit="FLOPs", label="2N × generated tokens", order=1
)
