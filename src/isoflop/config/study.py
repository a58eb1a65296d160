"""The config of one experiment: one typed model.

Files are read and checked by isoflop.config.loading; the JSON schema and the reference page come from the
same model (isoflop.config.docs). Which searches and verifiers there are, it asks their registries.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

import yaml
from pydantic import Field

from isoflop.config.analysis import (
    Bootstrap,
    Claims,
    ComputeOptimal,
    Coverage,
    Difficulty,
    Exchange,
    HeadlineChoice,
    Published,
)
from isoflop.config.base import Count, Entry, Name, Seed, Text
from isoflop.config.datasets import Dataset
from isoflop.config.generators import Greedy, Reach, Revisions, Sampling, TreeSearch
from isoflop.config.imports.entries import Import
from isoflop.config.models import EngineSettings, Policy
from isoflop.config.planning import Planning
from isoflop.config.training import ChainLabelConfig, LabelConfig, TrainingConfig, TrajectoryConfig
from isoflop.config.verifiers import ImportedVerifier, RunningVerifier
from isoflop.registries import (
    CLAIM_COSTS,
    FITTED_COSTS,
    SEARCHES,
    VERIFIERS,
    CostModelName,
    SelectorName,
    StepAggregationName,
    entries,
)

if TYPE_CHECKING:
    Searched = TreeSearch
    Generating = Greedy | Sampling | Revisions | TreeSearch
    Generator = Generating | Import
    Running = RunningVerifier
    Verifier = Running | ImportedVerifier
else:

    def _one_of(*kinds: Any) -> Any:
        return Annotated[Union[kinds], Field(discriminator="kind")]  # noqa: UP007  of as many as there are

    _SEARCHES = entries(SEARCHES, TreeSearch, Greedy, Sampling, Revisions, Import)
    _RUNNING = entries(VERIFIERS, RunningVerifier, ImportedVerifier)
    Searched = _one_of(*_SEARCHES)
    """A tree search."""
    Generating = _one_of(Greedy, Sampling, Revisions, *_SEARCHES)
    """A generator whose candidates are made here."""
    Generator = _one_of(Greedy, Sampling, Revisions, Import, *_SEARCHES)
    """Any generator."""
    Running = _one_of(*_RUNNING)
    """A verifier that runs here."""
    Verifier = _one_of(*_RUNNING, ImportedVerifier)
    """Any verifier."""

# What no result depends on.
_NO_RESULT: dict[str, Any] = {
    "shards": True,
    "engine_settings": True,
    "planning": True,
    "policies": {"__all__": {"server"}},
    "verifiers": {"__all__": {"convention"}},
}
# Keys that are told where they are given, so that reports of older studies keep their bytes.
_IF_GIVEN = ("gguf_file", "package", "sha256")

Shards = Annotated[int, Field(ge=1, le=1000)]


class Config(Entry):
    """One experiment."""

    experiment: Name
    """Name of the experiment; everything it makes is under `results/<experiment>/`."""
    title: Text | None = None
    """Title of the report; the experiment's name if left out."""
    seed: Seed
    """With the identifiers of problems and samples, it fixes every random choice."""
    mirror: Text | None = None
    """Folder with copies of hub files, for machines without a network."""
    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    """Problems, by name; `source` says where they come from. Those of training and labels are not sampled."""
    policies: dict[Name, Policy] = Field(default_factory=dict)
    """Models that write solutions, by name; from small to large, which is the order of the figures."""
    verifiers: dict[Name, Verifier] = Field(default_factory=dict)
    """Models that score solutions, by name; the first is the headline's."""
    generators: dict[Name, Generator] = Field(default_factory=dict)
    """How candidates come about, by name. Without any, the experiment only trains models."""
    budgets: tuple[Count, ...] = ()
    """Numbers of samples, strictly increasing, none above the pool of any sampling generator."""
    problems: Literal["same", "common"] = "same"
    """Where pools differ in their problems, as imports may: `same` refuses that; `common` makes curves over
    the problems that all pools of a data set have, and the report says how many each has."""
    selectors: tuple[SelectorName, ...] = ()
    """How one answer is picked; `weighted` and `best_of_n` need a verifier, `confidence` and
    `confidence_weighted` samples with log-probabilities, which imported ones lack; `pass` is the oracle."""
    step_aggregations: tuple[StepAggregationName, ...] = ()
    """How step scores become a solution's score, for the selectors that use a verifier."""
    headline: HeadlineChoice | None = None
    """The one strategy of the headline figures and sentences; needed unless the experiment only trains."""
    costs: Annotated[tuple[CostModelName, ...], Field(min_length=1)] = CLAIM_COSTS
    """Cost models that the papers' claims are tested under and gains are priced in; the headline's is added.
    Curves are always measured in tokens, seconds and FLOPs; `dollars` needs prices of every policy and
    verifier, `kv_bytes` the width of the policies' keys and values."""
    thinking: dict[Name, Annotated[tuple[Name, ...], Field(min_length=2)]] = Field(default_factory=dict)
    """Models that think, by name, and for each the policies that are this model at rising lengths of thought:
    `{gpt-5.1: [gpt-5.1-low, gpt-5.1-high]}`. Thinking longer is compared with voting more, at equal cost."""
    published: Published | None = None
    """Published numbers to put beside the measured ones."""
    difficulty: Difficulty | None = None
    """Bins of difficulty; what `compute_optimal` chooses by."""
    compute_optimal: ComputeOptimal | None = None
    """The choice of strategies by difficulty; needs `difficulty`."""
    exchange: Exchange | None = None
    """Small models with test-time compute against larger ones; needs `compute_optimal`."""
    coverage: Coverage = Coverage()
    """What is made of counts of right samples."""
    bootstrap: Bootstrap = Bootstrap()
    """Intervals."""
    claims: Claims = Claims()
    """How the papers' claims are tested."""
    shards: Shards = 1
    """Jobs that share the sampling, scoring or searching of a data set's problems, in whole chunks: at most
    as many as there are, where `size`, `limit` or `planning.datasets` says how many problems. No result
    depends on it."""
    engine_settings: EngineSettings = EngineSettings()
    """How the engines run, without influence on results."""
    planning: Planning = Planning()
    """What `make plan` assumes, without influence on results."""
    training: dict[Name, TrainingConfig] = Field(default_factory=dict)
    """Models to train, by name."""
    labels: dict[Name, LabelConfig] = Field(default_factory=dict)
    """Step labels from rollouts, by name: what a PRM learns from."""
    revisions: dict[Name, TrajectoryConfig] = Field(default_factory=dict)
    """Trajectories of wrong answers and a right one, by name: what a revision model learns from."""
    chain_labels: dict[Name, ChainLabelConfig] = Field(default_factory=dict)
    """Right and wrong answers of chains, by name: what an outcome verifier of revisions learns from."""

    @property
    def studies(self) -> bool:
        """Whether there is something to sample, not only models to train."""
        return bool(self.generators)

    @property
    def claim_costs(self) -> tuple[str, ...]:
        """The cost models that claims are tested under, the headline's among them."""
        own = () if self.headline is None else (self.headline.cost_model,)
        return tuple(dict.fromkeys((*self.costs, *own)))

    @property
    def further_costs(self) -> tuple[str, ...]:
        """Those of them that the tables of every study are not fitted against anyway."""
        return tuple(name for name in self.claim_costs if name not in FITTED_COSTS)

    @property
    def imports(self) -> dict[str, Import]:
        """The generators that import solutions."""
        return {name: entry for name, entry in self.generators.items() if isinstance(entry, Import)}

    @property
    def counts(self) -> dict[str, Import]:
        """Those of them that import counts, without texts."""
        return {name: entry for name, entry in self.imports.items() if entry.counted}

    @property
    def searches(self) -> dict[str, TreeSearch]:
        """The generators that search trees."""
        return {name: entry for name, entry in self.generators.items() if isinstance(entry, TreeSearch)}

    @property
    def chains(self) -> dict[str, Revisions]:
        """The generators that write chains of revisions."""
        return {name: entry for name, entry in self.generators.items() if isinstance(entry, Revisions)}

    @property
    def studied_datasets(self) -> tuple[str, ...]:
        """The data sets to sample on: all that neither training nor labels use."""
        used = {label.problems for label in self.labels.values()}
        used |= {one.problems for one in self.revisions.values()}
        used |= {one.problems for one in self.chain_labels.values()}
        for training in self.training.values():
            if training.kind == "policy" and training.data.dataset is not None:
                used |= {training.data.dataset, training.data.held_out}
        return tuple(name for name in self.datasets if name not in used)


def config_yaml(config: Config) -> str:
    """The whole config as YAML, defaults included, for provenance, without what no result depends on."""
    content = config.model_dump(mode="json", exclude=_NO_RESULT)
    for entry in (*content["policies"].values(), *content["verifiers"].values()):
        for key in _IF_GIVEN:
            if entry.get(key) is None:
                entry.pop(key, None)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def made_pools(config: Config) -> list[tuple[str, str, str]]:
    """Data set, policy and generator of all candidates that the config asks for, or of their counts."""
    return [
        (dataset, policy, generator)
        for dataset in config.studied_datasets
        for policy, model in config.policies.items()
        for generator, entry in config.generators.items()
        if _makes(entry, dataset, policy, model)
    ]


def _makes(entry: Generator, dataset: str, policy: str, model: Policy) -> bool:
    if isinstance(entry, Import):
        return entry.dataset == dataset and policy in entry.policies
    only = entry.only or Reach()
    return (
        model.runs
        and (model.datasets is None or dataset in model.datasets)
        and (only.policies is None or policy in only.policies)
        and (only.datasets is None or dataset in only.datasets)
    )
