"""Snell et al. 2024's six claims as tests: parts with joint draws, quantifiers, verdicts
(isoflop.verdicts.judge).

Strategies are compared at equal numbers of samples, as in the paper, where a lookahead search counts as N (k
+ 1), at equal total FLOPs, and at equal cost by every further cost model of the study. One of them is taken
where it was measured, the other is read at that cost: linear between its budgets in the logarithm of the
cost, and up to twice its largest, whose accuracy it keeps there. Every claim is about the mean over policies
and families, each of which is a part. Bins are told by other samples than those measured in them
(isoflop.allocation.choice), and choices are made on other problems than those they are measured on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isoflop.allocation.choice import Bins, ChoiceCurve
from isoflop.allocation.elements import Vector, drawn_element, groups, half_difference, within
from isoflop.allocation.exchange_study import Exchanged, exchange_costs
from isoflop.allocation.options import GENERATIONS, Options
from isoflop.allocation.study import Studied
from isoflop.arrays import Floats, Ints
from isoflop.fits.bootstrap import percentile_interval
from isoflop.fits.evidence import Evidence
from isoflop.registries import COST_MODELS
from isoflop.verdicts.factors import Factor
from isoflop.verdicts.judge import ClaimJudged, Found, Partly, judge_found
from isoflop.verdicts.statements import FEWEST_PROBLEMS, Element, Part, Statement, mean_of_parts, mean_part

CLAIMS = {
    1: "Beam search beats best-of-n at low budgets and loses its lead, or falls below, at high ones.",
    2: "Lookahead search is below beam search at equal generation budget.",
    3: "Beam search over-optimises on easy problems and gains on medium ones; on the hardest nothing helps.",
    4: "The best strategy per difficulty needs less compute than best-of-n; predicted difficulty will do.",
    5: "Sequential revisions beat parallel samples at equal number, and more so on easy problems.",
    6: "At matched compute a small model beats a larger one on easy and medium problems if R is small; "
    "pretraining wins on hard ones or if R is large.",
}

# The paper does not charge for telling difficulty; claims under this cost do.
CHARGED = "difficulty charged"
# What the most difficult problems may still gain where nothing helps, and how near predicted bins must come.
NOTHING = 0.05
NEAR = 0.02

_BINS = f"needs oracle bins of {FEWEST_PROBLEMS} problems each, told by samples that are not measured"

# What strategies are compared at equal numbers of.
_USUAL_AXES = {GENERATIONS: "samples", "flops_total": "FLOPs"}
# A cost that differs by rounding alone is the same.
_ROUNDING = 1e-9
# How many times its largest budget a strategy may be given without making use of it.
_UNSPENT = 2.0


@dataclass(frozen=True)
class _Setting:
    """Everything studied on one data set. `kinds`: of the generators. `axes`: what strategies are compared at
    equal amounts of, columns of cost models or GENERATIONS, with what each is called.
    """

    studied: Sequence[Studied]
    kinds: Mapping[str, str]
    evidence: Evidence
    axes: Mapping[str, str]

    def drawn(self, draws: Floats, problems: float | None = None, rare: float = 0.0) -> Element:
        """An element of some problems, or of all (isoflop.allocation.elements)."""
        return drawn_element(draws, problems or self.evidence.count, self.evidence.level, rare)

    def members(self, study: Studied, kind: str) -> list[str]:
        """A family's members whose generator is of a kind."""
        names = dict.fromkeys(study.options.members)
        return [name for name in names if self.kinds.get(name.partition("+")[0].partition("/")[0]) == kind]


def snell_claims(
    studied: Sequence[Studied],
    exchanged: Sequence[Exchanged],
    kinds: Mapping[str, str],
    level: float,
    costs: Sequence[str] = (),
) -> list[ClaimJudged]:
    """Every claim on every data set, under every cost that it depends on.

    `kinds`: each generator's kind, by its entry in the config; `level`: of the intervals. `costs`: cost
    models beyond those of every study.
    """
    judged = []
    units = {COST_MODELS[name].column: COST_MODELS[name].unit for name in costs}
    for dataset in dict.fromkeys(study.dataset for study in studied):
        studies = [study for study in studied if study.dataset == dataset]
        evidence = Evidence(dataset, studies[0].options.problems, None, {}, studies[0].weights, level)
        setting = _Setting(studies, kinds, evidence, _USUAL_AXES | units)
        swaps = [swap for swap in exchanged if swap.dataset == dataset]
        for number, cost, finding in _found(setting, swaps, exchange_costs(costs)):
            judged.append(judge_found(number, CLAIMS[number], finding, evidence, cost))
    return judged


def _found(
    setting: _Setting, swaps: Sequence[Exchanged], exchanged_at: Sequence[str]
) -> Iterator[tuple[int, str, Found]]:
    """Number, cost and statements of every claim."""
    for number, test in ((1, _lead), (2, _lookahead), (3, _over_optimisation)):
        for axis in setting.axes:
            yield number, axis.removeprefix("flops_"), test(setting, axis)
    for axis in setting.axes:
        cost = axis.removeprefix("flops_")
        yield 4, cost, _saved(setting, axis, charged=False)
        yield 4, f"{cost}, {CHARGED}", _saved(setting, axis, charged=True)
    for axis in setting.axes:
        yield 5, axis.removeprefix("flops_"), _sequential(setting, axis)
    for cost in exchanged_at:
        yield 6, cost, _exchanged(setting, [swap for swap in swaps if swap.cost_model == cost])


def _lead(setting: _Setting, axis: str) -> Found:
    first, shrinks = [], []
    for study in setting.studied:
        for beam in setting.members(study, "beam"):
            compared = _compared(study.options, beam, study.baseline, axis)
            if len(compared) < 2:
                continue
            leads = [at.ahead(study.options) for at in (compared[0], compared[-1])]
            low, high = (f"{at.cost:.3g} {setting.axes[axis]}" for at in (compared[0], compared[-1]))
            name = f"{_name(study)}, {beam}"
            first.append(mean_part(name, f"beam minus best-of-n at {low}", leads[0], setting.evidence))
            # Halved, so that it is a difference of accuracies, in [-1, 1].
            statistic = f"half of: lead at {low} minus lead at {high}"
            shrinks.append(mean_part(name, statistic, (leads[0] - leads[1]) / 2, setting.evidence))
    if not first:
        return "needs a generator of kind beam and sampling with two budgets in common"
    level = setting.evidence.level
    return (
        mean_of_parts("beam search is ahead at its least budget", first, level),
        mean_of_parts("its lead is smaller at the largest", shrinks, level),
    )


def _lookahead(setting: _Setting, axis: str) -> Found:
    parts = []
    for study in setting.studied:
        for ahead in setting.members(study, "lookahead"):
            for beam in setting.members(study, "beam"):
                compared = _compared(study.options, ahead, beam, axis)
                if compared:
                    statistic = f"beam minus lookahead, mean of {len(compared)} budgets"
                    behind = -_mean_ahead(compared)(study.options)
                    name = f"{_name(study)}, {beam} and {ahead}"
                    parts.append(mean_part(name, statistic, behind, setting.evidence))
    if not parts:
        return "needs generators of kinds beam and lookahead whose costs overlap"
    return (mean_of_parts("lookahead search is below beam search", parts, setting.evidence.level),)


def _over_optimisation(setting: _Setting, axis: str) -> Found:
    falls: list[Part] = []
    gains: list[Part] = []
    rest: list[Part] = []
    beams = [study for study in setting.studied if setting.members(study, "beam")]
    for study in beams:
        bins = study.bins.get("oracle")
        thirds = None if bins is None else groups(bins)
        if bins is None or thirds is None:
            continue
        easy, medium, hard = zip(*thirds, strict=True)
        for beam in setting.members(study, "beam"):
            name = f"{_name(study)}, {beam}"
            points = bins.options.of(beam)
            compared = _compared(bins.options, beam, study.baseline, axis)
            if points.size < 2 or not compared:
                continue
            least, most = int(points[0]), int(points[-1])
            fall = within(bins, _difference(least, most), easy, setting.evidence)
            falls.append(Part(name, "easiest bin: beam at its least budget minus at its largest", (fall,)))
            gain = within(bins, _mean_ahead(compared), medium, setting.evidence)
            gains.append(Part(name, "medium bins: beam minus best-of-n, mean over budgets", (gain,)))
        rest += _hardest(setting, study, bins, hard)
    if not falls:
        return _BINS if beams else "needs a generator of kind beam and sampling with two budgets in common"
    level = setting.evidence.level
    return (
        mean_of_parts("on the easiest bin beam search falls as its budget grows", falls, level),
        mean_of_parts("on medium bins beam search is ahead of best-of-n", gains, level),
        Statement(f"on the hardest bin no strategy gains {100 * NOTHING:g} points", "for all", tuple(rest)),
    )


def _hardest(
    setting: _Setting, study: Studied, bins: Bins, hard: Sequence[NDArray[np.bool_]]
) -> Iterator[Part]:
    """For every strategy, by how much its gain from least to largest budget stays below NOTHING."""
    for member in dict.fromkeys(bins.options.members):
        points = bins.options.of(member)
        if points.size < 2:
            continue
        gain = within(bins, _difference(int(points[-1]), int(points[0])), hard, setting.evidence)
        low, high = gain.interval
        short = Element(NOTHING - gain.draws, gain.error, type(gain.interval)(NOTHING - high, NOTHING - low))
        yield Part(
            f"{_name(study)}, {member}", f"hardest bin: {NOTHING:g} minus the gain from more budget", (short,)
        )


def _saved(setting: _Setting, axis: str, *, charged: bool) -> Found:
    """Whether choices gain and, where telling difficulty is free, how near predicted bins come."""
    ahead, near = [], []
    for study in setting.studied:
        curve, predicted = (study.curves.get((axis, kind)) for kind in ("oracle", "predicted"))
        if curve is None or not _has_choice(curve):
            continue
        ahead.append(_part_ahead(setting, study, curve, charged=charged))
        if predicted is not None and not charged:
            several = predicted.between > 1
            gain = (curve.accuracy - curve.baseline)[several].mean(axis=0)
            gap = (curve.accuracy - predicted.accuracy)[several].mean(axis=0)
            # Predicted bins that come near to no gain at all are no evidence.
            statistic = f"least of: gain by oracle bins, {NEAR:g} minus what predicted bins lose to them"
            elements = (setting.drawn(gain), setting.drawn(NEAR - gap))
            near.append(Part(f"{_name(study)}, mean over budgets", statistic, elements))
    if not ahead:
        return (
            "needs compute_optimal families with several strategies at one budget, and oracle bins told by "
            "samples that are not measured"
        )
    level = setting.evidence.level
    where = "where the baseline comes within a point of its best"
    if charged:
        text = f"with its cost, choice per oracle bin is ahead {where}, or at the least compute that buys it"
        return (mean_of_parts(text, ahead, level),)
    # Where options are alike, a choice by luck costs accuracy that the best strategy would not.
    first = replace(mean_of_parts(f"choice per oracle bin is ahead {where}", ahead, level), lower_bound=True)
    if not near:
        return Partly((first,), "its second part needs predicted difficulty")
    text = f"oracle bins gain, and predicted bins lose less than {100 * NEAR:g} points to them"
    return (first, replace(mean_of_parts(text, near, level), lower_bound=True))


def _has_choice(curve: ChoiceCurve) -> bool:
    several = len(set(curve.options.members)) > 1
    return several and curve.targets.size > 1 and bool((curve.between > 1).any())


def _part_ahead(setting: _Setting, study: Studied, curve: ChoiceCurve, *, charged: bool) -> Part:
    """The choice minus the baseline where the baseline comes within a point of its best.

    If telling difficulty costs more than that, at the least compute at which the choice can be had; beyond
    its largest budget the baseline keeps what that has.
    """
    choice, baseline = curve.lines(charged=charged)
    x = max(float(baseline.x[curve.knee]), float(choice.x[0]))
    draws = choice.at(min(x, float(choice.x[-1]))) - baseline.at(min(x, float(baseline.x[-1])))
    saved = np.exp((curve.saved_charged if charged else curve.saved)[curve.knee])
    factor = Factor(float(saved[0]), *percentile_interval(saved[1:], setting.evidence.level))
    statistic = f"choice minus {study.baseline} at {np.exp(x):.3g}"
    note = f"compute saved within a point of the baseline's best: {factor.text}"
    return Part(_name(study), statistic, (setting.drawn(draws),), note)


def _sequential(setting: _Setting, axis: str) -> Found:
    ahead, easier = [], []
    for study in setting.studied:
        lengths = sorted(
            (int(name.rpartition("/")[2]), name)
            for name in setting.members(study, "revisions")
            if "/" in name
        )
        if len(lengths) < 2:
            continue
        (_, parallel), (length, sequential) = lengths[0], lengths[-1]
        compared = _compared(study.options, sequential, parallel, axis)
        if not compared:
            continue
        statistic = f"chains of {length} minus parallel samples, mean of {len(compared)} budgets"
        values = _mean_ahead(compared)(study.options)
        ahead.append(mean_part(_name(study), statistic, values, setting.evidence))
        bins = study.bins.get("oracle")
        thirds = None if bins is None else groups(bins)
        if bins is None or thirds is None:
            continue
        compared = _compared(bins.options, sequential, parallel, axis)
        if compared:
            easy, _, hard = zip(*thirds, strict=True)
            vector = _mean_ahead(compared)
            sides = [within(bins, vector, members, setting.evidence) for members in (easy, hard)]
            statistic = "half of: that gain on the easiest bin minus on the hardest"
            element = half_difference(sides[0], sides[1], setting.evidence.level)
            easier.append(Part(_name(study), statistic, (element,)))
    if not ahead:
        return "needs chains of revisions of two lengths with a number of answers in common in one family"
    level = setting.evidence.level
    statements = [mean_of_parts("sequential revisions are ahead of parallel samples", ahead, level)]
    if not easier:
        return f"{_BINS}, for how much more revisions gain on easy problems"
    statements.append(mean_of_parts("the gain is larger on the easiest bin", easier, level))
    return tuple(statements)


def _exchanged(setting: _Setting, swaps: Sequence[Exchanged]) -> Found:
    """Easy and medium bins and the hardest bin at the smallest R, all problems at the largest."""
    kind = next((kind for kind in ("oracle", "level") if any(swap.kind == kind for swap in swaps)), None)
    easier, hardest, overall = [], [], []
    for name, group in _by_pair(swaps, kind).items():
        ratios = sorted({swap.ratio for swap in group})
        least = {swap.bin: swap for swap in group if swap.ratio == ratios[0]}
        most = next(swap for swap in group if swap.ratio == ratios[-1] and swap.bin == 0)
        bins = sorted(set(least) - {0})
        if len(bins) < 2 or len(ratios) < 2 or min(least[name].problems for name in bins) < FEWEST_PROBLEMS:
            continue
        note = "" if most.enough else "measured up to less compute than is matched at the largest R"
        short = "" if least[0].enough else "the small model was measured up to less compute than is matched"
        at, last = f"at R = {ratios[0]:g}", bins[-1]
        gaps = [least[name].small - least[name].large for name in bins[:-1]]
        mean: Floats = np.mean([np.where(np.isfinite(gap), gap, gap[0]) for gap in gaps], axis=0)
        easy = sum(least[name].problems for name in bins[:-1])
        statistic = f"small minus large {at}, mean of all bins but the hardest"
        easier.append(Part(name, statistic, (setting.drawn(mean, easy),), short))
        gap = least[last].large - least[last].small
        statistic = f"large minus small {at}, hardest bin"
        element = setting.drawn(gap, least[last].problems, float(least[last].small[0]))
        hardest.append(Part(name, statistic, (element,), short))
        gap = most.large - most.small
        statistic = f"large minus small at R = {ratios[-1]:g}, all problems"
        overall.append(Part(name, statistic, (setting.drawn(gap),), note))
    if not easier:
        return (
            "needs exchange: pairs of a smaller and a larger model, two ratios, and bins of "
            f"{FEWEST_PROBLEMS} problems"
        )
    level = setting.evidence.level
    return (
        mean_of_parts("at the smallest R the small model is ahead on easy and medium bins", easier, level),
        mean_of_parts("at the smallest R the large model is ahead on the hardest bin", hardest, level),
        mean_of_parts("at the largest R the large model is ahead", overall, level),
    )


def _by_pair(swaps: Sequence[Exchanged], kind: str | None) -> dict[str, list[Exchanged]]:
    pairs: dict[str, list[Exchanged]] = {}
    for swap in swaps:
        if swap.kind == kind:
            pairs.setdefault(f"{swap.small_policy} and {swap.large_policy}, {swap.family}", []).append(swap)
    return pairs


def _name(study: Studied) -> str:
    return f"{study.policy}, {study.family}"


class _Compared(NamedTuple):
    """An option at its cost, with the shares of other options that make up another member at that cost."""

    cost: float
    option: int
    others: Ints
    shares: Floats

    def ahead(self, options: Options) -> Floats:
        """Credits of the option minus the other member's, by problem."""
        gap: Floats = options.credits[self.option] - self.shares @ options.credits[self.others]
        return gap


def _compared(options: Options, left: str, right: str, axis: str) -> list[_Compared]:
    """Every option of one member at whose cost the other can be read, by rising cost."""
    costs = options.costs[axis].mean(axis=1)
    others = options.of(right)
    others = others[np.argsort(costs[others], kind="stable")]
    x = np.log(costs[others])
    compared = [
        _Compared(
            float(costs[option]),
            int(option),
            others,
            np.array([np.interp(np.log(costs[option]), x, row) for row in np.eye(x.size)]),
        )
        for option in options.of(left)
        if others.size and costs[others[0]] * (1 - _ROUNDING) <= costs[option] < costs[others[-1]] * _UNSPENT
    ]
    # By rising cost, which is that of the budgets except for measured times.
    return sorted(compared, key=lambda at: at.cost)


def _difference(left: int, right: int) -> Vector:
    return lambda options: options.credits[left] - options.credits[right]


def _mean_ahead(compared: Sequence[_Compared]) -> Vector:
    def vector(options: Options) -> Floats:
        mean: Floats = np.mean([at.ahead(options) for at in compared], axis=0)
        return mean

    return vector
