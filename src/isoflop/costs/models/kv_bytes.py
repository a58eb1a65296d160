"""Bytes of the cache of keys and values that generated tokens read (Kinetics, Sadhukhan et al. 2025).

Every generated token reads what all positions before it left in every layer, so decoding long chains is bound
by memory before it is bound by FLOPs. Prompts and a verifier's texts are read in one pass, whose queries
share what they read, and are not charged.

References
----------
Sadhukhan et al. 2025, Kinetics: Rethinking Test-Time Scaling Laws. doi:10.48550/arXiv.2506.05333
"""

from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Floats
from isoflop.costs.registry import CostModel
from isoflop.costs.work import Work


@dataclass(frozen=True, kw_only=True)
class _KvBytes(CostModel):
    def charge(self, work: Work) -> Floats:
        shape = work.policy.shape
        if shape is None or shape.kv_width is None:
            return np.full(np.broadcast(work.generated, work.attended).shape, np.nan)
        each = float(shape.layers) * shape.kv_width * work.policy.terms.value_bytes
        # A token attends to itself too, but reads only what is before it.
        read: Floats = each * (work.attended - work.generated)
        return read


COST_MODEL = _KvBytes(
    name="kv_bytes",
    column="kv_bytes",
    unit="bytes",
    label="keys and values read by generated tokens",
    needs="the width of the policy's keys and values",
    order=7,
)
