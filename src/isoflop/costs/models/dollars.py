"""US dollars by the prices per million tokens that the config says of every policy and verifier.

A problem's prompt is paid once, and at the price of cached input for every further sample. A verifier reads
input; each revision's prompt, which has earlier attempts in it, is fresh input.
"""

from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Floats
from isoflop.costs.registry import CostModel
from isoflop.costs.work import Work

_PER = 1e-6


@dataclass(frozen=True, kw_only=True)
class _Dollars(CostModel):
    def charge(self, work: Work) -> Floats:
        prices = work.policy.terms.prices
        if prices is None:
            return np.full(np.broadcast(work.generated, work.prompt, work.read).shape, np.nan)
        paid: Floats = _PER * (
            prices.input * work.prompt + prices.cached * work.kept + prices.output * work.generated
        )
        if work.verifier is None:
            return paid
        judge = work.verifier.terms.prices
        return paid + _PER * (np.nan if judge is None else judge.input) * work.read


COST_MODEL = _Dollars(
    name="dollars",
    column="dollars",
    unit="US dollars",
    label="input, cached input and output tokens, verifier included",
    needs="prices of every policy and verifier",
    order=6,
)
