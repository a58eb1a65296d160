"""Generated tokens, thinking included."""

from dataclasses import dataclass

from isoflop.arrays import Floats
from isoflop.costs.registry import CostModel
from isoflop.costs.work import Work


@dataclass(frozen=True, kw_only=True)
class _Tokens(CostModel):
    def charge(self, work: Work) -> Floats:
        return work.generated


COST_MODEL = _Tokens(
    name="tokens", column="tokens", unit="tokens", label="generated, thinking included", order=4
)
