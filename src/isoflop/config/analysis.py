"""The config entries for what results are made into: intervals, claims, headline, difficulty and choice."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from isoflop.config.base import Count, Entry, Name, Text
from isoflop.registries import CostModelName, SelectorName, StepAggregationName

# R = D_inference / D_pretrain in Figure 9 of Snell et al. 2024.
PAPER_RATIOS = (0.16, 0.79, 22.0)

Strategy = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/(\d+|\*))?(\+[a-z_]+){0,2}$")
]


class HeadlineChoice(Entry):
    """The one strategy and cost that the headline figures and sentences are about."""

    selector: SelectorName
    """How the answer is picked; an oracle (`pass`: coverage) only in a study of counts alone."""
    step_aggregation: StepAggregationName = "last"
    """How step scores become a solution's score."""
    cost_model: CostModelName = "total"
    """What is counted: FLOPs as 2N x generated tokens (`wu2024`), with attention (`kaplan`), of prompts and
    verifier too (`total`); generated `tokens`, `seconds`, `dollars`, `kv_bytes` of keys and values read."""


class Published(Entry):
    """Published numbers to put beside the measured ones, in `tables/published.csv` and the report."""

    files: Annotated[tuple[Text, ...], Field(min_length=1)]
    """CSV files as in resources/published."""
    policies: dict[Text, Name]
    """Entry of `policies` by the name of a model in the files; rows of others say that they have none."""
    datasets: dict[Text, Name]
    """Entry of `datasets` by the name in the files."""
    generators: dict[Text, Name]
    """Entry of `generators` by the name in the files."""


class Bootstrap(Entry):
    """Intervals by resampling problems."""

    draws: Annotated[int, Field(ge=100, le=100_000)] = 1000
    """Number of resamples."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Coverage of the intervals."""


class Claims(Entry):
    """How the claims of the papers are tested."""

    margin: Annotated[float, Field(ge=0, lt=0.5)] = 0.01
    """How much less accurate still counts as no worse, where a claim is about every budget and rival."""


class Pretraining(Entry):
    """What models took before their first answer, beside what answers take."""

    tokens: Annotated[dict[Name, Annotated[float, Field(gt=0)]], Field(min_length=1)]
    """Tokens of pretraining, by policy."""
    problems: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
    """Numbers of problems that a model is asked in its life: pretraining is shared between these."""


class Coverage(Entry):
    """What is made of coverage: that of counts (generators of format `counts`), and of samples drawn here."""

    fitted_to: Annotated[int, Field(ge=4)] = 100
    """The first samples of each problem from which coverage with all of them is predicted, as a backtest; of
    samples drawn here, no more than a quarter of them."""
    pretraining: Pretraining | None = None
    """Compare models at equal sums of pretraining and answers too."""


class Difficulty(Entry):
    """How hard each problem is for each policy: quantile bins (Snell et al. 2024)."""

    generator: Name
    """The entry of `generators`, of kind `sampling` or `import`, that difficulty is estimated from. Where its
    pool is measured too, one half sets the bins and the other is measured, both ways. Of chains the first
    answers count, also for a policy that revises and lacks this generator."""
    bins: Annotated[int, Field(ge=2, le=20)] = 5
    """Number of quantile bins; problems that the pool cannot tell apart share one."""
    verifier: Name | None = None
    """The verifier whose mean score predicts difficulty; the first one if left out."""
    step_aggregation: Literal["last", "min", "mean"] = "last"
    """How step scores become a solution's score, for that prediction."""


class ComputeOptimal(Entry):
    """The best strategy per difficulty bin and budget, chosen on other problems than it is measured on."""

    families: Annotated[dict[Name, Annotated[tuple[Strategy, ...], Field(min_length=1)]], Field(min_length=1)]
    """What is chosen between, by a name for the choice: entries of `generators` under the headline's selector
    (`beam`), or with a selector and a step aggregation of their own (`sampling+best_of_n+product`). The first
    is the baseline; it samples or is imported. Chains of revisions are named with their length
    (`revisions/4`), of which 1 is the baseline; `revisions/*` is all lengths."""
    splits: Count = 20
    """How often the problems of each bin are split in two folds; the outcome is the mean."""


class ExchangedPair(Entry):
    """Two policies to compare at equal compute, training included."""

    small: Name
    """The smaller one, which chooses compute-optimally."""
    large: Name
    """The larger one, which answers greedily."""
    data_ratio: Annotated[float, Field(gt=0)] = 1.0
    """The larger one's pretraining tokens over the smaller one's."""


class Exchange(Entry):
    """Pretraining against test-time compute (Snell et al. 2024)."""

    pairs: Annotated[tuple[ExchangedPair, ...], Field(min_length=1)]
    """Which policies."""
    greedy: Name
    """The entry of `generators`, of kind `greedy`, that the larger one answers with."""
    ratios: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = PAPER_RATIOS
    """R: tokens of all inference over tokens of the smaller one's pretraining."""
