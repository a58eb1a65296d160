"""The jobs of a study of difficulty and choice, and the specification of each."""

from collections.abc import Sequence

from isoflop.config.imports.entries import Import
from isoflop.pipeline.code_digest import code_digest
from isoflop.pipeline.paths import CANDIDATES, CREDITS, DIFFICULTY, GRADES, SCORES, TABLE, ledger_of
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.pools import Pool
from isoflop.specs import AllocateSpec, DifficultySpec, ExchangePair, StudiedPool, canonical
from isoflop.strategy import NONE

TABLES = (
    "by_difficulty.csv",
    "compute_optimal.csv",
    "exchange.csv",
    "claims_snell2024.csv",
    "exchange_curves.csv",
)


class ChoicePlan:
    """What the config's difficulty, compute_optimal and exchange ask for."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._config = plan, plan.config

    def judged(self) -> list[Pool]:
        """The pools that tell difficulty: the named generator's, or the chains of a policy without it."""
        entry = self._config.difficulty
        if entry is None:
            return []
        pools: dict[tuple[str, str], Pool] = {}
        for pool in self._plan.pools.all():
            pair = (pool.dataset, pool.policy)
            if pool.generator == entry.generator or (
                pool.generator in self._config.chains and pair not in pools
            ):
                pools[pair] = pool
        return list(pools.values())

    def difficulties(self) -> list[str]:
        """The tables of difficulty, in the order of `judged`."""
        return [path for pool in self.judged() for path in self._plan.paths.of(pool, DIFFICULTY)]

    def verifier(self, generator: str) -> str | None:
        """The verifier that predicts difficulty from a generator's pool, where that has scores."""
        entry, scored = self._config.difficulty, self._plan.pools.verifiers(generator)
        if entry is None or not scored:
            return None
        wanted = entry.verifier or scored[0]
        # Chains may be scored by verifiers of their own.
        return wanted if wanted in scored else scored[0] if generator in self._config.chains else None

    def difficulty(self, dataset: str, policy: str) -> str:
        """Specification of a table of difficulty."""
        entry, generator = self._config.difficulty, self._generator(dataset, policy)
        assert entry is not None  # the rule is there only with the entry
        verifier = self.verifier(generator)
        return canonical(
            DifficultySpec(
                bins=entry.bins,
                verifier=verifier,
                outcome=verifier is not None and self._config.verifiers[verifier].outcome,
                step_aggregation=entry.step_aggregation,
                imported=isinstance(self._config.generators[generator], Import),
                chains=generator in self._config.chains,
                code=code_digest("isoflop.stages.difficulty"),
                **self._plan.priced(policy, () if verifier is None else (verifier,)),
            )
        )

    def difficulty_inputs(self, dataset: str, policy: str) -> list[str]:
        """Candidates, grades, ledger, and the scores that predict."""
        paths, pool = self._plan.paths, Pool(dataset, policy, self._generator(dataset, policy))
        verifier = self.verifier(pool.generator)
        scores = (SCORES, ledger_of(SCORES)) if verifier else ()
        return [
            *paths.of(pool, CANDIDATES, GRADES, ledger_of(CANDIDATES)),
            *(paths.at(path, **pool._asdict(), verifier=verifier) for path in scores),
        ]

    def _generator(self, dataset: str, policy: str) -> str:
        """The generator whose pool tells a policy's difficulty."""
        return next(
            pool.generator for pool in self.judged() if (pool.dataset, pool.policy) == (dataset, policy)
        )

    def pools(self) -> list[Pool]:
        """The pools that are chosen between, and those of the exchange's greedy answers."""
        wanted = {name.partition("+")[0] for family in self._families().values() for name in family}
        if self._config.exchange is not None:
            wanted.add(self._config.exchange.greedy)
        return [pool for pool in self._plan.pools.picked() if pool.generator in wanted]

    def credits(self) -> list[str]:
        """Their tables of credits, in the order of `pools`."""
        return [path for pool in self.pools() for path in self._plan.paths.of(pool, CREDITS)]

    def tables(self) -> list[str]:
        """What the allocate stage writes."""
        names: Sequence[str] = TABLES if self._config.compute_optimal is not None else ()
        return [self._plan.paths.at(TABLE, table=name) for name in names]

    def allocate(self) -> str:
        """Specification of the choice."""
        config, exchange = self._config, self._config.exchange
        assert config.compute_optimal is not None  # the rule is there only with the entry
        assert config.headline is not None  # checked for every config that studies
        return canonical(
            AllocateSpec(
                experiment=config.experiment,
                pools=tuple(
                    StudiedPool(
                        **pool._asdict(), kind=config.generators[pool.generator.partition("/")[0]].kind
                    )
                    for pool in self.pools()
                ),
                difficulties=tuple((pool.dataset, pool.policy, pool.generator) for pool in self.judged()),
                bins=5 if config.difficulty is None else config.difficulty.bins,
                families=self._families(),
                selector=config.headline.selector,
                verifier=next(iter(config.verifiers), NONE),
                step_aggregation=config.headline.step_aggregation,
                judges=self._judges(),
                cost_model=config.headline.cost_model,
                costs=config.further_costs,
                splits=config.compute_optimal.splits,
                exchange=()
                if exchange is None
                else tuple(
                    ExchangePair(**pair.model_dump(), greedy=exchange.greedy) for pair in exchange.pairs
                ),
                ratios=() if exchange is None else exchange.ratios,
                draws=config.bootstrap.draws,
                level=config.bootstrap.level,
                seed=config.seed,
                code=code_digest("isoflop.stages.allocate"),
            )
        )

    def _judges(self) -> dict[str, tuple[str, str]]:
        """Verifier and step aggregation of the generators that have others than the headline's."""
        config = self._config
        judges: dict[str, tuple[str, str]] = {}
        assert config.headline is not None  # as above
        usual = (next(iter(config.verifiers), NONE), config.headline.step_aggregation)
        for generator in dict.fromkeys(pool.generator for pool in self.pools()):
            scored = self._plan.pools.verifiers(generator.partition("/")[0])
            if scored:
                how = "last" if config.verifiers[scored[0]].outcome else usual[1]
                if (scored[0], how) != usual:
                    judges[generator] = (scored[0], how)
        return judges

    def _families(self) -> dict[str, tuple[str, ...]]:
        entry = self._config.compute_optimal
        if entry is None:
            return {}
        return {
            family: tuple(name for member in members for name in self._members(member))
            for family, members in entry.families.items()
        }

    def _members(self, member: str) -> list[str]:
        """A member of a family; of `revisions/*`, chains of every length."""
        generator, plus, how = member.partition("+")
        name, _, length = generator.partition("/")
        if length != "*":
            return [member]
        return [f"{name}/{length}{plus}{how}" for length in self._config.chains[name].compared]
