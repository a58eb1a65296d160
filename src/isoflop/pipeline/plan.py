"""The bridge from the config to the workflow: the jobs that there are, and the specification of each.

What a study publishes, its revisions and its choices by difficulty are plans of their own beside this one.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from isoflop.config.check_models import is_local
from isoflop.config.datasets import FileSource
from isoflop.config.generators import Greedy, Sampling, TreeSearch
from isoflop.config.imports.entries import Import
from isoflop.config.study import Config
from isoflop.config.training import SolutionData, TrainingConfig
from isoflop.files import local_files
from isoflop.fits.curves import CreditsInput, FitSpec
from isoflop.pipeline.code_digest import code_digest, plugins
from isoflop.pipeline.models import Models
from isoflop.pipeline.paths import (
    CHAIN_LABELS,
    CHAIN_LABELS_ALONE,
    LABELS,
    PROBLEMS,
    TRAJECTORIES,
    Paths,
)
from isoflop.pipeline.pools import Pools
from isoflop.registries import (
    COST_MODELS,
    GRADERS,
    IMPORT_FORMATS,
    SEARCHES,
    SELECTORS,
    STEP_AGGREGATIONS,
    VERIFIERS,
    Registry,
)
from isoflop.selection.pool import SelectSpec
from isoflop.specs import (
    LABEL_VERSION,
    PROBLEMS_VERSION,
    SAMPLE_VERSION,
    SCORE_VERSION,
    SEARCH_VERSION,
    TRAIN_VERSION,
    GatherTreesSpec,
    GradeSpec,
    ProblemsSpec,
    ReplayedVerifier,
    ReplaySpec,
    SampleSpec,
    ScoreSpec,
    SearchSpec,
    StepLabelsSpec,
    TrainSpec,
    canonical,
)

_GRADERS = 4


class Plan:
    """The jobs of one experiment. Folders that the config names are looked for under `root`.

    Methods named after a stage give the canonical specification of one of its jobs. `pools`, `paths` and
    `models`: the tables of candidates, the files, the models.
    """

    def __init__(self, config: Config, root: Path = Path()) -> None:
        self.config = config
        self.pools = Pools(config)
        self.paths = Paths(config, self.pools)
        self.models = Models(config, self.paths, root)
        self.results = self.paths.results
        self._root = root

    def problems(self, dataset: str) -> str:
        """Specification of a data set."""
        entry = self.config.datasets[dataset]
        return canonical(ProblemsSpec(dataset=entry, mirror=self.config.mirror, version=PROBLEMS_VERSION))

    def problems_files(self, dataset: str) -> list[str]:
        """Local files that a data set is read from."""
        entry = self.config.datasets[dataset]
        return [entry.path] if isinstance(entry, FileSource) else []

    def train(self, model: str) -> str:
        """Specification of a training."""
        training = self.config.training[model]
        held_out = self._measured_on(training)
        return canonical(
            TrainSpec(
                name=model,
                training=training,
                **self.grading(held_out),
                regenerate=f"snakemake --cores all --configfile configs/{self.config.experiment}.yaml "
                f"{self.paths.trained(model)}",
                version=TRAIN_VERSION,
            )
        )

    def train_data(self, model: str) -> list[str]:
        """The tables that a training learns from and is measured on."""
        data = self.config.training[model].data
        names = (data.learned, data.held_out)
        if isinstance(data, SolutionData):
            if data.revisions is not None:
                return [self.paths.at(TRAJECTORIES, trajectories=name) for name in names]
            return [self.paths.at(PROBLEMS, dataset=name) for name in names]
        if data.chain_labels is not None:
            labels = CHAIN_LABELS if data.history else CHAIN_LABELS_ALONE
            return [self.paths.at(labels, chain_labels=name) for name in names]
        return [self.paths.at(LABELS, label=name) for name in names]

    def train_start(self, model: str) -> list[str]:
        """The folder of the trained model that a training starts from, if it does."""
        start = self.config.training[model].init.trained
        return [self.paths.trained(start)] if start else []

    def train_files(self, model: str) -> list[str]:
        """Files of the local checkpoint that a training starts from, if it does."""
        return self.models.folder_files(self.config.training[model].init.model)

    def training_gpus(self, model: str, usual: int) -> int:
        """How many GPUs a training takes: `usual`, unless it is to be shared out over several."""
        gpus = self.config.training[model].gpus
        return gpus if gpus > 1 else usual

    def step_labels(self, label: str) -> str:
        """Specification of a table of step labels."""
        entry = self.config.labels[label]
        return canonical(
            StepLabelsSpec(
                name=label,
                label=entry,
                policies={name: self.models.policy(name) for name in self._label_policies(label)},
                **self.grading(entry.problems),
                seed=self.config.seed,
                version=LABEL_VERSION,
            )
        )

    def label_problems(self, label: str) -> str:
        """The problems whose solutions are labelled."""
        return self.paths.at(PROBLEMS, dataset=self.config.labels[label].problems)

    def label_models(self, label: str) -> list[str]:
        """Files and folders of the models that write and continue the solutions."""
        return self.models.all_files(self._label_policies(label))

    def label_gpus(self, label: str) -> int:
        """How many GPUs the models that write and continue solutions have a use for."""
        return self.models.gpus(self._label_policies(label))

    def sample(self, policy: str, generator: str) -> str:
        """Specification of a table of candidates."""
        entry = self.config.generators[generator]
        assert isinstance(entry, Greedy | Sampling)  # the rule's wildcards hold no other kind
        changes: dict[str, object] = {"only": None}
        if isinstance(entry, Sampling):
            changes |= {"verifiers": None, "samples": self.pools.samples(policy, entry)}
        return canonical(
            SampleSpec(
                policy=self.models.writer(policy),
                generator=entry.model_copy(update=changes),
                seed=self.config.seed,
                version=SAMPLE_VERSION,
            )
        )

    def search(self, policy: str, generator: str, budget: int) -> str:
        """Specification of one search at one budget."""
        entry = self.config.searches[generator]
        (verifier,) = self.pools.verifiers(generator)
        content = entry.model_dump(exclude_defaults=True)
        content |= {"budgets": (budget,), "verifier": None, "only": None}
        guide = self.models.running(verifier)
        return canonical(
            SearchSpec(
                policy=self.models.policy(policy),
                verifier=guide,
                generator=type(entry).model_validate(content),
                seed=self.config.seed,
                version=SEARCH_VERSION,
                plugins=plugins((SEARCHES, (entry.kind,)), (VERIFIERS, (guide.kind,))),
            )
        )

    def search_models(self, policy: str, generator: str) -> list[str]:
        """Files and folders of the policy and of the verifier that guides it."""
        return self.models.all_files([policy], self.pools.verifiers(generator))

    def gather_trees(self, policy: str, generator: str) -> str:
        """Specification of one search's candidate set."""
        budgets = self.pools.budgets(policy, generator)
        return canonical(GatherTreesSpec(budgets=budgets, code=code_digest("isoflop.stages.gather_trees")))

    def replay(self, policy: str, generator: str) -> str:
        """Specification of a table of imported candidates: of one policy's sources."""
        entry = self.config.imports[generator]
        sources = tuple(source for source in entry.sources if source.policy == policy)
        held: dict[str, object] = {"sources": sources, "at_most": None}
        if entry.budgets is None:
            held["at_least"] = entry.least(policy, self.config.budgets)
        return canonical(
            ReplaySpec(
                generator=entry.model_copy(update=held),
                policy=self.models.writer(policy),
                verifiers=tuple(
                    ReplayedVerifier(
                        name=name, column=entry.scored_by[name], model=self.models.imported(name)
                    )
                    for name in self.pools.verifiers(generator)
                ),
                mirror=self.config.mirror,
                files=tuple(self.replay_files(policy, generator)),
                code=code_digest("isoflop.stages.replay"),
                plugins=plugins((IMPORT_FORMATS, (entry.format,))),
            )
        )

    def replay_files(self, policy: str, generator: str) -> list[str]:
        """Local files that a policy's work is imported from, and the local tokenizer that counts it."""
        entry = self.config.imports[generator]
        files = [
            str(path.relative_to(self._root) if path.is_relative_to(self._root) else path)
            for source in entry.sources
            if source.repo is None and source.policy == policy
            for file in source.files
            if file.path is not None
            for path in local_files(str(self._root / file.path))
        ]
        if entry.tokenizer is not None and is_local(entry.tokenizer.model, self._root):
            files.append(f"{entry.tokenizer.model}/tokenizer.json")
        return files

    def score(self, policy: str, verifier: str) -> str:
        """Specification of a table of scores."""
        judge = self.models.running(verifier)
        return canonical(
            ScoreSpec(
                verifier=judge,
                step_tag=self.config.policies[policy].step_tag,
                version=SCORE_VERSION,
                plugins=plugins((VERIFIERS, (judge.kind,))),
            )
        )

    def grade(self, dataset: str, policy: str, generator: str) -> str:
        """Specification of a table of grades."""
        entry = self.config.imports.get(generator)
        return canonical(
            GradeSpec(
                **self.grading(dataset),
                imported=entry is not None and entry.grades == "imported",
                step_tag=self.config.policies[policy].step_tag,
                code=code_digest("isoflop.stages.grade"),
            )
        )

    def grading(self, dataset: str) -> dict[str, Any]:
        """How a data set's answers are graded: fields of `isoflop.specs.Grading`."""
        entry = self.config.datasets[dataset]
        return {
            "grader": entry.grader,
            "choices": entry.choices,
            "plugins": plugins((GRADERS, (entry.grader,))),
        }

    def graders(self, dataset: str) -> int:
        """How many processes comparing a data set's answers keeps busy."""
        return _GRADERS if GRADERS[self.config.datasets[dataset].grader].slow else 1

    def select(self, policy: str, generator: str) -> str:
        """Specification of a table of credits; what is not picked from depends on no selector."""
        config = self.config
        entry = config.generators[generator]
        if isinstance(entry, Greedy):
            code = code_digest("isoflop.stages.select")
            return canonical(
                SelectSpec(seed=config.seed, generator_kind="greedy", code=code, **self.priced(policy, ()))
            )
        kind: Literal["search", "published_search", "import", "sampling"] = "sampling"
        if isinstance(entry, TreeSearch):
            kind = "search"
        elif isinstance(entry, Import):
            kind = "import" if entry.budgets is None else "published_search"
        telling = config.difficulty is not None and config.difficulty.generator == generator
        return self.select_from(
            policy, generator, kind, self.pools.budgets(policy, generator), halves=telling
        )

    def select_from(
        self,
        policy: str,
        generator: str,
        kind: Literal["sampling", "import", "search", "published_search", "revisions"],
        budgets: tuple[int, ...],
        length: int | None = None,
        *,
        halves: bool,
    ) -> str:
        """Specification of a table of credits of what leaves something to pick.

        `length`: of chains. `halves`: the pool tells difficulty.
        """
        config = self.config
        selectors = self.pools.selectors(generator)
        return canonical(
            SelectSpec(
                budgets=budgets,
                selectors=selectors,
                step_aggregations=config.step_aggregations,
                verifiers=self.pools.verifiers(generator),
                outcome_verifiers=tuple(
                    name for name in self.pools.verifiers(generator) if config.verifiers[name].outcome
                ),
                seed=config.seed,
                generator_kind=kind,
                length=length,
                halves=halves,
                code=code_digest("isoflop.stages.select"),
                **self.priced(
                    policy,
                    self.pools.verifiers(generator),
                    (SELECTORS, selectors),
                    (STEP_AGGREGATIONS, config.step_aggregations),
                ),
            )
        )

    def priced(
        self, policy: str, verifiers: Iterable[str], *asked: tuple[Registry[Any], Iterable[str]]
    ) -> dict[str, Any]:
        """Costs beyond those of every study, what they charge by, and the plugins of these and of `asked`."""
        costs = self.config.further_costs
        terms = self.models.terms(policy, verifiers) if costs else {}
        return {"costs": costs, "terms": terms, "plugins": plugins(*asked, (COST_MODELS, costs))}

    def fit(self) -> str:
        """Specification of the curves and fits."""
        config = self.config
        return canonical(
            FitSpec(
                experiment=config.experiment,
                inputs=tuple(
                    CreditsInput(
                        **pool._asdict(),
                        tokens_estimated=self.estimated(pool.generator),
                        counted=pool.generator in config.counts,
                    )
                    for pool in self.pools.picked()
                ),
                families=self.families(),
                searches=tuple(config.searches),
                thinking=tuple(config.thinking.values()),
                published_searches=self.pools.published_searches(),
                common=config.problems == "common",
                costs=config.further_costs,
                draws=config.bootstrap.draws,
                level=config.bootstrap.level,
                seed=config.seed,
                code=code_digest("isoflop.stages.fit"),
            )
        )

    def families(self) -> dict[str, str]:
        """The family of every policy."""
        return {name: entry.family for name, entry in self.config.policies.items()}

    def estimated(self, generator: str) -> bool:
        """Whether the tokens of a generator's solutions are an estimate.

        Those of a published search are: what it wrote and did not keep is in no file.
        """
        entry = self.config.imports.get(generator)
        return entry is not None and entry.estimates_tokens

    def _label_policies(self, label: str) -> list[str]:
        entry = self.config.labels[label]
        return list(dict.fromkeys([*entry.policies, entry.completer]))

    def _measured_on(self, training: TrainingConfig) -> str:
        """The data set whose problems a training's held-out examples come from."""
        config, data, name = self.config, training.data, training.data.held_out
        if isinstance(data, SolutionData):
            return name if data.revisions is None else config.revisions[name].problems
        return (
            config.labels[name].problems if data.chain_labels is None else config.chain_labels[name].problems
        )
