"""The config: one typed model, and the only reader of config files.

`load_config` reads, merges and checks; every fault is reported at once, each with its key, its value and
what is allowed. The JSON schema and the reference page come from the same model (isoflop.config.docs).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from isoflop.config.analysis import ComputeOptimal, Difficulty, Exchange
from isoflop.config.base import (
    Bootstrap,
    Claims,
    Count,
    Dataset,
    EngineSettings,
    Entry,
    HeadlineChoice,
    Import,
    Name,
    Published,
    Seed,
    Text,
)
from isoflop.config.checks import check_config
from isoflop.config.models import Policy, Verifier
from isoflop.config.planning import Planning
from isoflop.config.reading import merge, read_overrides, read_yaml
from isoflop.config.revisions import ChainLabelConfig, Revisions, TrajectoryConfig
from isoflop.config.search import AnySearch, Generator, TreeSearch
from isoflop.config.training import LabelConfig, TrainingConfig
from isoflop.errors import UserError
from isoflop.messages import describe_faults
from isoflop.registries import SelectorName, StepAggregationName

# What no result depends on.
_NO_RESULT: dict[str, Any] = {
    "shards": True,
    "engine_settings": True,
    "planning": True,
    "policies": {"__all__": {"server"}},
}

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
    selectors: tuple[SelectorName, ...] = ()
    """How one answer is picked; `weighted` and `best_of_n` need a verifier, `confidence` and
    `confidence_weighted` samples with log-probabilities, which imported ones lack; `pass` is the oracle."""
    step_aggregations: tuple[StepAggregationName, ...] = ()
    """How step scores become a solution's score, for the selectors that use a verifier."""
    headline: HeadlineChoice | None = None
    """The one strategy of the headline figures and sentences; needed unless the experiment only trains."""
    published: Published | None = None
    """Published numbers to put beside the measured ones."""
    difficulty: Difficulty | None = None
    """Bins of difficulty; what `compute_optimal` chooses by."""
    compute_optimal: ComputeOptimal | None = None
    """The choice of strategies by difficulty; needs `difficulty`."""
    exchange: Exchange | None = None
    """Small models with test-time compute against larger ones; needs `compute_optimal`."""
    bootstrap: Bootstrap = Bootstrap()
    """Intervals."""
    claims: Claims = Claims()
    """How the papers' claims are tested."""
    shards: Shards = 1
    """Jobs that share the sampling, scoring or searching of a data set's problems, in whole chunks. No result
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
    def imports(self) -> dict[str, Import]:
        """The generators that import solutions."""
        return {name: entry for name, entry in self.generators.items() if isinstance(entry, Import)}

    @property
    def searches(self) -> dict[str, AnySearch]:
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


def load_config(
    paths: Sequence[str | Path],
    overrides: Mapping[str, Any] | None = None,
    root: str | Path = ".",
    *,
    unpinned: bool = False,
) -> Config:
    """Read and merge the files (later ones win), apply `overrides`, check everything.

    Folders and files that the config names are looked for under `root`. `unpinned`: let revisions and sums
    be missing that `isoflop.config.pin` would ask the hub for.
    Raises UserError with every fault found.
    """
    raw: dict[str, Any] = {}
    sources = [str(_from_here(Path(path))) for path in paths]
    for path in sources:
        raw = merge(raw, read_yaml(Path(path)))
    if overrides:
        raw = merge(raw, read_overrides(overrides))
        sources.append("--config")
    return build_config(raw, ", ".join(sources), Path(root), unpinned=unpinned)


def build_config(raw: Mapping[str, Any], source: str, root: Path, *, unpinned: bool = False) -> Config:
    """A checked config from plain data; `source` begins the message. Raises UserError."""
    try:
        # Through JSON, where strict mode takes lists for tuples but never "3" or true for 3.
        config = Config.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        faults = describe_faults(error, Config)
    else:
        faults = check_config(config, root, let_unpinned=unpinned)
        if not faults:
            return config
    lines = "\n".join(f"  {fault}" for fault in faults)
    noun = "fault" if len(faults) == 1 else "faults"
    raise UserError(f"{source}: {len(faults)} {noun} in the config\n{lines}")


def config_yaml(config: Config) -> str:
    """The whole config as YAML, defaults included, for provenance, without what no result depends on."""
    content = config.model_dump(mode="json", exclude=_NO_RESULT)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def _from_here(path: Path) -> Path:
    """A path as one would type it: relative where it lies under the working directory."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
