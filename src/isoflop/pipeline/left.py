"""What is still to be computed of an experiment's tables that models make, job by job."""

from functools import cache
from pathlib import Path

from isoflop.config.datasets import CountedSource, FileSource, WordproblemsSource
from isoflop.data.loading import load_file, load_repository, load_wordproblems
from isoflop.files import Problem, read_prompts
from isoflop.growth.left import Left, left_of, scores_left
from isoflop.growth.wanted import chain_rows, sample_rows, score_rows, tree_rows
from isoflop.pipeline.paths import CANDIDATES, PROBLEMS, SCORES, TREES
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_revisions import RevisionPlan
from isoflop.pipeline.pools import Pool
from isoflop.specs import ReviseSpec, SampleSpec, ScoreSpec, SearchSpec


class WorkLeft:
    """What is missing of every table of an experiment, where its problems are known.

    `root`: the folder that results and models are under.
    """

    def __init__(self, plan: Plan, root: Path) -> None:
        self._plan, self._root = plan, root
        self.problems = cache(self._problems)
        self.candidates = cache(self._candidates)

    def of_all(self) -> dict[str, Left]:
        """Of all tables together, by stage; those that nobody knows the problems of are left out."""
        plan, found = self._plan, dict[str, list[Left | None]]()
        for pool in plan.pools.all():
            if pool.generator in plan.config.searches:
                budgets = plan.pools.budgets(pool.policy, pool.generator)
                found.setdefault("search", []).extend(self.searches(pool, budget) for budget in budgets)
            elif pool.generator not in plan.config.imports:
                stage = "revise" if pool.generator in plan.config.chains else "sample"
                verifiers = plan.pools.verifiers(pool.generator)
                found.setdefault(stage, []).append(self.candidates(pool))
                found.setdefault("score", []).extend(self.scores(pool, name) for name in verifiers)
        return {
            stage: Left(sum(one.rows for one in known), sum(one.missing for one in known))
            for stage, parts in found.items()
            if (known := [one for one in parts if one is not None])
        }

    def searches(self, pool: Pool, budget: int) -> Left | None:
        """Of the searches of a pool at a budget."""
        problems = self.problems(pool.dataset)
        if problems is None:
            return None
        spec = SearchSpec.model_validate_json(self._plan.search(pool.policy, pool.generator, budget))
        return left_of(tree_rows(spec, self._root), problems, self._at(TREES, pool, budget=budget))

    def scores(self, pool: Pool, verifier: str) -> Left | None:
        """Of a verifier's scores of a pool's candidates."""
        candidates = self.candidates(pool)
        if candidates is None:
            return None
        spec = ScoreSpec.model_validate_json(self._plan.score(pool.policy, verifier))
        table = self._at(SCORES, pool, verifier=verifier)
        return scores_left(score_rows(spec, self._root), candidates, table)

    def _candidates(self, pool: Pool) -> Left | None:
        """Of a pool of samples or chains."""
        problems = self.problems(pool.dataset)
        if problems is None:
            return None
        table = self._at(CANDIDATES, pool)
        if pool.generator in self._plan.config.chains:
            text = RevisionPlan(self._plan).revise(pool.policy, pool.generator)
            return left_of(chain_rows(ReviseSpec.model_validate_json(text), self._root), problems, table)
        spec = SampleSpec.model_validate_json(self._plan.sample(pool.policy, pool.generator))
        return left_of(sample_rows(spec, self._root), problems, table)

    def _problems(self, dataset: str) -> list[Problem] | None:
        """A data set's problems: as they are made or read, else those of its table."""
        config = self._plan.config
        entry = config.datasets[dataset]
        if isinstance(entry, WordproblemsSource):
            loaded = load_wordproblems(entry)[0]
        elif isinstance(entry, FileSource):
            loaded = load_file(entry)[0]
        elif isinstance(entry, CountedSource):
            return None
        elif config.mirror is not None:
            loaded = load_repository(entry, Path(config.mirror))[0]
        else:
            table = self._root / self._plan.paths.at(PROBLEMS, dataset=dataset)
            return read_prompts(table) if table.is_file() else None
        return [(problem.problem_id, problem.prompt) for problem in loaded]

    def _at(self, pattern: str, pool: Pool, **names: object) -> Path:
        return self._root / self._plan.paths.at(pattern, **pool._asdict(), **names)
