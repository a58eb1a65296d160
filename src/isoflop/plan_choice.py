"""The jobs of a study of difficulty and choice, and the specification of each."""

from collections.abc import Sequence

from isoflop.config_entries import Import
from isoflop.digests import code_digest
from isoflop.plan import Plan, Pool, canonical
from isoflop.specs import ChooseSpec, DifficultySpec, ExchangePair, StudiedPool

TABLES = ("by_difficulty.csv", "compute_optimal.csv", "exchange.csv", "claims_snell2024.csv")


class ChoicePlan:
    """What the config's difficulty, compute_optimal and exchange ask for."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._config = plan, plan.config

    def judged(self) -> list[Pool]:
        """The pools that tell difficulty."""
        entry = self._config.difficulty
        return (
            [] if entry is None else [one for one in self._plan.pools() if one.generator == entry.generator]
        )

    def difficulties(self) -> list[str]:
        """The tables of difficulty, in the order of `judged`."""
        return [
            f"{self._plan.results}/difficulty/{pool.dataset}/{pool.policy}.parquet" for pool in self.judged()
        ]

    def verifier(self) -> str | None:
        """The verifier that predicts difficulty, where the pool has scores."""
        entry = self._config.difficulty
        if entry is None:
            return None
        scored = self._plan.pool_verifiers(entry.generator)
        wanted = entry.verifier or next(iter(scored), None)
        return wanted if wanted in scored else None

    def difficulty(self) -> str:
        """Specification of a table of difficulty."""
        entry, verifier = self._config.difficulty, self.verifier()
        assert entry is not None  # the rule is there only with the entry
        return canonical(
            DifficultySpec(
                bins=entry.bins,
                verifier=verifier,
                outcome=verifier is not None and self._config.verifiers[verifier].outcome,
                step_aggregation=entry.step_aggregation,
                imported=isinstance(self._config.generators[entry.generator], Import),
                code=code_digest("isoflop.stages.difficulty"),
            )
        )

    def difficulty_inputs(self, dataset: str, policy: str) -> list[str]:
        """Candidates, grades, ledger, and the scores that predict."""
        entry = self._config.difficulty
        assert entry is not None  # as above
        path = f"{dataset}/{policy}/{entry.generator}"
        results, verifier = self._plan.results, self.verifier()
        scores = (
            [f"{results}/score/{path}/{verifier}.{ending}" for ending in ("parquet", "ledger.json")]
            if verifier
            else []
        )
        return [
            f"{results}/sample/{path}.parquet",
            f"{results}/grade/{path}.parquet",
            f"{results}/sample/{path}.ledger.json",
            *scores,
        ]

    def pools(self) -> list[Pool]:
        """The pools that are chosen between, and those of the exchange's greedy answers."""
        wanted = {name.partition("+")[0] for family in self._families().values() for name in family}
        if self._config.exchange is not None:
            wanted.add(self._config.exchange.greedy)
        return [pool for pool in self._plan.pools() if pool.generator in wanted]

    def credits(self) -> list[str]:
        """Their tables of credits, in the order of `pools`."""
        return [f"{self._plan.results}/select/{'/'.join(pool)}.parquet" for pool in self.pools()]

    def tables(self) -> list[str]:
        """What the choose stage writes."""
        names: Sequence[str] = TABLES if self._config.compute_optimal is not None else ()
        return [f"{self._plan.results}/tables/{name}" for name in names]

    def choose(self) -> str:
        """Specification of the choice."""
        config, exchange = self._config, self._config.exchange
        assert config.compute_optimal is not None  # the rule is there only with the entry
        assert config.headline is not None  # checked for every config that studies
        return canonical(
            ChooseSpec(
                experiment=config.experiment,
                pools=tuple(
                    StudiedPool(**pool._asdict(), kind=config.generators[pool.generator].kind)
                    for pool in self.pools()
                ),
                difficulties=tuple((pool.dataset, pool.policy) for pool in self.judged()),
                families=self._families(),
                selector=config.headline.selector,
                verifier=next(iter(config.verifiers), "none"),
                step_aggregation=config.headline.step_aggregation,
                cost_model=config.headline.cost_model,
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
                code=code_digest("isoflop.stages.choose"),
            )
        )

    def _families(self) -> dict[str, tuple[str, ...]]:
        entry = self._config.compute_optimal
        return {} if entry is None else dict(entry.families)
