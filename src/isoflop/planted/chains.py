"""Planted chains of revisions: how often an answer turns is known, and differs from problem to problem."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from isoflop.arrays import Floats
from isoflop.fits.revision_rates import MENDED, PASS, SPOILT, GradedChains

_POPULATION = 20_000
# Standard deviation of difficulty, in log odds.
_SPREAD = 2.0


@dataclass(frozen=True)
class ChainWorld:
    """Chains of `length` answers, `chains` of them per problem.

    `ability`, `mended`, `spoilt`: the log odds, on a problem of mean difficulty, that a first answer is
    right, that a wrong one is turned right, a right one wrong. Harder problems are mended less and spoilt
    more.
    """

    name: str
    ability: float
    mended: float
    spoilt: float
    chains: int = 4
    length: int = 6

    def graded(self, problems: int, seed: int) -> GradedChains:
        """A study of so many problems."""
        random = np.random.default_rng([seed, problems])
        first, mend, spoil = (chance[:, None] for chance in self._chances(problems, random))
        shape = (problems, self.chains)
        answers = [random.random(shape) < first]
        for _ in range(1, self.length):
            turned = random.random(shape) < np.where(answers[-1], spoil, mend)
            answers.append(answers[-1] ^ turned)
        right = np.stack(answers, axis=2)
        return GradedChains(list(right), list(np.ones_like(right)))

    def truth(self) -> dict[tuple[int, str], float]:
        """Every share, by place and measure, of very many problems; place 0 for all."""
        chance, mend, spoil = self._chances(_POPULATION, np.random.default_rng(1))
        found = {(1, PASS): float(chance.mean())}
        right, wrong = np.zeros(2), np.zeros(2)
        for place in range(2, self.length + 1):
            turned = np.array([(chance * spoil).sum(), chance.sum()])
            cured = np.array([((1 - chance) * mend).sum(), (1 - chance).sum()])
            found[place, SPOILT], found[place, MENDED] = turned[0] / turned[1], cured[0] / cured[1]
            right, wrong = right + turned, wrong + cured
            chance = chance * (1 - spoil) + (1 - chance) * mend
            found[place, PASS] = float(chance.mean())
        return found | {(0, SPOILT): right[0] / right[1], (0, MENDED): wrong[0] / wrong[1]}

    def _chances(self, problems: int, random: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """That a first answer is right, a wrong one is mended, a right one is spoilt, [problems] each."""
        ease = _SPREAD * random.standard_normal(problems)
        first, mend, spoil = expit(self.ability + ease), expit(self.mended + ease), expit(self.spoilt - ease)
        return first, mend, spoil


CHAIN_WORLDS = (
    ChainWorld("revisions: mend and spoil", 0.0, -1.5, -2.5),
    ChainWorld("revisions: seldom turn", -2.0, -6.0, -6.0),
)
