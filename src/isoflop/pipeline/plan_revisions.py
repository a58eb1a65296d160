"""The jobs of revisions: training data, chains, credits by length, and how often answers change."""

from isoflop.config.generators import Revisions
from isoflop.pipeline.code_digest import code_digest
from isoflop.pipeline.paths import CANDIDATES, GRADES, PROBLEMS, TABLE
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_allocation import ChoicePlan
from isoflop.specs import (
    CHAIN_LABELS_VERSION,
    REVISE_VERSION,
    TRAJECTORIES_VERSION,
    ChainLabelsSpec,
    ChainsOfPool,
    ReviseSpec,
    RevisionRatesSpec,
    TrajectoriesSpec,
    canonical,
)


class RevisionPlan:
    """What the config's revisions, chain_labels and generators of kind revisions ask for."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._config = plan, plan.config

    def trajectories(self, name: str) -> str:
        """Specification of a table of trajectories."""
        entry = self._config.revisions[name]
        return canonical(
            TrajectoriesSpec(
                name=name,
                trajectories=entry,
                policy=self._plan.models.policy(entry.policy),
                grader=self._config.datasets[entry.problems].grader,
                seed=self._config.seed,
                version=TRAJECTORIES_VERSION,
            )
        )

    def trajectories_inputs(self, name: str) -> list[str]:
        """The problems, then the policy's files or folder."""
        return self._inputs(self._config.revisions[name].problems, self._config.revisions[name].policy)

    def chain_labels(self, name: str) -> str:
        """Specification of the labels of chains."""
        entry = self._config.chain_labels[name]
        return canonical(
            ChainLabelsSpec(
                name=name,
                chains=entry,
                policy=self._plan.models.policy(entry.policy),
                grader=self._config.datasets[entry.problems].grader,
                seed=self._config.seed,
                version=CHAIN_LABELS_VERSION,
            )
        )

    def chain_labels_inputs(self, name: str) -> list[str]:
        """The problems, then the policy's files or folder."""
        return self._inputs(self._config.chain_labels[name].problems, self._config.chain_labels[name].policy)

    def revise(self, policy: str, generator: str) -> str:
        """Specification of a table of chains."""
        return canonical(
            ReviseSpec(
                policy=self._plan.models.writer(policy),
                generator=self._chains(generator).model_copy(
                    # What is scored and compared does not change what is written.
                    update={"only": None, "verifiers": None}
                ),
                seed=self._config.seed,
                version=REVISE_VERSION,
            )
        )

    def select(self, policy: str, generator: str, length: int) -> str:
        """Specification of the credits of chains of one length."""
        telling = any(pool.generator == generator for pool in ChoicePlan(self._plan).judged())
        budgets = self._chains(generator).budgets(length)
        return self._plan.select_from(policy, generator, "revisions", budgets, length, halves=telling)

    def table(self) -> list[str]:
        """The table of what becomes of answers along the chains, where there are any."""
        return [self._plan.paths.at(TABLE, table="revisions.csv")] if self._plan.pools.chains() else []

    def rates_inputs(self) -> list[str]:
        """Candidates and grades of every pool, in the order of the specification."""
        paths, pools = self._plan.paths, self._plan.pools.chains()
        return [path for pool in pools for path in paths.of(pool, CANDIDATES, GRADES)]

    def rates(self) -> str:
        """Specification of that table."""
        config = self._config
        return canonical(
            RevisionRatesSpec(
                experiment=config.experiment,
                pools=tuple(ChainsOfPool(**pool._asdict()) for pool in self._plan.pools.chains()),
                draws=config.bootstrap.draws,
                level=config.bootstrap.level,
                seed=config.seed,
                code=code_digest("isoflop.stages.revision_rates"),
            )
        )

    def _chains(self, generator: str) -> Revisions:
        return self._config.chains[generator]

    def _inputs(self, problems: str, policy: str) -> list[str]:
        return [self._plan.paths.at(PROBLEMS, dataset=problems), *self._plan.models.policy_files(policy)]
