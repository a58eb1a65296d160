"""The bridge from the config to the workflow: which jobs there are, and the specification of each."""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel

from isoflop.config.base import FileSource, Greedy, Import, Sampling
from isoflop.config.checks import is_local, made_pools
from isoflop.config.models import AnyVerifier, ImportedVerifier, Policy, Running
from isoflop.config.revisions import Revisions
from isoflop.config.search import TreeSearch
from isoflop.config.study import Config, config_yaml
from isoflop.config.training import SolutionData, TrainingConfig
from isoflop.files import local_files
from isoflop.fits.curves import CreditsInput, FitSpec
from isoflop.pipeline.code_digest import code_digest, file_digest
from isoflop.pipeline.shards import shard_names, shard_pattern
from isoflop.registries import SELECTORS, STEP_AGGREGATIONS
from isoflop.report.spec import (
    FIGURE_FORMATS,
    PROGRAM_TABLES,
    PUBLISHED_TABLES,
    SEARCH_TABLES,
    TABLES,
    Headline,
    PublishedTables,
    PublishSpec,
    family_members,
    figure_names,
    judgements,
)
from isoflop.search.registry import nominal_samples
from isoflop.selection.pool import SelectSpec
from isoflop.specs import (
    LABEL_VERSION,
    PROBLEMS_VERSION,
    SAMPLE_VERSION,
    SCORE_VERSION,
    SEARCH_VERSION,
    TRAIN_VERSION,
    GatherSpec,
    GradeSpec,
    LabelSpec,
    ProblemsSpec,
    ReplaySpec,
    SampleSpec,
    ScoreSpec,
    SearchSpec,
    TrainSpec,
)

_Model = TypeVar("_Model", Policy, Running)

_GRADERS = 4

# What no result depends on, by the engine that it is for.
_MACHINE = {"vllm": ("gpus", "memory_share"), "server": ("server",)}

# A model's card and pictures say nothing to the model.
_NOT_THE_MODEL = (".md", ".png", ".svg")


class Pool(NamedTuple):
    """One table of candidates: a policy's, by one generator, on one data set."""

    dataset: str
    policy: str
    generator: str


def canonical(spec: BaseModel) -> str:
    """One text per specification: JSON with sorted keys, without spaces, in ASCII.

    Defaults are left out, so that a new key of the config repeats nothing.
    """
    content = spec.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


class Plan:
    """The jobs of one experiment. Folders that the config names are looked for under `root`.

    Methods named after a stage give the canonical specification of one of its jobs.
    """

    def __init__(self, config: Config, root: Path = Path()) -> None:
        self.config = config
        self.results = f"results/{config.experiment}"
        self._root = root

    def pools(self) -> list[Pool]:
        """Every table of candidates of the study."""
        return [Pool(*pool) for pool in made_pools(self.config)] if self.config.studies else []

    def replays(self) -> list[Pool]:
        """The tables of candidates that are imported."""
        return [pool for pool in self.pools() if pool.generator in self.config.imports]

    def sampled(self) -> list[str]:
        """The generators that sample."""
        others = self.config.imports | self.config.searches | self.config.chains
        return [name for name in self.config.generators if name not in others]

    def picked(self) -> list[Pool]:
        """What answers are picked from: every pool, one of chains at each length (`revisions/4`)."""
        chains = self.config.chains
        return [
            pool._replace(generator=name)
            for pool in self.pools()
            for name in (
                [f"{pool.generator}/{length}" for length in chains[pool.generator].compared]
                if pool.generator in chains
                else [pool.generator]
            )
        ]

    def search(self, policy: str, generator: str, budget: int) -> str:
        """Specification of one search at one budget."""
        entry = self.config.searches[generator]
        (verifier,) = self.pool_verifiers(generator)
        content = entry.model_dump(exclude_defaults=True)
        content |= {"budgets": (budget,), "verifier": None, "only": None}
        return canonical(
            SearchSpec(
                policy=self.located(self.config.policies[policy]),
                verifier=self._running(verifier),
                generator=type(entry).model_validate(content),
                seed=self.config.seed,
                version=SEARCH_VERSION,
            )
        )

    def search_models(self, policy: str, generator: str) -> list[str]:
        """Files and folders of the policy and of the verifier that guides it."""
        (verifier,) = self.pool_verifiers(generator)
        return _distinct([*self.policy_files(policy), *self.verifier_files(verifier)])

    def budgets(self, policy: str, generator: str) -> tuple[int, ...]:
        """The budgets at which a policy has a generator's candidates."""
        entry = self.config.generators[generator]
        whole = entry.budgets if isinstance(entry, TreeSearch) else self.config.budgets
        only = None if isinstance(entry, Import) else entry.only
        return whole if only is None else only.cap(policy, whole)

    def gather(self, policy: str, generator: str) -> str:
        """Specification of one search's candidate set."""
        budgets = self.budgets(policy, generator)
        return canonical(GatherSpec(budgets=budgets, code=code_digest("isoflop.stages.gather")))

    def parts(self, stage: str, *names: str) -> list[str]:
        """Every shard's part of a table of a stage and its ledger, in the order of the shards."""
        base = "/".join((self.results, stage, *names))
        settings = self.config.engine_settings
        return [
            f"{base}{name}.{ending}"
            for name in shard_names(self.config.shards, settings.chunk_problems)
            for ending in ("parquet", "ledger.json")
        ]

    def shard_pattern(self) -> str:
        """A pattern for what follows the stem of a table in the name of its parts."""
        return shard_pattern(self.config.shards, self.config.engine_settings.chunk_problems)

    def trees(self, dataset: str, policy: str, generator: str) -> list[str]:
        """Trees and ledger of a search at every budget, in the order of gather's specification."""
        return [
            f"{self.results}/search/{dataset}/{policy}/{generator}/{budget}.{ending}"
            for budget in self.budgets(policy, generator)
            for ending in ("parquet", "ledger.json")
        ]

    def gathered(self, pool: Pool) -> list[str]:
        """Candidates, scores and ledgers of a search, and its usage."""
        base = f"{self.results}/sample/{'/'.join(pool)}"
        return [f"{base}.parquet", f"{base}.ledger.json", *self.scores(*pool), self.usage(*pool)]

    def usage(self, dataset: str, policy: str, generator: str) -> str:
        """What the select stage reads costs from: the sampling's ledger, or a search's table of usage."""
        ending = "usage.parquet" if generator in self.config.searches else "ledger.json"
        return f"{self.results}/sample/{dataset}/{policy}/{generator}.{ending}"

    def searches(self) -> list[Pool]:
        """The candidate sets that searches make."""
        return [pool for pool in self.pools() if pool.generator in self.config.searches]

    def pool_verifiers(self, generator: str) -> tuple[str, ...]:
        """The verifiers that score what a generator makes; none where there is nothing to pick."""
        entry = self.config.generators[generator]
        if isinstance(entry, Import):
            return () if entry.verifier is None else (entry.verifier,)
        if isinstance(entry, TreeSearch):
            return (entry.verifier or next(iter(self.config.verifiers)),)
        if isinstance(entry, Greedy):
            return ()
        if entry.verifiers is not None:
            return entry.verifiers
        return tuple(name for name, verifier in self.config.verifiers.items() if verifier.runs)

    def replay(self, policy: str, generator: str) -> str:
        """Specification of a table of imported candidates: of one policy's sources."""
        entry = self.config.imports[generator]
        own = tuple(source for source in entry.sources if source.policy == policy)
        return canonical(
            ReplaySpec(
                generator=entry.model_copy(update={"sources": own}),
                policy=self.writer(policy),
                verifier=self._imported(entry.verifier) if entry.verifier else None,
                mirror=self.config.mirror,
                files=tuple(self.replay_files(policy, generator)),
                code=code_digest("isoflop.stages.replay"),
            )
        )

    def replay_files(self, policy: str, generator: str) -> list[str]:
        """Local files that candidates are imported from, and the local tokenizer that counts them."""
        entry = self.config.imports[generator]
        files = [
            str(path.relative_to(self._root) if path.is_relative_to(self._root) else path)
            for source in entry.sources
            if source.repo is None and source.policy == policy
            for file in source.files
            for path in local_files(str(self._root / file.path))
        ]
        if entry.tokenizer is not None and is_local(entry.tokenizer.model, self._root):
            files.append(f"{entry.tokenizer.model}/tokenizer.json")
        return files

    def replay_outputs(self, pool: Pool) -> list[str]:
        """Candidates and ledger of an import, and with a verifier its scores and their ledger."""
        base = f"{self.results}/sample/{'/'.join(pool)}"
        return [f"{base}.parquet", f"{base}.ledger.json", *self.scores(*pool)]

    def targets(self) -> list[str]:
        """What the experiment is for: trained models, and where it studies, all published files."""
        return [*map(self.trained_folder, self.config.training), *self.published(), *self._curve_tables()]

    def figures(self) -> tuple[str, ...]:
        """The names of the study's figures."""
        config = self.config
        return figure_names(
            max(map(len, family_members(self._shown_policies(), self.families()).values()), default=0),
            len(config.searches),
            judgements=judgements(
                self._shown_verifiers(), self._outcome_verifiers(), config.step_aggregations
            ),
            revisions=[len(names) for names in self._revised().values()],
            choice=config.compute_optimal is not None,
            exchange=config.exchange is not None,
        )

    def further_tables(self) -> tuple[str, ...]:
        """The tables that only a study with tree searches, programs or published numbers has."""
        return (
            *(SEARCH_TABLES if self.config.searches else ()),
            *(PROGRAM_TABLES if self._program_datasets() else ()),
            *(PUBLISHED_TABLES if self.config.published else ()),
        )

    def published_files(self) -> list[str]:
        """Files of published numbers."""
        return list(self.config.published.files) if self.config.published else []

    def published(self) -> list[str]:
        """The files that publishing writes."""
        if not self.config.studies:
            return []
        figures = [f"figures/{name}.{ending}" for name in self.figures() for ending in FIGURE_FORMATS]
        tables = (*TABLES, *self.further_tables())
        names = ["report.html", *(f"tables/{name}" for name in tables), *figures]
        return [f"{self.results}/{name}" for name in names]

    def credits(self) -> list[str]:
        """The select stage's tables, in the order of the fit's specification."""
        return [f"{self.results}/select/{'/'.join(pool)}.parquet" for pool in self.picked()]

    def scores(self, dataset: str, policy: str, generator: str) -> list[str]:
        """Score table and ledger of every verifier, in the order of the select stage's specification."""
        return [
            f"{self.results}/score/{dataset}/{policy}/{generator}/{verifier}.{ending}"
            for verifier in self.pool_verifiers(generator)
            for ending in ("parquet", "ledger.json")
        ]

    def evidence(self) -> list[str]:
        """What the report quotes beside the curves: problems, candidates, grades, scores and ledgers."""
        datasets = dict.fromkeys(pool.dataset for pool in self.pools())
        problems = [f"{self.results}/problems/{name}.parquet" for name in datasets]
        tables = [
            f"{self.results}/{stage}/{'/'.join(pool)}.{ending}"
            for pool in self.pools()
            for stage, ending in (("sample", "parquet"), ("sample", "ledger.json"), ("grade", "parquet"))
        ]
        trees = [path for pool in self.searches() for path in self.trees(*pool)]
        scores = [path for pool in self.pools() for path in self.scores(*pool)]
        return [*problems, *tables, *scores, *trees]

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
                grader=self.config.datasets[held_out].grader,
                regenerate=f"snakemake --cores all --configfile configs/{self.config.experiment}.yaml "
                f"{self.trained_folder(model)}",
                version=TRAIN_VERSION,
            )
        )

    def train_data(self, model: str) -> list[str]:
        """The tables that a training learns from and is measured on."""
        data = self.config.training[model].data
        if isinstance(data, SolutionData):
            folder, ending = "problems" if data.revisions is None else "trajectories", ""
        else:
            folder = "label" if data.chain_labels is None else "chain_labels"
            ending = "" if data.history else ".alone"
        return [f"{self.results}/{folder}/{name}{ending}.parquet" for name in (data.learned, data.held_out)]

    def train_start(self, model: str) -> list[str]:
        """The folder of the trained model that a training starts from, if it does."""
        start = self.config.training[model].init.trained
        return [self.trained_folder(start)] if start else []

    def train_files(self, model: str) -> list[str]:
        """Files of the local checkpoint that a training starts from, if it does."""
        return self._folder_files(self.config.training[model].init.model)

    def label(self, label: str) -> str:
        """Specification of a table of step labels."""
        entry = self.config.labels[label]
        return canonical(
            LabelSpec(
                name=label,
                label=entry,
                policies={
                    name: self.located(self.config.policies[name]) for name in self._label_policies(label)
                },
                grader=self.config.datasets[entry.problems].grader,
                seed=self.config.seed,
                version=LABEL_VERSION,
            )
        )

    def label_problems(self, label: str) -> str:
        """The problems whose solutions are labelled."""
        return f"{self.results}/problems/{self.config.labels[label].problems}.parquet"

    def label_models(self, label: str) -> list[str]:
        """Files and folders of the models that write and continue the solutions."""
        entries = (self.config.policies[name] for name in self._label_policies(label))
        return _distinct(path for entry in entries for path in self._model_files(entry))

    def sample(self, policy: str, generator: str) -> str:
        """Specification of a table of candidates."""
        entry = self.config.generators[generator]
        assert isinstance(entry, Greedy | Sampling)  # the rule's wildcards hold no other kind
        own: dict[str, object] = {"only": None}
        if isinstance(entry, Sampling):
            most = (entry.only.at_most if entry.only else None) or {}
            own |= {"verifiers": None, "samples": min(entry.samples, most.get(policy, entry.samples))}
        return canonical(
            SampleSpec(
                policy=self.writer(policy),
                generator=entry.model_copy(update=own),
                seed=self.config.seed,
                version=SAMPLE_VERSION,
            )
        )

    def policy_files(self, policy: str) -> list[str]:
        """Files or folder of a policy's checkpoint; none for a hub model."""
        return self._model_files(self.config.policies[policy])

    def score(self, policy: str, verifier: str) -> str:
        """Specification of a table of scores."""
        return canonical(
            ScoreSpec(
                verifier=self._running(verifier),
                step_tag=self.config.policies[policy].step_tag,
                version=SCORE_VERSION,
            )
        )

    def verifier_files(self, verifier: str) -> list[str]:
        """Files or folder of a verifier's checkpoint; none for a hub model."""
        return self._model_files(self.config.verifiers[verifier])

    def grade(self, dataset: str, policy: str) -> str:
        """Specification of a table of grades."""
        return canonical(
            GradeSpec(
                grader=self.config.datasets[dataset].grader,
                step_tag=self.config.policies[policy].step_tag,
                code=code_digest("isoflop.stages.grade"),
            )
        )

    def graders(self, dataset: str) -> int:
        """How many processes comparing a data set's answers keeps busy."""
        return 1 if self.config.datasets[dataset].grader == "number" else _GRADERS

    def select(self, policy: str, generator: str) -> str:
        """Specification of a table of credits; what is not picked from depends on no selector."""
        config = self.config
        entry = config.generators[generator]
        if isinstance(entry, Greedy):
            code = code_digest("isoflop.stages.select")
            return canonical(SelectSpec(seed=config.seed, generator_kind="greedy", code=code))
        kind: Literal["search", "import", "sampling"] = "sampling"
        if isinstance(entry, TreeSearch | Import):
            kind = "search" if isinstance(entry, TreeSearch) else "import"
        telling = config.difficulty is not None and config.difficulty.generator == generator
        return self.select_from(generator, kind, self.budgets(policy, generator), halves=telling)

    def select_from(
        self,
        generator: str,
        kind: Literal["sampling", "import", "search", "revisions"],
        budgets: tuple[int, ...],
        length: int | None = None,
        *,
        halves: bool,
    ) -> str:
        """Specification of a table of credits of what leaves something to pick.

        `length`: of chains. `halves`: the pool tells difficulty.
        """
        config = self.config
        return canonical(
            SelectSpec(
                budgets=budgets,
                selectors=config.selectors,
                step_aggregations=config.step_aggregations,
                verifiers=self.pool_verifiers(generator),
                outcome_verifiers=tuple(
                    name for name in self.pool_verifiers(generator) if config.verifiers[name].outcome
                ),
                seed=config.seed,
                generator_kind=kind,
                length=length,
                halves=halves,
                code=code_digest("isoflop.stages.select"),
                plugins=self._plugins(),
            )
        )

    def _plugins(self) -> dict[str, str]:
        """Digests of the files that define what picks and comes from other packages, by its name."""
        config = self.config
        asked = ((SELECTORS, config.selectors), (STEP_AGGREGATIONS, config.step_aggregations))
        sources = {name: registry.source(name) for registry, names in asked for name in names}
        return {name: file_digest(path) for name, path in sources.items() if path is not None}

    def fit(self) -> str:
        """Specification of the curves and fits."""
        config = self.config
        return canonical(
            FitSpec(
                experiment=config.experiment,
                inputs=tuple(
                    CreditsInput(**pool._asdict(), tokens_estimated=self._estimated(pool.generator))
                    for pool in self.picked()
                ),
                families=self.families(),
                searches=tuple(config.searches),
                draws=config.bootstrap.draws,
                level=config.bootstrap.level,
                seed=config.seed,
                code=code_digest("isoflop.stages.fit"),
            )
        )

    def publish(self) -> str:
        """Specification of the tables, figures and report."""
        config = self.config
        assert config.headline is not None  # checked for every config that studies
        return canonical(
            PublishSpec(
                experiment=config.experiment,
                title=config.title or config.experiment,
                datasets=config.studied_datasets,
                policies=self._shown_policies(),
                families=self.families(),
                generators=tuple(name for name in config.generators if name not in config.chains),
                searches={name: entry.kind for name, entry in config.searches.items()},
                generations={
                    name: count
                    for name, entry in config.searches.items()
                    if (count := nominal_samples(entry, 1)) > 1
                },
                program_datasets=self._program_datasets(),
                choice=config.compute_optimal is not None,
                exchange=config.exchange is not None,
                verifiers=self._shown_verifiers(),
                revisions=self._revised(),
                outcome_verifiers=self._outcome_verifiers(),
                step_aggregations=config.step_aggregations,
                headline=Headline(**config.headline.model_dump()),
                margin=config.claims.margin,
                level=config.bootstrap.level,
                tokens_estimated=any(map(self._estimated, config.generators)),
                assumed_policies=tuple(name for name, one in config.policies.items() if one.assumed),
                assumed_verifiers=tuple(name for name, one in config.verifiers.items() if one.assumed),
                published=PublishedTables(**config.published.model_dump()) if config.published else None,
                config_yaml=config_yaml(config),
                pools=tuple((pool.dataset, pool.policy, pool.generator) for pool in self.pools()),
                seed=config.seed,
                code=code_digest("isoflop.stages.publish", "report/templates"),
            )
        )

    def families(self) -> dict[str, str]:
        """The family of every policy."""
        return {name: entry.family for name, entry in self.config.policies.items()}

    def _estimated(self, generator: str) -> bool:
        entry = self.config.imports.get(generator)
        return entry is not None and entry.tokenizer is None

    def _curve_tables(self) -> list[str]:
        names = ("curves.csv", "fits.csv", "differences.csv", "plan.csv", "plan.md")
        return [f"{self.results}/tables/{name}" for name in names if self.config.studies]

    def _program_datasets(self) -> tuple[str, ...]:
        """The studied data sets of programs that REBASE searches."""
        config = self.config
        searched = {
            pool.dataset for pool in self.searches() if config.searches[pool.generator].kind == "rebase"
        }
        return tuple(
            name
            for name in config.studied_datasets
            if name in searched and config.datasets[name].grader == "code"
        )

    def _shown_policies(self) -> tuple[str, ...]:
        """The policies of the figures: not those that only revise, or only answer greedily."""
        aside = (Greedy, Revisions)
        shown = {
            one.policy for one in self.pools() if not isinstance(self.config.generators[one.generator], aside)
        }
        return tuple(name for name in self.config.policies if name in shown)

    def _shown_verifiers(self) -> tuple[str, ...]:
        """The verifiers of the figures: not those that only judge chains of revisions."""
        generators = (name for name in self.config.generators if name not in self.config.chains)
        scoring = {verifier for name in generators for verifier in self.pool_verifiers(name)}
        return tuple(name for name in self.config.verifiers if name in scoring)

    def _revised(self) -> dict[str, tuple[str, ...]]:
        """The verifiers of every generator of chains that some policy has."""
        made = {pool.generator for pool in self.pools()}
        return {name: self.pool_verifiers(name) for name in self.config.chains if name in made}

    def _outcome_verifiers(self) -> tuple[str, ...]:
        """The verifiers that score whole solutions."""
        return tuple(name for name, verifier in self.config.verifiers.items() if verifier.outcome)

    def _measured_on(self, training: TrainingConfig) -> str:
        """The data set whose problems a training's held-out examples come from."""
        config, data, name = self.config, training.data, training.data.held_out
        if isinstance(data, SolutionData):
            return name if data.revisions is None else config.revisions[name].problems
        return (
            config.labels[name].problems if data.chain_labels is None else config.chain_labels[name].problems
        )

    def trained_folder(self, name: str) -> str:
        """The folder that a training writes."""
        return f"{self.results}/train/{name}"

    def _label_policies(self, label: str) -> list[str]:
        entry = self.config.labels[label]
        return _distinct([*entry.policies, entry.completer])

    def gpus(self, policies: Iterable[str] = (), verifiers: Iterable[str] = ()) -> int:
        """How many GPUs a job with these models has a use for; engine transformers needs none."""
        entries = [self.config.policies[name] for name in policies]
        judges = [self.config.verifiers[name] for name in verifiers]
        return sum(
            entry.gpus
            for entry in (*entries, *judges)
            if not isinstance(entry, ImportedVerifier) and entry.engine == "vllm"
        )

    def training_gpus(self, model: str, usual: int) -> int:
        """How many GPUs a training takes: `usual`, unless it is to be shared out over several."""
        gpus = self.config.training[model].gpus
        return gpus if gpus > 1 else usual

    def label_gpus(self, label: str) -> int:
        """How many GPUs the models that write and continue solutions have a use for."""
        return self.gpus(self._label_policies(label))

    def wants_gpus(self) -> bool:
        """Whether any job can have a use for a GPU."""
        config = self.config
        return bool(config.training) or self.gpus(config.policies, config.verifiers) > 0

    def machine(self) -> str:
        """What models may use of a machine or network, by checkpoint, as JSON; no result depends on it."""
        known: dict[str, dict[str, Any]] = {}
        for entry in (*self.config.policies.values(), *self.config.verifiers.values()):
            if isinstance(entry, ImportedVerifier) or entry.engine not in _MACHINE or not entry.runs:
                continue
            folder = self.trained_folder(entry.trained) if entry.trained else entry.model
            key = entry.model_copy(update={"model": folder}).checkpoint
            settings = entry.model_dump(mode="json", include=set(_MACHINE[entry.engine]))
            known.setdefault(key, {}).update(settings)
        return json.dumps(known, sort_keys=True)

    def _running(self, name: str) -> Running:
        entry = self.config.verifiers[name]
        assert not isinstance(entry, ImportedVerifier)  # only those that run are given work
        return self.located(entry)

    def _imported(self, name: str) -> ImportedVerifier:
        entry = self.config.verifiers[name]
        assert isinstance(entry, ImportedVerifier)  # checked with the config
        return entry

    def located(self, entry: _Model) -> _Model:
        """The entry as specifications have it: with its folder, where it is trained here."""
        folder: dict[str, str | None] = {}
        if entry.trained is not None:
            folder = {"model": self.trained_folder(entry.trained), "trained": None}
        # What no result depends on goes another way (machine, pools).
        fields = type(entry).model_fields
        keys = (*itertools.chain.from_iterable(_MACHINE.values()), "datasets", "family")
        defaults = {key: fields[key].default for key in keys if key in fields}
        return entry.model_copy(update=folder | defaults)

    def writer(self, policy: str) -> Policy:
        """A policy that only writes: what it writes depends on no tag that is taken out later."""
        return self.located(self.config.policies[policy]).model_copy(update={"step_tag": None})

    def _model_files(self, entry: Policy | AnyVerifier) -> list[str]:
        """What a changed checkpoint is noticed by: its files, or the folder that training writes."""
        return [self.trained_folder(entry.trained)] if entry.trained else self._folder_files(entry.model)

    def _folder_files(self, model: str | None) -> list[str]:
        if model is None or not is_local(model, self._root):
            return []
        return sorted(
            f"{model.rstrip('/')}/{path.relative_to(self._root / model).as_posix()}"
            for path in (self._root / model).rglob("*")
            if path.is_file() and not path.name.startswith(".") and path.suffix not in _NOT_THE_MODEL
        )


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
