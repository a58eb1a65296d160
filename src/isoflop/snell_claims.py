"""Snell et al. 2024's six claims as tests on choices, curves by difficulty and exchanges.

How a verdict comes of parts is in isoflop.claim_parts. Strategies are compared at equal numbers of samples,
as in the paper; a lookahead search counts as N (k + 1).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from isoflop.choice_study import Studied
from isoflop.claim_parts import ANY, UNDECIDED, Part, measured_part
from isoflop.exchange_study import Exchanged
from isoflop.monotone import Line
from isoflop.options import GENERATIONS

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CLAIMS = {
    1: "Beam search beats best-of-n at low budgets and loses its lead, or falls below, at high ones.",
    2: "Lookahead search is below beam search at equal generation budget.",
    3: "Beam search over-optimises on easy problems and gains on medium ones; on the hardest nothing helps.",
    4: "The best strategy per difficulty needs less compute than best-of-n; predicted difficulty will do.",
    5: "Sequential revisions beat parallel samples at equal number, and more so on easy problems.",
    6: "At matched compute a small model beats a larger one on easy and medium problems if R is small; "
    "pretraining wins on hard ones or if R is large.",
}

# The paper does not charge for telling difficulty; parts under this cost do.
CHARGED = "difficulty charged"
# What the most difficult problems may still gain where nothing helps, and how near predicted bins must come.
NOTHING = 0.05
NEAR = 0.02


def snell_claims(
    studied: Sequence[Studied], exchanged: Sequence[Exchanged], kinds: Mapping[str, str], level: float
) -> list[Part]:
    """Every part of every claim. `kinds`: each generator's kind; `level`: of the intervals."""
    test = _Tests(kinds, level)
    found: list[Part] = []
    for dataset in dict.fromkeys(one.dataset for one in studied):
        own = [one for one in studied if one.dataset == dataset]
        swaps = [one for one in exchanged if one.dataset == dataset]
        for claim in CLAIMS:
            parts = list(test.exchange(swaps)) if claim == 6 else list(test.of(claim, own))
            nan = float("nan")
            note = "the experiment has not what this claim is about"
            found += parts or [Part(claim, dataset, ANY, "all", "none", nan, nan, nan, UNDECIDED, note)]
    return found


class _Tests:
    def __init__(self, kinds: Mapping[str, str], level: float) -> None:
        self._kinds, self._level = kinds, level

    def of(self, claim: int, studied: Sequence[Studied]) -> Iterator[Part]:
        """The parts of a claim about strategies."""
        tests: dict[int, Callable[[Studied], Iterator[Part]]] = {
            1: self._lead,
            2: self._lookahead,
            3: self._over_optimisation,
            4: self._saved,
            5: self._sequential,
        }
        for one in studied:
            yield from tests[claim](one)

    def _part(self, claim: int, one: Studied, statistic: str, draws: Floats, cost: str = GENERATIONS) -> Part:
        name = f"{one.policy}, {one.family}"
        note = "" if np.isfinite(draws[0]) else "the baseline's last accuracy is not reached"
        return measured_part(claim, one.dataset, cost, name, statistic, draws, self._level, note)

    def _first(self, one: Studied, kind: str) -> str | None:
        """The family's first generator of a kind."""
        names = dict.fromkeys(one.options.members)
        return next((name for name in names if self._kinds.get(name.partition("+")[0]) == kind), None)

    def _lead(self, one: Studied) -> Iterator[Part]:
        beam = self._first(one, "beam")
        shared = [] if beam is None else _shared(one, beam, one.baseline)
        if len(shared) < 2:
            return
        leads = [one.accuracy(left) - one.accuracy(right) for left, right, _ in (shared[0], shared[-1])]
        low, high = shared[0][2], shared[-1][2]
        yield self._part(1, one, f"beam minus best-of-n at {low:g} samples", leads[0])
        yield self._part(1, one, f"lead at {low:g} samples minus lead at {high:g}", leads[0] - leads[1])

    def _lookahead(self, one: Studied) -> Iterator[Part]:
        beam, ahead = self._first(one, "beam"), self._first(one, "lookahead")
        if beam is None or ahead is None:
            return
        samples = np.log(one.options.costs[GENERATIONS].mean(axis=1))
        beams = one.options.of(beam)
        # Lookahead counts as N (k + 1), which beam search need not have been given.
        line = Line(samples[beams], np.array([one.accuracy(int(option)) for option in beams]))
        places = [int(option) for option in one.options.of(ahead) if line.holds(samples[option])]
        if places:
            gaps = [line.at(samples[option]) - one.accuracy(option) for option in places]
            name = f"beam minus lookahead, mean of {len(places)} budgets"
            yield self._part(2, one, name, np.mean(gaps, axis=0))

    def _over_optimisation(self, one: Studied) -> Iterator[Part]:
        beam = self._first(one, "beam")
        how = one.bins["oracle"].bins
        groups = _thirds(how)
        shared = [] if beam is None else _shared(one, beam, one.baseline)
        if len(shared) < 2 or groups is None:
            return
        easy, medium, hard = groups
        beams = one.options.of(str(beam))
        curve = [one.accuracy(int(option), easy) for option in beams]
        yield self._part(
            3, one, "easiest bin: beam at its least budget minus at its largest", curve[0] - curve[-1]
        )
        gains = [one.accuracy(left, medium) - one.accuracy(right, medium) for left, right, _ in shared]
        yield self._part(3, one, "medium bins: beam minus best-of-n, mean", np.mean(gains, axis=0))
        best = np.max(
            [
                one.accuracy(int(options[-1]), hard) - one.accuracy(int(options[0]), hard)
                for options in (one.options.of(name) for name in dict.fromkeys(one.options.members))
                if options.size > 1
            ],
            axis=0,
        )
        yield self._part(
            3, one, f"hardest bin: {NOTHING:g} minus the largest gain from any budget", NOTHING - best
        )

    def _saved(self, one: Studied) -> Iterator[Part]:
        for (axis, kind), curve in one.curves.items():
            if kind not in ("oracle", "predicted") or curve.targets.size < 2:
                continue
            label = "log10 of the factor of compute saved at best-of-n's last accuracy"
            saved = curve.saved[-1] / np.log(10)
            yield self._part(4, one, f"{label}, {kind} bins", saved, axis)
            charged = curve.saved_charged[-1] / np.log(10)
            yield self._part(4, one, f"{label}, {kind} bins", charged, f"{axis}, {CHARGED}")
        if (GENERATIONS, "predicted") in one.curves:
            oracle, predicted = (one.curves[GENERATIONS, kind] for kind in ("oracle", "predicted"))
            gain = (oracle.accuracy - oracle.baseline).mean(axis=0)
            gap = (oracle.accuracy - predicted.accuracy).mean(axis=0)
            # Predicted bins that come near to no gain at all are no evidence.
            name = f"smaller of: gain by oracle bins, {NEAR:g} minus what predicted bins lose to them"
            yield self._part(4, one, name, np.minimum(gain, NEAR - gap))

    def _sequential(self, one: Studied) -> Iterator[Part]:
        ratios = _chain_lengths(one, self._kinds)
        if len(ratios) < 2:
            return
        (_, parallel), (length, sequential) = ratios[0], ratios[-1]
        shared = _shared(one, sequential, parallel)
        if not shared:
            return
        left, right, samples = shared[-1]
        name = f"chains of {length} minus parallel samples, {samples:g} in all"
        yield self._part(5, one, name, one.accuracy(left) - one.accuracy(right))
        groups = _thirds(one.bins["oracle"].bins)
        if groups is not None:
            easy, _, hard = groups
            gain = [one.accuracy(left, members) - one.accuracy(right, members) for members in (easy, hard)]
            yield self._part(
                5, one, f"{name}: gain on the easiest bin minus on the hardest", gain[0] - gain[1]
            )

    def exchange(self, swaps: Sequence[Exchanged]) -> Iterator[Part]:
        """6: easy and medium bins at the smallest R, the hardest bin and all at the largest."""
        for group in _by_pair(swaps):
            ratios = sorted({one.ratio for one in group})
            last = max(one.bin for one in group)
            for one in group:
                name = f"{one.small_policy} and {one.large_policy}, {one.family}, R = {one.ratio:g}"
                where = "all problems" if one.bin == 0 else f"bin {one.bin}"
                ahead = one.small - one.large
                easier = 0 < one.bin < last
                if one.ratio == ratios[0] and easier:
                    draws, statistic = ahead, f"{where}: small minus large"
                elif one.bin == last or (one.ratio == ratios[-1] and one.bin == 0):
                    draws, statistic = -ahead, f"{where}: large minus small"
                else:
                    continue
                note = "" if one.enough else "measured up to less compute than is matched"
                yield measured_part(6, one.dataset, "wu2024", name, statistic, draws, self._level, note)


def _shared(one: Studied, left: str, right: str) -> list[tuple[int, int, float]]:
    """Options of two generators that count as equally many samples, by rising number."""
    samples = one.options.costs[GENERATIONS].mean(axis=1)
    other = {float(samples[option]): int(option) for option in one.options.of(right)}
    return [
        (int(option), other[float(samples[option])], float(samples[option]))
        for option in one.options.of(left)
        if float(samples[option]) in other
    ]


def _thirds(bins: NDArray[np.int64]) -> tuple[Bools, Bools, Bools] | None:
    """Problems of the easiest bin, of those between, of the hardest; None with fewer than three."""
    names = np.unique(bins)
    if names.size < 3:
        return None
    return bins == names[0], (bins != names[0]) & (bins != names[-1]), bins == names[-1]


def _chain_lengths(one: Studied, kinds: Mapping[str, str]) -> list[tuple[int, str]]:
    """Length and name of the revision generators of a family, by length."""
    names = [name for name in dict.fromkeys(one.options.members) if kinds.get(name) == "revisions"]
    return sorted((int(name.rpartition("/")[2]), name) for name in names)


def _by_pair(swaps: Sequence[Exchanged]) -> list[list[Exchanged]]:
    groups: dict[tuple[str, ...], list[Exchanged]] = {}
    for one in swaps:
        if one.kind == "oracle":
            groups.setdefault((one.small_policy, one.large_policy, one.family), []).append(one)
    return list(groups.values())
