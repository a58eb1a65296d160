"""The tables of candidates that a config asks for: at which budgets, and scored by which verifiers."""

from typing import NamedTuple

from isoflop.config.generators import Greedy, Sampling, TreeSearch, unscored
from isoflop.config.imports.entries import Import
from isoflop.config.study import Config, made_pools
from isoflop.strategy import needs_verifier


class Pool(NamedTuple):
    """One table of candidates: a policy's, by one generator, on one data set."""

    dataset: str
    policy: str
    generator: str


class Pools:
    """The pools of one experiment, and what is asked of its generators."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def studied(self) -> list[Pool]:
        """All that the study has of policies by generators: tables of candidates, or counts without texts."""
        return [Pool(*pool) for pool in made_pools(self._config)] if self._config.studies else []

    def all(self) -> list[Pool]:
        """Every table of candidates of the study."""
        return [pool for pool in self.studied() if pool.generator not in self._config.counts]

    def counted(self, generator: str) -> list[Pool]:
        """What an import of counts knows, a policy each."""
        return [pool for pool in self.studied() if pool.generator == generator]

    def replays(self) -> list[Pool]:
        """The tables of candidates that are imported."""
        return [pool for pool in self.all() if pool.generator in self._config.imports]

    def searches(self) -> list[Pool]:
        """The candidate sets that searches make."""
        return [pool for pool in self.all() if pool.generator in self._config.searches]

    def published_searches(self) -> tuple[str, ...]:
        """The generators that import searches: each budget has solutions of its own."""
        return tuple(name for name, entry in self._config.imports.items() if entry.budgets is not None)

    def chains(self) -> list[Pool]:
        """The tables of chains of revisions."""
        return [pool for pool in self.all() if pool.generator in self._config.chains]

    def picked(self) -> list[Pool]:
        """What there are credits of: every pool, one of chains at each length (`revisions/4`)."""
        chains = self._config.chains
        return [
            pool._replace(generator=name)
            for pool in self.studied()
            for name in (
                [f"{pool.generator}/{length}" for length in chains[pool.generator].compared]
                if pool.generator in chains
                else [pool.generator]
            )
        ]

    def scored(self) -> list[Pool]:
        """The tables of independent samples that verifiers score; searches have picked theirs by scores."""
        return [
            pool
            for pool in self.all()
            if isinstance(self._config.generators[pool.generator], Sampling | Import)
            and pool.generator not in self.published_searches()
            and self.verifiers(pool.generator)
            and self._config.step_aggregations
        ]

    def sampled(self) -> list[str]:
        """The generators that sample."""
        others = self._config.imports | self._config.searches | self._config.chains
        return [name for name in self._config.generators if name not in others]

    def verifiers(self, generator: str) -> tuple[str, ...]:
        """The verifiers that score what a generator makes; none where there is nothing to pick."""
        entry = self._config.generators[generator]
        if isinstance(entry, Import):
            return tuple(name for name in self._config.verifiers if name in entry.scored_by)
        if isinstance(entry, TreeSearch):
            return (entry.verifier or next(iter(self._config.verifiers)),)
        if isinstance(entry, Greedy):
            return ()
        if entry.verifiers is not None:
            return entry.verifiers
        return tuple(name for name, verifier in self._config.verifiers.items() if verifier.runs)

    def selectors(self, generator: str) -> tuple[str, ...]:
        """What picks among a generator's candidates: the study's selectors, or those of an import.

        Of samples that no verifier scores, those that need none.
        """
        entry = self._config.generators[generator]
        if isinstance(entry, Import):
            return self._config.selectors if entry.selectors is None else entry.selectors
        scored = not unscored(entry)
        return tuple(name for name in self._config.selectors if scored or not needs_verifier(name))

    def samples(self, policy: str, entry: Sampling) -> int:
        """How many samples of each problem a policy draws."""
        most = (entry.only.at_most if entry.only else None) or {}
        return min(entry.samples, most.get(policy, entry.samples))

    def budgets(self, policy: str, generator: str) -> tuple[int, ...]:
        """The budgets at which a policy has a generator's candidates."""
        entry = self._config.generators[generator]
        if isinstance(entry, Import):
            return entry.budgets_of(policy, self._config.budgets)
        budgets = entry.budgets if isinstance(entry, TreeSearch) else self._config.budgets
        return budgets if entry.only is None else entry.only.cap(policy, budgets)
