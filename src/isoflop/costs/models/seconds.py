"""Seconds that jobs took, shared out between candidates by their tokens; what a search took."""

from dataclasses import dataclass

from isoflop.arrays import Floats
from isoflop.costs.registry import CostModel
from isoflop.costs.work import Work


@dataclass(frozen=True, kw_only=True)
class _Seconds(CostModel):
    def charge(self, work: Work) -> Floats:
        return work.seconds


COST_MODEL = _Seconds(
    name="seconds",
    column="seconds",
    unit="seconds",
    label="measured, policy and verifier",
    of_tokens=False,
    needs="measured times, which imported work lacks",
    order=5,
)
