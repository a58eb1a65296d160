"""Planted chains of revisions: how often an answer turns is known, and differs from problem to problem."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from isoflop.arrays import Floats
from isoflop.fits.revision_rates import BROKEN, FIXED, PASS, GradedChains

_POPULATION = 20_000
# Standard deviation of difficulty, in log odds.
_SPREAD = 2.0


@dataclass(frozen=True)
class ChainWorld:
    """Chains of `length` answers, `chains` of them per problem.

    `ability`, `corrected`, `broken`: the log odds, on a problem of mean difficulty, that a first answer is
    right, that a wrong one becomes right, a right one wrong. Harder problems are corrected less and broken
    more.
    """

    name: str
    ability: float
    corrected: float
    broken: float
    chains: int = 4
    length: int = 6

    def graded(self, problems: int, seed: int) -> GradedChains:
        """A study of so many problems."""
        random = np.random.default_rng([seed, problems])
        first, correct, breaking = (chance[:, None] for chance in self._chances(problems, random))
        shape = (problems, self.chains)
        answers = [random.random(shape) < first]
        for _ in range(1, self.length):
            turned = random.random(shape) < np.where(answers[-1], breaking, correct)
            answers.append(answers[-1] ^ turned)
        right = np.stack(answers, axis=2)
        return GradedChains(list(right), list(np.ones_like(right)))

    def truth(self) -> dict[tuple[int, str], float]:
        """Every share, by place and measure, of very many problems; place 0 for all."""
        chance, correct, breaking = self._chances(_POPULATION, np.random.default_rng(1))
        found = {(1, PASS): float(chance.mean())}
        right, wrong = np.zeros(2), np.zeros(2)
        for place in range(2, self.length + 1):
            turned_wrong = np.array([(chance * breaking).sum(), chance.sum()])
            turned_right = np.array([((1 - chance) * correct).sum(), (1 - chance).sum()])
            found[place, BROKEN], found[place, FIXED] = (
                turned_wrong[0] / turned_wrong[1],
                turned_right[0] / turned_right[1],
            )
            right, wrong = right + turned_wrong, wrong + turned_right
            chance = chance * (1 - breaking) + (1 - chance) * correct
            found[place, PASS] = float(chance.mean())
        return found | {
            (0, BROKEN): right[0] / right[1],
            (0, FIXED): wrong[0] / wrong[1],
        }

    def _chances(self, problems: int, random: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """That a first answer is right, a wrong one is corrected, a right one is broken, [problems] each."""
        ease = _SPREAD * random.standard_normal(problems)
        first, correct, breaking = (
            expit(self.ability + ease),
            expit(self.corrected + ease),
            expit(self.broken - ease),
        )
        return first, correct, breaking


CHAIN_WORLDS = (
    ChainWorld("revisions: correct and break", 0.0, -1.5, -2.5),
    ChainWorld("revisions: seldom turn", -2.0, -6.0, -6.0),
)
