"""What the claims and headlines of a study are about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from isoflop.families import next_sizes
from isoflop.registries import CLAIM_COSTS, SELECTORS
from isoflop.strategy import NONE, Strategy


@dataclass(frozen=True)
class Setting:
    """What the claims are about.

    `policies`: from small to large. `families`: of the policies (`all` where one is not named). `parameters`:
    of the policies whose size is known. `searches`: kinds of tree searches by generator. `strategies`: all
    that can be used in practice (not the oracle), greedy decoding among them. `headline`: one of them, over
    samples. `margin`: how much worse still counts as no worse. `costs`: the cost models under which claims
    are tested.
    """

    policies: Sequence[str]
    families: Mapping[str, str]
    parameters: Mapping[str, int]
    searches: Mapping[str, str]
    strategies: Sequence[Strategy]
    headline: Strategy
    margin: float
    costs: Sequence[str] = CLAIM_COSTS

    @property
    def covers(self) -> bool:
        """Whether the headline is coverage, as in a study of counts: an answer is found, not picked."""
        return self.headline.selector != NONE and SELECTORS[self.headline.selector].oracle

    def family(self, policy: str) -> str:
        """The family of a policy."""
        return self.families.get(policy, "all")

    def pairs(self) -> list[tuple[str, str]]:
        """Every policy with those of the next size of its family, smaller and larger."""
        sizes = {name: self.parameters[name] for name in self.policies if name in self.parameters}
        return next_sizes(sizes, self.families)

    def search(self, kind: str) -> Strategy | None:
        """The headline's selection over the first search of a kind."""
        name = next((name for name, searched in self.searches.items() if searched == kind), None)
        return None if name is None else replace(self.headline, generator=name)

    def selecting(self, selector: str, generator: str | None = None) -> Strategy | None:
        """The strategy of a generator (the headline's) with another selector, the headline's verifier."""
        wanted = generator or self.headline.generator
        candidates = [
            strategy
            for strategy in self.strategies
            if (strategy.generator, strategy.selector) == (wanted, selector)
        ]
        same = [strategy for strategy in candidates if strategy.verifier == self.headline.verifier]
        return next(iter(same or candidates), None)
