"""The comparisons of accuracies that a study is about, each of two strategies on the same problems.

They are derived from the config alone (isoflop.forecast.study_comparisons), so that they can be forecast
before a run (isoflop.forecast.half_widths), and name rows of curves.csv, so that they can be measured after
it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from isoflop.strategy import NONE, short_name

Kind = Literal["greedy", "samples", "chains", "search"]

AGAINST_GREEDY = "against greedy"
AGAINST_SAMPLES = "against sampling, equal budget"
BEAM_LOOKAHEAD = "beam against lookahead, equal budget"
SELECTORS = "weighted against majority"
NEXT_SIZE = "against the next size"
NEXT_GREEDY = "against the next size's greedy answer"
SECOND_HALF = "all samples against half of them"
EXCHANGED = "small with search against large, greedy"


class Picked(BaseModel):
    """One policy's strategy at one budget: a row of curves.csv, and what it is picked from.

    `kind`: of the generator; chains of one answer are samples. `pool`: candidates, of samples and chains.
    `runs`: of a search.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: str
    generator: str
    kind: Kind
    selector: str = NONE
    verifier: str = NONE
    step_aggregation: str = NONE
    budget: int = 1
    pool: int = 1
    runs: int = 1

    @property
    def name(self) -> str:
        """As in the tables: `rebase+wv@16`, or `greedy`."""
        if self.kind == "greedy":
            return self.generator
        return f"{self.generator}+{short_name(self.selector)}@{self.budget}"


class Comparison(BaseModel):
    """Accuracy of one strategy minus that of another. `main`: whether it is the study's main question."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    dataset: str
    left: Picked
    right: Picked
    main: bool = False
