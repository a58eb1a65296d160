"""What a forecast knows of accelerators: public figures of their data sheets, and one core of a CPU.

Peaks are dense (without sparsity), the best variant of each name (SXM where there is one). The CPU's are what
benchmarks/engine.py reaches on one core, not a data sheet's: docs/how-to/plan-a-study.md has the runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from isoflop.config.planning import Gpu


@dataclass(frozen=True)
class Accelerator:
    """Peak FLOP/s in bfloat16 or float16 and in float32, memory bandwidth in bytes/s, memory in bytes."""

    half: float
    single: float
    bandwidth: float
    memory: float

    def peak(self, dtype: str) -> float:
        """FLOP/s for weights of `dtype`."""
        return self.single if dtype == "float32" else self.half


ACCELERATORS: Mapping[str, Accelerator] = {
    "A100-40": Accelerator(312e12, 19.5e12, 1555e9, 40e9),
    "A100-80": Accelerator(312e12, 19.5e12, 2039e9, 80e9),
    "H100-80": Accelerator(989e12, 67e12, 3350e9, 80e9),
    "H200": Accelerator(989e12, 67e12, 4800e9, 141e9),
    "L4": Accelerator(121e12, 30.3e12, 300e9, 24e9),
    "L40S": Accelerator(362e12, 91.6e12, 864e9, 48e9),
    "RTX-4090": Accelerator(165e12, 82.6e12, 1008e9, 24e9),
    "cpu": Accelerator(50e9, 50e9, 10e9, 16e9),
}

assert set(ACCELERATORS) == set(get_args(Gpu))
