"""What a study publishes: its report, tables and figures, and what is shown in them."""

from collections.abc import Iterator

from isoflop.config.datasets import CountedSource
from isoflop.config.generators import Greedy, Revisions
from isoflop.config.study import config_yaml
from isoflop.files import times_of
from isoflop.pipeline.code_digest import code_digest
from isoflop.pipeline.paths import (
    CANDIDATES,
    FIGURE,
    REPORT,
    SCORES,
    SECONDS,
    TABLE,
    TIMES,
    TREES,
    ledger_of,
)
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_counts import CountsPlan
from isoflop.pipeline.pools import Pool
from isoflop.registries import GRADERS, SELECTORS
from isoflop.report.spec import (
    FIGURE_FORMATS,
    PROGRAM_TABLES,
    PUBLISHED_TABLES,
    SEARCH_TABLES,
    TABLES,
    Headline,
    PublishedTables,
    ReportSpec,
    family_members,
    figure_names,
    judgements,
)
from isoflop.search.registry import nominal_samples
from isoflop.specs import TimesSpec, canonical

# What is written of measured times, and of them beside those that were planned.
TIME_FILES = ("seconds.csv", "jobs.csv", "times.md")
PLANNED_FILES = ("plan.csv", "plan.md")


class ReportPlan:
    """The job that writes tables, figures and report, and all that the experiment is for."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._config = plan, plan.config

    def targets(self) -> list[str]:
        """What the experiment is for: trained models, and where it studies, all published files."""
        return [
            *map(self._plan.paths.trained, self._config.training),
            *self.published(),
            *self._curve_tables(),
            *self.time_files(*TIME_FILES, *PLANNED_FILES),
        ]

    def time_files(self, *names: str) -> list[str]:
        """Files of measured times, of an experiment that studies."""
        return [self._plan.paths.at(TIMES, table=name) for name in names if self._config.studies]

    def times(self) -> str:
        """Specification of the tables of measured times."""
        results = f"{self._plan.results}/"
        return canonical(
            TimesSpec(
                experiment=self._config.experiment,
                pools=tuple((pool.dataset, pool.policy, pool.generator) for pool in self._timed()),
                jobs=tuple((stage, path.removeprefix(results)) for stage, path in self._jobs()),
                code=code_digest("isoflop.stages.times"),
            )
        )

    def seconds(self) -> list[str]:
        """The tables of seconds, in the order of the specification."""
        return [path for pool in self._timed() for path in self._plan.paths.of(pool, SECONDS)]

    def time_inputs(self) -> list[str]:
        """Ledgers and measured times of the jobs."""
        return [
            path
            for _, made in self._jobs()
            for path in ([made, times_of(made)] if made.endswith(".json") else [times_of(made)])
        ]

    def _timed(self) -> list[Pool]:
        """The pools whose strategies take time: counts are of somebody's samples."""
        return [pool for pool in self._plan.pools.picked() if pool.generator not in self._config.counts]

    def _jobs(self) -> Iterator[tuple[str, str]]:
        """Stage of every job that keeps its time, and its ledger or what it trained."""
        plan, config = self._plan, self._config
        for name in config.training:
            yield "train", plan.paths.trained(name)
        for pool in plan.pools.all():
            if pool.generator in config.counts:
                continue
            if pool.generator in config.searches:
                for budget in plan.pools.budgets(pool.policy, pool.generator):
                    yield "search", plan.paths.at(ledger_of(TREES), **pool._asdict(), budget=budget)
                continue
            kinds = {**dict.fromkeys(config.imports, "replay"), **dict.fromkeys(config.chains, "revise")}
            yield kinds.get(pool.generator, "sample"), plan.paths.of(pool, ledger_of(CANDIDATES))[0]
            if pool.generator not in config.imports:
                for verifier in plan.pools.verifiers(pool.generator):
                    yield "score", plan.paths.at(ledger_of(SCORES), **pool._asdict(), verifier=verifier)

    def published(self) -> list[str]:
        """The files that publishing writes."""
        if not self._config.studies:
            return []
        at = self._plan.paths.at
        tables = [at(TABLE, table=name) for name in (*TABLES, *self.further_tables())]
        figures = [
            at(FIGURE, figure=f"{name}.{ending}") for name in self.figures() for ending in FIGURE_FORMATS
        ]
        return [at(REPORT), *tables, *figures]

    def figures(self) -> tuple[str, ...]:
        """The names of the study's figures."""
        config = self._config
        return figure_names(
            max(map(len, family_members(self._shown_policies(), self._plan.families()).values()), default=0),
            len(config.searches),
            covers=config.headline is not None and SELECTORS[config.headline.selector].oracle,
            levels=self._levels(),
            forecast=bool(CountsPlan(self._plan).backtests()),
            pretraining=config.coverage.pretraining is not None,
            judgements=judgements(
                self._shown_verifiers(), self._outcome_verifiers(), config.step_aggregations
            ),
            scored=bool(self._plan.pools.scored()),
            revisions=[len(names) for names in self._revised().values()],
            choice=config.compute_optimal is not None,
            exchange=config.exchange is not None,
            thinking=bool(config.thinking),
        )

    def further_tables(self) -> tuple[str, ...]:
        """The tables that only a study with tree searches, programs or published numbers has."""
        return (
            *(SEARCH_TABLES if self._config.searches else ()),
            *(PROGRAM_TABLES if self._program_datasets() else ()),
            *(PUBLISHED_TABLES if self._config.published else ()),
        )

    def published_files(self) -> list[str]:
        """Files of published numbers."""
        return list(self._config.published.files) if self._config.published else []

    def report(self) -> str:
        """Specification of the tables, figures and report."""
        config = self._config
        assert config.headline is not None  # checked for every config that studies
        return canonical(
            ReportSpec(
                experiment=config.experiment,
                title=config.title or config.experiment,
                datasets=config.studied_datasets,
                policies=self._shown_policies(),
                families=self._plan.families(),
                generators=tuple(name for name in config.generators if name not in config.chains),
                searches={name: entry.kind for name, entry in config.searches.items()},
                published_searches=self._plan.pools.published_searches(),
                generations={
                    name: count
                    for name, entry in config.searches.items()
                    if (count := nominal_samples(entry, 1)) > 1
                },
                counted=tuple(config.counts),
                levels=self._levels(),
                forecast=bool(CountsPlan(self._plan).backtests()),
                pretraining=config.coverage.pretraining is not None,
                program_datasets=self._program_datasets(),
                choice=config.compute_optimal is not None,
                exchange=config.exchange is not None,
                thinking=config.thinking,
                verifiers=self._shown_verifiers(),
                revisions=self._revised(),
                outcome_verifiers=self._outcome_verifiers(),
                scored=bool(self._plan.pools.scored()),
                step_aggregations=config.step_aggregations,
                headline=Headline(**config.headline.model_dump()),
                costs=config.claim_costs,
                margin=config.claims.margin,
                level=config.bootstrap.level,
                tokens_estimated=any(map(self._plan.estimated, config.generators)),
                assumed_policies=tuple(name for name, entry in config.policies.items() if entry.assumed),
                assumed_verifiers=tuple(name for name, entry in config.verifiers.items() if entry.assumed),
                published=PublishedTables(**config.published.model_dump()) if config.published else None,
                config_yaml=config_yaml(config),
                pools=tuple((pool.dataset, pool.policy, pool.generator) for pool in self._plan.pools.all()),
                seed=config.seed,
                code=code_digest("isoflop.stages.report", "report/templates"),
            )
        )

    def _curve_tables(self) -> list[str]:
        names = ("curves.csv", "fits.csv", "differences.csv", "plan.csv", "plan.md")
        return [self._plan.paths.at(TABLE, table=name) for name in names if self._config.studies]

    def _levels(self) -> bool:
        """Whether problems may have levels: texts or counts that say so."""
        named = any("level" in (entry.columns or {}) for entry in self._config.counts.values())
        texts = (self._config.datasets[name] for name in self._config.studied_datasets)
        return named or not all(isinstance(entry, CountedSource) for entry in texts)

    def _program_datasets(self) -> tuple[str, ...]:
        """The studied data sets of programs that REBASE searches."""
        config = self._config
        searched = {
            pool.dataset
            for pool in self._plan.pools.searches()
            if config.searches[pool.generator].kind == "rebase"
        }
        return tuple(
            name
            for name in config.studied_datasets
            if name in searched and GRADERS[config.datasets[name].grader].tests
        )

    def _shown_policies(self) -> tuple[str, ...]:
        """The policies of the figures: not those that only revise, or only answer greedily."""
        aside = (Greedy, Revisions)
        shown = {
            pool.policy
            for pool in self._plan.pools.studied()
            if not isinstance(self._config.generators[pool.generator], aside)
        }
        return tuple(name for name in self._config.policies if name in shown)

    def _shown_verifiers(self) -> tuple[str, ...]:
        """The verifiers of the figures: not those that only judge chains of revisions."""
        generators = (name for name in self._config.generators if name not in self._config.chains)
        scoring = {verifier for name in generators for verifier in self._plan.pools.verifiers(name)}
        return tuple(name for name in self._config.verifiers if name in scoring)

    def _revised(self) -> dict[str, tuple[str, ...]]:
        """The verifiers of every generator of chains that some policy has."""
        made = {pool.generator for pool in self._plan.pools.all()}
        return {name: self._plan.pools.verifiers(name) for name in self._config.chains if name in made}

    def _outcome_verifiers(self) -> tuple[str, ...]:
        """The verifiers that score whole solutions."""
        return tuple(name for name, verifier in self._config.verifiers.items() if verifier.outcome)
