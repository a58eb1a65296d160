"""FLOPs of all that ran: prompts, generated tokens, and the verifier's reading."""

from dataclasses import dataclass

from isoflop.arrays import Floats
from isoflop.costs.flops import flops_of_positions
from isoflop.costs.registry import CostModel
from isoflop.costs.work import Work


@dataclass(frozen=True, kw_only=True)
class _Total(CostModel):
    def charge(self, work: Work) -> Floats:
        reading = flops_of_positions(work.policy.shape, work.prompt, work.prompt_attended)
        policy = reading + flops_of_positions(work.policy.shape, work.generated, work.attended)
        if work.verifier is None:
            return policy
        return policy + flops_of_positions(work.verifier.shape, work.read, work.read_attended)


COST_MODEL = _Total(
    name="total", column="flops_total", unit="FLOPs", label="prompts, samples and verifier", order=3
)
