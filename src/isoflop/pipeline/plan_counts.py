"""The jobs of imports of counts, and what is made of coverage: that of counts, and of samples drawn here."""

from collections.abc import Iterable

from isoflop.claims.coverage import known_samples
from isoflop.config.datasets import CountedSource
from isoflop.config.generators import Sampling
from isoflop.costs.shape import Terms
from isoflop.pipeline.code_digest import code_digest, plugins
from isoflop.pipeline.paths import COUNTS, PROBLEMS, TABLE
from isoflop.pipeline.plan import Plan
from isoflop.registries import COST_MODELS, IMPORT_FORMATS, SELECTORS
from isoflop.report.spec import FORECAST_TABLES, PRETRAINING_TABLES, SIZE_TABLES
from isoflop.selection.pool import POLICY
from isoflop.specs import Backtest, CountedPolicy, CountsSpec, CoverageSpec, canonical


class CountsPlan:
    """The jobs of one experiment's counts. Methods named after a stage give the specification of its job."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._config = plan, plan.config

    def counts(self, generator: str) -> str:
        """Specification of an import of counts: of all its policies."""
        entry = self._config.counts[generator]
        costs = self._config.further_costs
        policies = []
        for name in self._policies(generator):
            size = self._config.policies[name].size
            terms = self._plan.models.terms(name, ())[POLICY] if costs else Terms()
            policies.append(CountedPolicy(name=name, size=size, terms=terms))
        return canonical(
            CountsSpec(
                generator=entry,
                policies=tuple(policies),
                costs=costs,
                texts=self._has_texts(entry.dataset),
                common=self._config.problems == "common",
                budgets=self._config.budgets,
                mirror=self._config.mirror,
                files=tuple(self.files(generator)),
                code=code_digest("isoflop.stages.counts"),
                plugins=plugins((IMPORT_FORMATS, (entry.format,)), (COST_MODELS, costs)),
            )
        )

    def inputs(self, generator: str) -> list[str]:
        """The table of problems, where the data set has one."""
        dataset = self._config.counts[generator].dataset
        return [self._plan.paths.at(PROBLEMS, dataset=dataset)] * self._has_texts(dataset)

    def files(self, generator: str) -> list[str]:
        """Local files that counts are imported from, each once."""
        files = (self._plan.replay_files(name, generator) for name in self._policies(generator))
        return list(dict.fromkeys(path for own in files for path in own))

    def _active(self, policies: Iterable[str]) -> dict[str, int]:
        """What a token of pretraining meets, where a policy is a mixture of experts."""
        sizes = ((name, self._config.policies[name].size) for name in policies)
        return {name: size.active_parameters for name, size in sizes if size and size.active_parameters}

    def coverage(self) -> str:
        """Specification of what is made of the coverage of all imports of counts, and of samples."""
        pretraining = self._config.coverage.pretraining
        return canonical(
            CoverageSpec(
                experiment=self._config.experiment,
                generators=tuple(self._config.counts),
                sampled=self.backtests(),
                families=self._plan.families(),
                costs=self._config.claim_costs,
                pretrained={} if pretraining is None else pretraining.tokens,
                trained_parameters={} if pretraining is None else self._active(pretraining.tokens),
                problems=() if pretraining is None else pretraining.problems,
                fitted_to=self._config.coverage.fitted_to,
                seed=self._config.seed,
                code=code_digest("isoflop.stages.coverage"),
            )
        )

    def backtests(self) -> dict[str, dict[str, Backtest]]:
        """Of generators that sample, the policies of which they draw enough to backtest coverage."""
        config, found = self._config, dict[str, dict[str, Backtest]]()
        if not any(SELECTORS[name].oracle for name in config.selectors):
            return {}
        for pool in self._plan.pools.all():
            entry = config.generators[pool.generator]
            if not isinstance(entry, Sampling):
                continue
            budgets = self._plan.pools.budgets(pool.policy, pool.generator)
            known = known_samples(budgets, config.coverage.fitted_to)
            # Coverage with one sample is the share that is right.
            if known is not None and budgets[0] == 1:
                samples = self._plan.pools.samples(pool.policy, entry)
                found.setdefault(pool.generator, {})[pool.policy] = Backtest(known=known, samples=samples)
        return found

    def coverage_inputs(self) -> list[str]:
        """All credits, then the counts of every import."""
        return [f"{self._plan.results}/fit/credits.parquet", *self._tables_of_counts()]

    def coverage_tables(self) -> list[str]:
        """Backtests where there are counts or enough samples; crossings, and pretraining, of counts alone."""
        counted = bool(self._config.counts)
        names = (
            *SIZE_TABLES * counted,
            *FORECAST_TABLES * (counted or bool(self.backtests())),
            *PRETRAINING_TABLES * (self._config.coverage.pretraining is not None),
        )
        return [self._plan.paths.at(TABLE, table=name) for name in names]

    def evidence(self) -> list[str]:
        """What a report reads of coverage."""
        return [*self.coverage_tables(), *self._tables_of_counts()]

    def _tables_of_counts(self) -> list[str]:
        return [self._plan.paths.at(COUNTS, generator=name) for name in self._config.counts]

    def _has_texts(self, dataset: str) -> bool:
        return not isinstance(self._config.datasets[dataset], CountedSource)

    def _policies(self, generator: str) -> list[str]:
        return [pool.policy for pool in self._plan.pools.counted(generator)]
