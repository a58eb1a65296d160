"""FLOPs of generated tokens with attention (Kaplan et al. 2020, Table 1)."""

from dataclasses import dataclass

from isoflop.arrays import Floats
from isoflop.costs.flops import flops_of_positions
from isoflop.costs.registry import CostModel
from isoflop.costs.work import Work


@dataclass(frozen=True, kw_only=True)
class _Kaplan(CostModel):
    def charge(self, work: Work) -> Floats:
        return flops_of_positions(work.policy.shape, work.generated, work.attended)


COST_MODEL = _Kaplan(
    name="kaplan", column="flops_kaplan", unit="FLOPs", label="generated tokens, with attention", order=2
)
