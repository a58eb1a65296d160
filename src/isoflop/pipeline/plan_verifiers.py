"""The job that says how well verifiers tell right solutions from wrong ones."""

from isoflop.pipeline.code_digest import code_digest, plugins
from isoflop.pipeline.paths import CANDIDATES, GRADES, PROBLEMS, TABLE, ledger_of
from isoflop.pipeline.plan import Plan
from isoflop.registries import STEP_AGGREGATIONS
from isoflop.specs import ScoredPool, VerifierQualitySpec, canonical


class VerifierPlan:
    """What a study with scores of independent samples says of its verifiers."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._config = plan, plan.config

    def tables(self) -> list[str]:
        """The tables of verifiers and of their calibration, where there are scores."""
        names = ("verifiers.csv", "calibration.csv") if self._plan.pools.scored() else ()
        return [self._plan.paths.at(TABLE, table=name) for name in names]

    def inputs(self) -> list[str]:
        """Of every pool: problems, candidates, grades and ledger, then scores and ledger of each verifier."""
        paths = self._plan.paths
        return [
            path
            for pool in self._plan.pools.scored()
            for path in (
                paths.at(PROBLEMS, dataset=pool.dataset),
                *paths.of(pool, CANDIDATES, GRADES, ledger_of(CANDIDATES)),
                *paths.scores(pool),
            )
        ]

    def quality(self) -> str:
        """Specification of those tables."""
        config = self._config
        return canonical(
            VerifierQualitySpec(
                experiment=config.experiment,
                pools=tuple(
                    ScoredPool(
                        **pool._asdict(),
                        verifiers=self._plan.pools.verifiers(pool.generator),
                        imported=pool.generator in config.imports,
                    )
                    for pool in self._plan.pools.scored()
                ),
                step_aggregations=config.step_aggregations,
                outcome_verifiers=tuple(name for name, entry in config.verifiers.items() if entry.outcome),
                draws=config.bootstrap.draws,
                level=config.bootstrap.level,
                seed=config.seed,
                code=code_digest("isoflop.stages.verifier_quality"),
                plugins=plugins((STEP_AGGREGATIONS, config.step_aggregations)),
            )
        )
