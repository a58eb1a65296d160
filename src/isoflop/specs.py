"""Specifications: what each job is given, as one canonical JSON that holds all that decides its output.

The workflow compares this text with the one an output was made from; where they differ, the job runs
again. Cheap stages carry a digest of their own code, so editing a selector repeats selection and what
follows. Expensive stages, and the problems they all hang on, carry a version instead: raise it by hand when
a change of code, or of a key's default, changes what they write.
"""

import json
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from isoflop.config.datasets import Choices, Dataset
from isoflop.config.generators import Revisions, Sampled
from isoflop.config.imports.entries import Import
from isoflop.config.models import ModelSize, Policy
from isoflop.config.study import Running, Searched
from isoflop.config.training import ChainLabelConfig, LabelConfig, TrainingConfig, TrajectoryConfig
from isoflop.config.verifiers import ImportedVerifier
from isoflop.costs.shape import Terms
from isoflop.registries import (
    DEFAULT_CHOICES,
    CostModelName,
    GraderName,
    SelectorName,
    StepAggregationName,
)

PROBLEMS_VERSION = 2
SAMPLE_VERSION = 3
SEARCH_VERSION = 1
SCORE_VERSION = 2
TRAIN_VERSION = 2
LABEL_VERSION = 2
REVISE_VERSION = 1
TRAJECTORIES_VERSION = 1
CHAIN_LABELS_VERSION = 1


class Spec(BaseModel):
    """What one job is given."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelJob(Spec):
    """A job that loads models: its stage, and its own specification as JSON."""

    stage: str
    spec: str


class CheckModelsSpec(Spec):
    """Jobs whose models are looked at before the first of them runs; `key`: what an answer is known by."""

    jobs: tuple[ModelJob, ...]
    key: str


class Grading(Spec):
    """What is graded, and how. `plugins`: digests of the files of graders of other packages."""

    grader: GraderName
    choices: Choices = DEFAULT_CHOICES
    plugins: Mapping[str, str] = {}


class ProblemsSpec(Spec):
    """One data set to write; `mirror` is a folder with copies of hub files."""

    dataset: Dataset
    mirror: str | None
    version: int


class SampleSpec(Spec):
    """Candidates of one policy by one generator; `seed` is the experiment's."""

    policy: Policy
    generator: Sampled
    seed: int
    version: int


class SearchSpec(Spec):
    """Trees of one search at one budget, the generator's only one; `seed` is the experiment's.

    `plugins`: digests of the files of searches and verifiers of other packages, whose versions are not here.
    """

    policy: Policy
    verifier: Running
    generator: Searched
    seed: int
    version: int
    plugins: Mapping[str, str] = {}


class GatherTreesSpec(Spec):
    """One search's trees at several budgets as one candidate set."""

    budgets: tuple[int, ...]
    code: str


class ReplayedVerifier(Spec):
    """A verifier whose scores are imported: its name, and their column where there are several."""

    name: str
    column: str | None = None
    model: ImportedVerifier


class ReplaySpec(Spec):
    """Imported candidates, and their scores by `verifiers`, in the order of the tables; `mirror` is as for
    problems.

    `files`: the local ones there are, for patterns in the config may match others another day. `plugins`:
    digests of the files of formats of other packages.
    """

    generator: Import
    policy: Policy
    verifiers: tuple[ReplayedVerifier, ...] = ()
    mirror: str | None
    files: tuple[str, ...] = ()
    code: str
    plugins: Mapping[str, str] = {}


class CountedPolicy(Spec):
    """A policy whose samples were counted, its size (None: of a hosted model), and what else they cost by."""

    name: str
    size: ModelSize | None
    terms: Terms = Terms()


class CountsSpec(Spec):
    """Imported counts of several policies on the same problems, and coverage from them.

    `policies`: one per credits table, in their order. `costs`: cost models beyond those of every study.
    `texts`: the data set has a table of problems. `common`: policies may have problems that others lack.
    `files` and `plugins` are as for replay.
    """

    generator: Import
    policies: tuple[CountedPolicy, ...]
    costs: tuple[CostModelName, ...] = ()
    texts: bool
    common: bool = False
    budgets: tuple[int, ...]
    mirror: str | None
    files: tuple[str, ...] = ()
    code: str
    plugins: Mapping[str, str] = {}


class Backtest(Spec):
    """How many of so many samples of each problem are known."""

    known: int
    samples: int


class CoverageSpec(Spec):
    """What counts say of coverage: crossings of sizes, and a backtest from the first `fitted_to` samples.

    `generators`: one per table of counts, in their order. `sampled`: those that sample here, with how many
    samples of each policy are known in their backtest and how many there are. `families`: of the policies.
    `costs`: the cost models at equal cost of which sizes are compared. `pretrained`: tokens of pretraining,
    by policy; `trained_parameters`: of mixtures of experts, those that a token meets;
    `problems`: numbers of problems that share them.
    """

    experiment: str
    generators: tuple[str, ...]
    sampled: Mapping[str, Mapping[str, Backtest]] = {}
    families: Mapping[str, str]
    costs: tuple[CostModelName, ...]
    pretrained: Mapping[str, float] = {}
    trained_parameters: Mapping[str, int] = {}
    problems: tuple[float, ...] = ()
    fitted_to: int
    seed: int
    code: str


class ScoreSpec(Spec):
    """Scores of one verifier for one table of candidates; `step_tag` is the policy's.

    `plugins`: the digest of the verifier's file where it is of another package.
    """

    verifier: Running
    step_tag: str | None = None
    version: int
    plugins: Mapping[str, str] = {}


class GradeSpec(Grading):
    """Answers of one table of candidates, read and compared by one grader; `step_tag` is the policy's.

    `imported`: what is right is what the files of imported candidates say.
    """

    imported: bool = False
    step_tag: str | None = None
    code: str


class DifficultySpec(Spec):
    """How hard a data set's problems are for a policy; `outcome`: the verifier scores whole solutions.
    `chains`: the pool is one of chains of revisions, whose first answers tell.

    `costs`, `terms`: as SelectSpec has them. A product of step scores is known up to a factor of the
    problem's own, so it cannot compare problems.
    """

    bins: int
    verifier: str | None = None
    outcome: bool = False
    step_aggregation: Literal["last", "min", "mean"] = "last"
    imported: bool = False
    chains: bool = False
    costs: tuple[CostModelName, ...] = ()
    terms: Mapping[str, Terms] = {}
    code: str
    plugins: Mapping[str, str] = {}


class TrainSpec(Grading):
    """One model to train; `grader` judges a policy's held-out solutions, `regenerate` is for its card."""

    name: str
    training: TrainingConfig
    regenerate: str
    version: int


class StepLabelsSpec(Grading):
    """Step labels from rollouts; `policies` holds the writers and the completer by name, in that order."""

    name: str
    label: LabelConfig
    policies: Mapping[str, Policy]
    seed: int
    version: int


class ReviseSpec(Spec):
    """Chains of one policy's revisions; `seed` is the experiment's."""

    policy: Policy
    generator: Revisions
    seed: int
    version: int


class TrajectoriesSpec(Grading):
    """Trajectories of one policy's samples; `seed` is the experiment's."""

    name: str
    trajectories: TrajectoryConfig
    policy: Policy
    seed: int
    version: int


class ChainLabelsSpec(Grading):
    """Right and wrong answers of one policy's chains; `seed` is the experiment's."""

    name: str
    chains: ChainLabelConfig
    policy: Policy
    seed: int
    version: int


class ChainsOfPool(Spec):
    """A table of chains and its grades."""

    dataset: str
    policy: str
    generator: str


class RevisionRatesSpec(Spec):
    """What becomes of answers along chains; `pools`: one per pair of tables, in their order."""

    experiment: str
    pools: tuple[ChainsOfPool, ...]
    draws: int
    level: float
    seed: int
    code: str


class ScoredPool(Spec):
    """A table of independent samples, and of scores by `verifiers` in their order; `imported`: from files."""

    dataset: str
    policy: str
    generator: str
    verifiers: tuple[str, ...]
    imported: bool = False


class VerifierQualitySpec(Spec):
    """How well verifiers tell right solutions from wrong ones; `pools`: in the order of their tables.

    `outcome_verifiers`: those that score whole solutions. `plugins`: digests of the files of step
    aggregations of other packages.
    """

    experiment: str
    pools: tuple[ScoredPool, ...]
    step_aggregations: tuple[StepAggregationName, ...]
    outcome_verifiers: tuple[str, ...] = ()
    draws: int
    level: float
    seed: int
    code: str
    plugins: Mapping[str, str] = {}


class StudiedPool(Spec):
    """What one credits table of a choice is about; `kind` is the generator's."""

    dataset: str
    policy: str
    generator: str
    kind: str


class ExchangePair(Spec):
    """Two policies to compare at equal total compute; `greedy` is how the larger one answers.

    `data_ratio`: the larger one's pretraining tokens over the smaller one's.
    """

    small: str
    large: str
    greedy: str
    data_ratio: float = 1.0


class AllocateSpec(Spec):
    """Compute-optimal choice.

    `pools`: one per credits table, in their order. `difficulties`: data set and policy of each difficulty
    table, in theirs, and the generator that tells; `bins`: how many, of pairs of policies too. Families name
    generators (`sampling`, or with what picks: `sampling+majority`, `sampling+best_of_n+product`), the
    baseline first. `judges`: verifier and step aggregation of the generators that have others than `verifier`
    and `step_aggregation`. `costs`: cost models beyond those of every study.
    """

    experiment: str
    pools: tuple[StudiedPool, ...]
    difficulties: tuple[tuple[str, str, str], ...]
    bins: int
    families: Mapping[str, tuple[str, ...]]
    selector: SelectorName
    verifier: str
    step_aggregation: str
    judges: Mapping[str, tuple[str, str]] = {}
    cost_model: CostModelName
    costs: tuple[CostModelName, ...] = ()
    splits: int
    exchange: tuple[ExchangePair, ...] = ()
    ratios: tuple[float, ...] = ()
    draws: int
    level: float
    seed: int
    code: str


class TimesSpec(Spec):
    """What a clock measured; `pools`: data set, policy and generator of every table of seconds, in order.

    `jobs`: stage of every job that ran models or imported, and what tells of it: a ledger, or the folder of a
    trained model, under the results.
    """

    experiment: str
    pools: tuple[tuple[str, str, str], ...]
    jobs: tuple[tuple[str, str], ...]
    code: str


def canonical(spec: BaseModel) -> str:
    """One text per specification: JSON with sorted keys, without spaces, in ASCII.

    Defaults are left out, so that a new key of the config repeats nothing.
    """
    content = spec.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
