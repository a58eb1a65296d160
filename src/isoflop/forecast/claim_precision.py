"""Whether a study will decide what it asks: half-widths to expect, by comparison and by claim."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from isoflop.claims.snell2024 import CLAIMS as SNELL_CLAIMS
from isoflop.claims.wu2024 import CLAIMS as WU_CLAIMS
from isoflop.config.datasets import CountedSource, WordproblemsSource
from isoflop.config.planning import Planning
from isoflop.fits.precision import problems_to_decide
from isoflop.forecast.comparisons import (
    AGAINST_GREEDY,
    AGAINST_SAMPLES,
    BEAM_LOOKAHEAD,
    EXCHANGED,
    NEXT_SIZE,
    SECOND_HALF,
    SELECTORS,
    Comparison,
)
from isoflop.forecast.half_widths import Expected, expected
from isoflop.forecast.study_work import study_work

if TYPE_CHECKING:
    from isoflop.pipeline.plan import Plan

# Levels 1 and 2 of five are easy, the others hard (Wu et al. 2024, Figure 8), and all are equally frequent.
_BY_LEVEL = sqrt(1 / 0.4 + 1 / 0.6)
# The main questions, and what a study needs to ask them.
_MAIN = {
    AGAINST_GREEDY: "a generator of kind greedy and one that samples",
    AGAINST_SAMPLES: "a search or revisions, and samples, with a budget in common",
}
# A power law needs three crossings, of four sizes.
_SIZES = 4


@dataclass(frozen=True)
class ExpectedClaim:
    """A claim on one data set: of its widest part; or what is `missing` for a test of it."""

    paper: str
    claim: int
    sentence: str
    dataset: str
    statistic: str
    parts: int = 0
    half_width: float | None = None
    needed: int | None = None
    missing: str | None = None


@dataclass(frozen=True)
class PrecisionForecast:
    """What a study will decide. `warnings`: main questions that it will not, each in a sentence.

    `missing`: main questions that it cannot ask. `level`: of the intervals.
    """

    planning: Planning
    level: float
    comparisons: Sequence[Expected]
    claims: Sequence[ExpectedClaim]
    warnings: Sequence[str]
    missing: Sequence[str]


def forecast_precision(plan: "Plan", problems: Mapping[str, int]) -> PrecisionForecast:
    """The forecast of a study with so many problems by data set; empty where it only trains models."""
    planning, level = plan.config.planning, plan.config.bootstrap.level
    comparisons = [
        expected(compared, planning, problems[compared.dataset], level)
        for compared in study_work(plan).comparisons
        if problems[compared.dataset]
    ]
    datasets = plan.config.studied_datasets if plan.config.studies else ()
    claims = [claim for name in datasets for claim in _claims(plan, name, comparisons)]
    warnings = [line for name in datasets for line in _warnings(planning, name, comparisons)]
    missing = [
        f"{name}: {question} is not asked; it needs {needs}"
        for name in datasets
        for question, needs in _MAIN.items()
        if not any(compared.comparison.main and _asked(compared, name, question) for compared in comparisons)
    ]
    return PrecisionForecast(planning, level, comparisons, claims, warnings, missing)


def _asked(compared: Expected, dataset: str, question: str) -> bool:
    return compared.comparison.dataset == dataset and compared.comparison.question == question


def _warnings(planning: Planning, dataset: str, comparisons: Sequence[Expected]) -> Iterator[str]:
    """One line per main question that the study does not decide: of its widest comparison."""
    for question in _MAIN:
        asked = [
            compared
            for compared in comparisons
            if compared.comparison.main and _asked(compared, dataset, question)
        ]
        widest = max(asked, key=lambda compared: compared.half_width, default=None)
        if widest is not None and widest.half_width > planning.decide:
            pair = f"{widest.comparison.left.generator} and {widest.comparison.right.generator}"
            yield (
                f"{dataset}: {widest.problems:,} problems decide a difference of "
                f"{100 * widest.half_width:.1f} points between {pair} in one study of two; "
                f"{100 * planning.decide:g} points need about {rounded(widest.needed):,}."
            )


def rounded(count: int) -> int:
    """To three significant digits."""
    return int(float(f"{count:.3g}"))


@dataclass(frozen=True)
class _Test:
    """How a claim is tested: its comparisons, how much wider its statistic is, and what it needs."""

    statistic: str
    of: Callable[[Comparison], bool]
    needs: str
    wider: float = 1.0
    possible: bool = True


def _claims(plan: "Plan", dataset: str, comparisons: Sequence[Expected]) -> Iterator[ExpectedClaim]:
    of_dataset = [compared for compared in comparisons if compared.comparison.dataset == dataset]
    papers = (
        ("Wu et al. 2024", WU_CLAIMS, _wu_tests(plan, dataset, of_dataset)),
        ("Snell et al. 2024", SNELL_CLAIMS, _snell_tests(plan)),
    )
    for paper, sentences, tests in papers:
        for number, sentence in sentences.items():
            test = tests[number]
            parts = (
                [compared for compared in of_dataset if test.of(compared.comparison)] if test.possible else []
            )
            widest = max(parts, key=lambda compared: compared.half_width, default=None)
            common = (paper, number, sentence, dataset, test.statistic)
            if widest is None:
                yield ExpectedClaim(*common, missing=test.needs)
                continue
            half = min(1.0, widest.half_width * test.wider)
            needed = problems_to_decide(widest.problems, half, plan.config.planning.decide)
            yield ExpectedClaim(*common, len(parts), half, needed)


def _wu_tests(plan: "Plan", dataset: str, compared: Sequence[Expected]) -> dict[int, _Test]:
    config = plan.config
    entry = config.datasets[dataset]
    levels = isinstance(entry, WordproblemsSource) or (
        not isinstance(entry, CountedSource) and entry.fields.level is not None
    )
    families: dict[str, set[str]] = {}
    for comparison in (pair.comparison for pair in compared if pair.comparison.question == NEXT_SIZE):
        members = families.setdefault(config.policies[comparison.left.policy].family, set())
        members |= {comparison.left.policy, comparison.right.policy}
    sizes = max(map(len, families.values()), default=0)

    def against_samples(kind: str) -> Callable[[Comparison], bool]:
        names = {name for name, search in config.searches.items() if search.kind == kind}
        return lambda comparison: (
            comparison.question == AGAINST_SAMPLES and comparison.left.generator in names
        )

    def asks(question: str, kind: str | None = None) -> Callable[[Comparison], bool]:
        return lambda comparison: (
            comparison.question == question and (kind is None or comparison.left.kind == kind)
        )

    rebase, size = against_samples("rebase"), asks(NEXT_SIZE)
    a_rebase = "a generator of kind rebase and one that samples, with a budget in common"
    return {
        1: _Test("a size minus the next", size, "two policies of one family with a budget in common"),
        2: _Test(
            "a size minus the next, for each of three crossings",
            size,
            "three crossings, so four policies of one family",
            possible=sizes >= _SIZES,
        ),
        3: _Test("REBASE minus samples, one of all strategies that may not lead", rebase, a_rebase),
        4: _Test("REBASE minus samples", rebase, a_rebase),
        5: _Test(
            "weighted minus majority",
            asks(SELECTORS, "samples"),
            "the selectors majority and weighted, and a verifier",
        ),
        6: _Test(
            "REBASE minus sampling, on hard problems minus on easy ones",
            rebase,
            f"{a_rebase}, and problems with levels",
            wider=_BY_LEVEL,
            possible=levels,
        ),
        7: _Test(
            "MCTS minus sampling",
            against_samples("mcts"),
            "a generator of kind mcts and one that samples, with a budget in common",
        ),
        8: _Test("all samples minus half of them", asks(SECOND_HALF), "half of the largest budget"),
        9: _Test("a size minus the next", size, "two policies of one family with a budget in common"),
    }


def _snell_tests(plan: "Plan") -> dict[int, _Test]:
    config = plan.config
    beams = {name for name, search in config.searches.items() if search.kind == "beam"}
    bins = config.difficulty.bins if config.difficulty else 0
    members = {
        name.partition("+")[0].partition("/")[0]
        for family in (config.compute_optimal.families.values() if config.compute_optimal else ())
        for name in family
    }

    def beam(comparison: Comparison) -> bool:
        return comparison.question == AGAINST_SAMPLES and comparison.left.generator in beams

    def chosen(comparison: Comparison) -> bool:
        asked = comparison.question in (AGAINST_SAMPLES, SELECTORS)
        return asked and comparison.left.generator.partition("/")[0] in members

    a_beam = "a generator of kind beam and one that samples, with a budget in common"
    return {
        1: _Test("beam minus best-of-n", beam, a_beam),
        2: _Test(
            "beam minus lookahead",
            lambda comparison: comparison.question == BEAM_LOOKAHEAD,
            "generators of kind beam and lookahead, with a budget in common",
        ),
        3: _Test(
            "beam minus best-of-n in one bin of difficulty",
            beam,
            f"{a_beam}, and difficulty",
            wider=sqrt(bins),
            possible=bins > 0,
        ),
        4: _Test("another strategy minus the baseline", chosen, "difficulty and compute_optimal"),
        5: _Test(
            "chains minus parallel answers",
            lambda comparison: comparison.question == AGAINST_SAMPLES and comparison.left.kind == "chains",
            "a generator of kind revisions",
        ),
        6: _Test(
            "small minus large in one bin of difficulty",
            lambda comparison: comparison.question == EXCHANGED,
            "exchange",
            wider=sqrt(max(1, bins)),
        ),
    }


def comparison_rows(precision: PrecisionForecast) -> list[list[str]]:
    """A header, then a row per data set and two strategies, with the range over policies."""
    groups: dict[tuple[str, str, str], list[Expected]] = {}
    for compared in precision.comparisons:
        left, right = compared.comparison.left.name, compared.comparison.right.name
        pair = left if left == right else f"{left} - {right}"
        groups.setdefault((compared.comparison.dataset, compared.comparison.question, pair), []).append(
            compared
        )
    rows = [["data set", "question", "strategies", "policies", *_header(precision)]]
    for key, group in groups.items():
        group.sort(key=lambda compared: compared.half_width)
        halves = _range([f"{100 * compared.half_width:.1f}" for compared in group])
        needed = _range([f"{rounded(compared.needed):,}" for compared in group])
        rows.append([*key, str(len(group)), halves, needed])
    return rows


def claim_rows(precision: PrecisionForecast) -> list[list[str]]:
    """A header, then a row per data set and claim that can be tested: of its widest part."""
    rows = [["data set", "claim", "statistic", "parts", *_header(precision)]]
    for claim in precision.claims:
        if claim.half_width is not None and claim.needed is not None:
            key = [claim.dataset, f"{claim.paper}, {claim.claim}", claim.statistic, str(claim.parts)]
            rows.append([*key, f"{100 * claim.half_width:.1f}", f"{rounded(claim.needed):,}"])
    return rows


def untested(precision: PrecisionForecast) -> list[str]:
    """What cannot be tested, and what it needs, a line each; data sets that lack the same together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for claim in precision.claims:
        if claim.missing is not None:
            groups.setdefault((f"{claim.paper}, {claim.claim}", claim.missing), []).append(claim.dataset)
    claims = [
        f"Not tested on {' and '.join(names)}: {claim}; it needs {needs}"
        for (claim, needs), names in groups.items()
    ]
    return [*claims, *(f"Not asked on {line}" for line in precision.missing)]


def precision_notes(precision: PrecisionForecast) -> list[str]:
    """What the half-widths rest on."""
    if not precision.comparisons:
        return []
    planning = precision.planning
    keys = (
        (compared.comparison.dataset, side.policy)
        for compared in precision.comparisons
        for side in (compared.comparison.left, compared.comparison.right)
    )
    known = {f"{dataset}, {policy}": planning.accuracy_of(dataset, policy) for dataset, policy in keys}
    values = set(known.values())
    given = (
        f"{values.pop():g}"
        if len(values) == 1
        else "; ".join(f"{name} {value:g}" for name, value in known.items())
    )
    return [
        f"accuracies: {given} (accuracy), the same for all strategies of a policy; intervals are widest at "
        "0.5",
        f"half-widths of {precision.level:.0%} intervals in points, of one part alone: an effect as large is "
        "decided by one study of two, one 1.4 times as large by four of five",
    ]


def _header(precision: PrecisionForecast) -> list[str]:
    return ["half-width", f"problems for {100 * precision.planning.decide:g} points"]


def _range(texts: Sequence[str]) -> str:
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"
