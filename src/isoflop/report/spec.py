"""What the report stage shows: its specification, the names of its outputs, and pure look-ups in the curves.

Every figure, table and sentence of the report takes its numbers from `curves.csv` through this module, so
that "the headline strategy" or "the largest common budget" means the same thing everywhere.
"""

from collections.abc import Collection, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from isoflop.registries import (
    CLAIM_COSTS,
    COST_MODELS,
    FITTED_COSTS,
    SELECTORS,
    CostModelName,
    CostTraits,
    SelectorName,
    StepAggregationName,
)

FIGURES = (
    "error_by_size",
    "error_by_strategy",
    "optimal_size",
    "majority_weighted",
    "accuracy_by_level",
    "saturation",
    "search_methods",
    "search_by_size",
    "search_generations",
    "search_voting",
    "search_by_level",
    "search_easy_hard",
    "search_trees",
)
# Those that compare the sizes of a family.
SIZE_FIGURES = frozenset({"optimal_size", "search_by_size"})
VERIFIER_FIGURES = ("verifiers",)
CALIBRATION_FIGURES = ("calibration",)
# Of a study of counts, in which nothing is picked.
FORECAST_FIGURES = ("coverage_forecast",)
COVERAGE_FIGURES = ("coverage_by_size", "optimal_size", *FORECAST_FIGURES)
PRETRAINING_FIGURES = ("coverage_pretraining",)
PRETRAINING_TABLES = ("coverage_pretraining.csv",)
SIZE_TABLES = ("coverage_crossings.csv",)
FORECAST_TABLES = ("coverage_forecast.csv",)
REVISION_FIGURES = ("revision_chain", "revision_sequential", "revision_ratio")
REVISION_VERIFIER_FIGURES = ("revision_verifiers",)
REVISION_CHOICE_FIGURES = ("revision_ratio_by_bin",)
CHOICE_FIGURES = ("compute_optimal", "choice_gain", "accuracy_by_bin")
EXCHANGE_FIGURES = ("exchange", "exchange_curves")
THINKING_FIGURES = ("thinking",)
FIGURE_FORMATS = ("png", "svg")
SEARCH_TABLES = ("table1.csv", "table1.md")
PROGRAM_TABLES = ("table3.csv", "table3.md")
PUBLISHED_TABLES = ("published.csv", "published.md")
TABLES = (
    "table4.csv",
    "table4.md",
    "table4.tex",
    "headline.md",
    "headline.csv",
    "claims.csv",
    "samples.csv",
)

# What policies without a family of their own share.
SHARED_FAMILY = "all"


def figure_names(
    sizes: int,
    searches: int,
    *,
    covers: bool = False,
    levels: bool = True,
    forecast: bool = False,
    pretraining: bool = False,
    judgements: int = 0,
    scored: bool = False,
    revisions: Sequence[int] = (),
    choice: bool = False,
    exchange: bool = False,
    thinking: bool = False,
) -> tuple[str, ...]:
    """The figures of a study; `sizes`: policies of the largest family, one of which leaves none to choose.

    `covers`: whether only coverage is known, from counts; `levels`: whether problems may then have levels;
    `forecast`: whether coverage is predicted from some of the samples drawn here; `pretraining`: whether
    models are compared with their pretraining too. `judgements`: ways of scoring a solution, as
    `judgements()` counts them; `scored`: whether independent samples are. `revisions`: of every generator of
    chains, the number of its verifiers. `choice`, `exchange`: whether strategies are chosen by difficulty,
    and models exchanged. `thinking`: whether a model thinks at several lengths.
    """
    if covers:
        of_sizes = (name for name in COVERAGE_FIGURES if sizes > 1 or name not in SIZE_FIGURES)
        return (*of_sizes, *PRETRAINING_FIGURES * pretraining, *("accuracy_by_level",) * levels)
    always = tuple(
        name
        for name in FIGURES
        if (sizes > 1 or name not in SIZE_FIGURES) and (searches or not name.startswith("search_"))
    )
    revised = bool(revisions)
    return (
        THINKING_FIGURES * thinking
        + always
        + FORECAST_FIGURES * forecast
        + VERIFIER_FIGURES * (judgements > 1)
        + CALIBRATION_FIGURES * scored
        + REVISION_FIGURES * revised
        + REVISION_CHOICE_FIGURES * (revised and choice)
        + REVISION_VERIFIER_FIGURES * (max(revisions, default=0) > 1)
        + CHOICE_FIGURES * choice
        + EXCHANGE_FIGURES * exchange
    )


def judgements(verifiers: Sequence[str], outcome: Collection[str], step_aggregations: Sequence[str]) -> int:
    """Ways of scoring a solution: one by a verifier of whole solutions, one by others' every aggregation."""
    return sum(1 if name in outcome else len(step_aggregations) for name in verifiers)


def family_members(policies: Sequence[str], families: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The policies of every family in their order; those without a family share one, `all`."""
    members: dict[str, tuple[str, ...]] = {}
    for policy in policies:
        family = families.get(policy, SHARED_FAMILY)
        members[family] = (*members.get(family, ()), policy)
    return members


class Headline(BaseModel):
    """The one strategy and cost model that the headline figures and sentences are about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    selector: SelectorName
    step_aggregation: StepAggregationName
    cost_model: CostModelName


class PublishedTables(BaseModel):
    """Files of published numbers, and the study's names for theirs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[str, ...] = Field(min_length=1)
    policies: Mapping[str, str]
    datasets: Mapping[str, str]
    generators: Mapping[str, str]


class ReportSpec(BaseModel):
    """All that decides the published tables, figures and report, next to the tables they are made from.

    `policies` are ordered from small to large, `families` has the family of each (`all` where it has none),
    `datasets`, `generators` and `verifiers` as they are to be
    shown; the first generator that leaves something to pick and the first verifier are the headline's,
    `searches` (those of the generators that search trees, and of which kind) and `published_searches`
    (imported, without their trees) coming after all others.
    `generations`: how many samples one of a search's
    budget counts as, where not 1. `program_datasets`: those of programs that REBASE searches.
    `counted`: the generators that import counts, without texts; `levels`: whether their problems may have
    levels; `forecast`: whether coverage is predicted from some of the samples drawn here; `pretraining`:
    whether models are compared with their pretraining too.
    `revisions`: the verifiers of every generator of chains, which is none of `generators`; the first decides.
    `outcome_verifiers`: those of all verifiers that score whole solutions. `scored`: whether there are scores
    of independent samples, which say how good verifiers are.
    `choice`, `exchange`: whether strategies are chosen by difficulty, and models exchanged. `margin`: how
    much less accurate still counts as no worse. `thinking`: of each model that thinks, its policies by how
    long. `costs`: the cost models that claims are tested under.
    `tokens_estimated`: whether token counts rest on an estimate. `assumed_policies`, `assumed_verifiers`:
    what imported solutions and scores come from, according to the config alone. `published`: numbers to put
    beside the measured ones. `config_yaml` is printed as provenance, `pools` are data set,
    policy and generator of every table of candidates, `code` is the digest of the stage's import closure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    experiment: str = Field(min_length=1)
    title: str = Field(min_length=1)
    datasets: tuple[str, ...] = Field(min_length=1)
    policies: tuple[str, ...] = Field(min_length=1)
    pools: tuple[tuple[str, str, str], ...] = ()
    families: Mapping[str, str] = Field(default_factory=dict)
    generators: tuple[str, ...] = Field(min_length=1)
    searches: Mapping[str, str] = Field(default_factory=dict)
    published_searches: tuple[str, ...] = ()
    generations: Mapping[str, int] = Field(default_factory=dict)
    counted: tuple[str, ...] = ()
    levels: bool = True
    forecast: bool = False
    pretraining: bool = False
    program_datasets: tuple[str, ...] = ()
    choice: bool = False
    exchange: bool = False
    thinking: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    verifiers: tuple[str, ...] = ()
    revisions: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    outcome_verifiers: tuple[str, ...] = ()
    scored: bool = False
    step_aggregations: tuple[StepAggregationName, ...] = ()
    headline: Headline
    costs: tuple[CostModelName, ...] = CLAIM_COSTS
    margin: float = Field(default=0.01, ge=0.0)
    level: float = Field(gt=0.0, lt=1.0)
    tokens_estimated: bool = False
    assumed_policies: tuple[str, ...] = ()
    assumed_verifiers: tuple[str, ...] = ()
    published: PublishedTables | None = None
    config_yaml: str
    seed: int
    code: str

    @property
    def figures(self) -> tuple[str, ...]:
        """The figures of this study, in their order."""
        return figure_names(
            max(map(len, self.sizes.values())),
            len(self.searches),
            covers=self.covers,
            levels=self.levels,
            forecast=self.forecast,
            pretraining=self.pretraining,
            judgements=judgements(self.verifiers, self.outcome_verifiers, self.step_aggregations),
            scored=self.scored,
            revisions=[len(names) for names in self.revisions.values()],
            choice=self.choice,
            exchange=self.exchange,
            thinking=bool(self.thinking),
        )

    @property
    def covers(self) -> bool:
        """Whether only coverage is known: the headline's selector is the oracle."""
        return SELECTORS[self.headline.selector].oracle

    @property
    def further_costs(self) -> tuple[str, ...]:
        """The cost models beyond those of every study."""
        return tuple(name for name in self.costs if name not in FITTED_COSTS)

    @property
    def sizes(self) -> dict[str, tuple[str, ...]]:
        """The policies of every family, from small to large."""
        return family_members(self.policies, self.families)

    def aggregation(self, verifier: str) -> str:
        """How the headline makes one score of a verifier's step scores."""
        return "last" if verifier in self.outcome_verifiers else self.headline.step_aggregation

    @property
    def own_budgets(self) -> frozenset[str]:
        """The generators whose budgets each have solutions of their own."""
        return frozenset({*self.searches, *self.published_searches})

    @property
    def search_names(self) -> tuple[str, ...]:
        """The tree searches in the order of the generators."""
        return tuple(name for name in self.generators if name in self.searches)


def assumption(spec: ReportSpec) -> str:
    """Which models are named by the config alone, if any are."""
    parts = [
        f"imported {what} are those of {' and '.join(names)}"
        for what, names in (("solutions", spec.assumed_policies), ("scores", spec.assumed_verifiers))
        if names
    ]
    if not parts:
        return ""
    verb = "is" if len(parts) == 1 else "are"
    return f"That {' and that '.join(parts)} {verb} assumed: the files do not say."


def cost_traits(spec: ReportSpec) -> CostTraits:
    """The headline's cost model."""
    return COST_MODELS[spec.headline.cost_model]


def is_estimated(spec: ReportSpec) -> bool:
    """Whether the headline's cost rests on an estimate of tokens."""
    return spec.tokens_estimated and cost_traits(spec).of_tokens


def cost_label(spec: ReportSpec) -> str:
    """What the headline's cost counts, and on what estimate it rests."""
    label = cost_traits(spec).label
    return f"{label}, tokens estimated" if is_estimated(spec) else label


def cost_sentence(spec: ReportSpec) -> str:
    """The same as the beginning of a sentence."""
    unit = cost_traits(spec).unit
    counts = "Compute counts" if unit == "FLOPs" else f"Cost is counted in {unit}:"
    return f"{counts} {cost_label(spec)}"


def cost_column(spec: ReportSpec) -> str:
    """The column of `curves.csv` that holds the headline's cost per problem."""
    return cost_traits(spec).curves_column
