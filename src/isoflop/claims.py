"""Wu et al. 2024's eight claims as tests on the curves: a statistic, its interval, a verdict.

Statistics are written so that a positive one speaks for the claim. A part (one policy, one pair of sizes) is
supported where the interval of its statistic is above 0, contradicted where it is below, else undecided. A
claim is supported if some part is and none is contradicted, contradicted if some part is and none supported,
and undecided otherwise.

Accuracies at the same compute are read off the curves by linear interpolation in the logarithm of FLOPs,
within what was measured; the draws of the bootstrap are common to all curves of a data set, so differences
are paired. Where compute matters, every claim is tested under two cost models: `wu2024`, which leaves the
verifier out, and `total`.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isoflop.claim_parts import ANY, UNDECIDED, Part, decided, measured_part
from isoflop.monotone import Line
from isoflop.publishing import (
    PublishSpec,
    Tables,
    curve,
    headline_strategy,
    levels,
    of_generator,
    of_strategy,
    sampled_generators,
    strategies,
)
from isoflop.strategy import NEEDS_VERIFIER, Strategy

Floats = NDArray[np.float64]

COST_MODELS = ("wu2024", "total")
# Levels 1 and 2 are easy, those above hard (Wu et al. 2024, Figure 8).
_EASIEST_HARD_LEVEL = 3
# What an accuracy may still gain from the second half of the budget where it counts as saturated.
SATURATED = 0.01

CLAIMS = {
    1: "With one strategy, small models are better at low compute, and larger ones later: curves cross.",
    2: "The compute-optimal size grows as a power of compute.",
    3: "REBASE is Pareto-optimal: at every compute no other strategy has a lower error.",
    4: "REBASE at a fraction of the compute matches weighted voting over samples at its largest budget.",
    5: "Weighted voting is at least as good as majority voting; under REBASE the gap is smaller.",
    6: "Search gains more on hard problems than on easy ones.",
    7: "MCTS is below sampling at equal compute.",
    8: "Accuracy saturates: the second half of the samples gains less than a point.",
}


def claims(tables: Tables, spec: PublishSpec) -> list[Part]:
    """Every part of every claim, by data set, claim, cost model and part."""
    test = _Tests(tables, spec)
    return [part for dataset in spec.datasets for number in CLAIMS for part in test.of(number, dataset)]


class _Tests:
    """The tests of one experiment."""

    def __init__(self, tables: Tables, spec: PublishSpec) -> None:
        self._tables, self._spec = tables, spec
        self._kinds = {kind: name for name, kind in reversed(list(spec.searches.items()))}
        generators = sampled_generators(tables.curves, spec)
        self._sampling = generators[0] if generators[0] not in spec.searches else None
        self._headline = headline_strategy(tables.curves, spec)

    def of(self, claim: int, dataset: str) -> Iterator[Part]:
        """The parts of one claim."""
        tests: dict[int, Callable[[str, str], Iterator[Part]]] = {
            1: self._sizes_cross,
            2: self._optimal_size,
            3: self._pareto,
            4: self._fraction,
            6: self._by_level,
            7: self._mcts,
        }
        found = False
        if claim in tests:
            for cost in COST_MODELS:
                for part in tests[claim](dataset, cost):
                    found = True
                    yield part
        else:
            for part in self._gap(dataset) if claim == 5 else self._saturated(dataset):
                found = True
                yield part
        if not found:
            nan = float("nan")
            note = "the experiment has not what this claim is about"
            yield Part(claim, dataset, ANY, "all", "none", nan, nan, nan, UNDECIDED, note)

    def _part(
        self, claim: int, dataset: str, cost: str, part: str, statistic: str, draws: Floats, note: str = ""
    ) -> Part:
        """A part whose statistic is `draws[0]`, [1 + draws]."""
        return measured_part(claim, dataset, cost, part, statistic, draws, self._spec.level, note)

    def _draws(self, rows: pd.DataFrame) -> Floats:
        """Accuracies and their draws, [rows, 1 + draws]."""
        measured = rows["accuracy"].to_numpy(np.float64)[:, None]
        return np.hstack([measured, self._tables.paired[rows.index.to_numpy()].astype(np.float64)])

    def _line(
        self, dataset: str, policy: str, strategy: Strategy, cost: str, subset: str = "all"
    ) -> Line | None:
        rows = curve(self._tables.curves, dataset, policy, strategy, subset)
        if rows.empty:
            return None
        x = np.log(rows[f"flops_{cost}"].to_numpy(np.float64))
        order = np.argsort(x, kind="stable")
        return Line(x[order], self._draws(rows)[order])

    def _at_budget(self, dataset: str, policy: str, strategy: Strategy, budget: int) -> Floats | None:
        rows = curve(self._tables.curves, dataset, policy, strategy)
        rows = rows[rows["budget"] == budget]
        return None if rows.empty else self._draws(rows)[0]

    def _sizes_cross(self, dataset: str, cost: str) -> Iterator[Part]:
        """1: at the dearer model's least compute the smaller is ahead, at the smaller's most it is behind."""
        for small, large in pairwise(self._spec.policies):
            one = self._line(dataset, small, self._headline, cost)
            other = self._line(dataset, large, self._headline, cost)
            if one is None or other is None or one.x[-1] <= other.x[0]:
                continue
            first = one.at(other.x[0]) - other.at(other.x[0])
            last = other.at(one.x[-1]) - one.at(one.x[-1])
            name = "smaller of: small ahead at low compute, large ahead at high"
            yield self._part(1, dataset, cost, f"{small} and {large}", name, np.minimum(first, last))

    def _optimal_size(self, dataset: str, cost: str) -> Iterator[Part]:
        """2: the exponent of the regression, where it holds."""
        rows = of_strategy(self._tables.fits, dataset, "all", self._headline)
        rows = rows[(rows["cost_model"] == f"flops_{cost}") & (rows["fit"] == "optimal_size")]
        alpha = rows[rows["parameter"] == "alpha"]
        if len(self._spec.policies) < 2 or rows.empty:
            return
        status = str(rows["status"].iloc[0])
        if alpha.empty or status != "ok":
            nan = float("nan")
            yield Part(2, dataset, cost, "all sizes", "alpha", nan, nan, nan, UNDECIDED, f"no fit: {status}")
            return
        value, low, high = (float(alpha[name].iloc[0]) for name in ("value", "ci_low", "ci_high"))
        yield Part(2, dataset, cost, "all sizes", "alpha", value, low, high, decided(low, high))

    def _pareto(self, dataset: str, cost: str) -> Iterator[Part]:
        """3: accuracy of REBASE minus that of the best other strategy, at its worst budget."""
        if "rebase" not in self._kinds:
            return
        others = [
            one
            for one in strategies(self._tables.curves, self._spec)
            if one.generator != self._kinds["rebase"]
        ]
        for policy in self._spec.policies:
            own = self._line(dataset, policy, of_generator(self._headline, self._kinds["rebase"]), cost)
            lines = [self._line(dataset, policy, one, cost) for one in others]
            if own is None:
                continue
            ahead = []
            for x, accuracy in zip(own.x, own.draws, strict=True):
                # A cheaper choice counts at its dearest point: spending less is allowed.
                rivals = [
                    line.at(min(x, line.x[-1])) for line in lines if line is not None and line.x[0] <= x
                ]
                if rivals:
                    ahead.append(accuracy - np.max(rivals, axis=0))
            if ahead:
                name = "accuracy ahead of the best other strategy, at the worst budget"
                yield self._part(3, dataset, cost, policy, name, np.min(ahead, axis=0))

    def _fraction(self, dataset: str, cost: str) -> Iterator[Part]:
        """4: how many times less compute (as a logarithm) REBASE needs for sampling's last accuracy."""
        if "rebase" not in self._kinds or self._sampling is None:
            return
        for policy in self._spec.policies:
            own = self._line(dataset, policy, of_generator(self._headline, self._kinds["rebase"]), cost)
            sampled = self._line(dataset, policy, self._headline, cost)
            if own is None or sampled is None:
                continue
            needed = own.first_reached(sampled.draws[-1])
            saved = np.where(np.isfinite(needed), (sampled.x[-1] - needed) / np.log(10), -np.inf)
            note = "" if np.isfinite(saved[0]) else "sampling's last accuracy is not reached"
            yield self._part(4, dataset, cost, policy, "log10 of the factor of compute saved", saved, note)

    def _gap(self, dataset: str) -> Iterator[Part]:
        """5: weighted minus majority at the largest budget; and how much smaller that is under REBASE."""
        weighted, majority = (self._selector(name) for name in ("weighted", "majority"))
        if self._sampling is None or weighted is None or majority is None:
            return
        for policy in self._spec.policies:
            rows = curve(self._tables.curves, dataset, policy, weighted)
            if rows.empty:
                continue
            gap = self._gap_at(dataset, policy, int(rows["budget"].max()), self._sampling)
            if gap is not None:
                yield self._part(5, dataset, ANY, policy, "weighted minus majority, most samples", gap)
            search = self._kinds.get("rebase")
            if search is None:
                continue
            shared = set(rows["budget"]) & set(
                curve(self._tables.curves, dataset, policy, of_generator(weighted, search))["budget"]
            )
            if shared:
                budget = int(max(shared))
                pair = [self._gap_at(dataset, policy, budget, name) for name in (self._sampling, search)]
                if pair[0] is not None and pair[1] is not None:
                    name = f"gap over samples minus gap under REBASE, budget {budget}"
                    yield self._part(5, dataset, ANY, policy, name, pair[0] - pair[1])

    def _gap_at(self, dataset: str, policy: str, budget: int, generator: str) -> Floats | None:
        found = []
        for name in ("weighted", "majority"):
            strategy = self._selector(name)
            if strategy is None:
                return None
            values = self._at_budget(dataset, policy, of_generator(strategy, generator), budget)
            if values is None:
                return None
            found.append(values)
        return found[0] - found[1]

    def _selector(self, name: str) -> Strategy | None:
        """The headline's strategy with another selector, where the curves have it."""
        if name in NEEDS_VERIFIER and not self._spec.verifiers:
            return None
        strategy = headline_strategy(self._tables.curves, self._spec, name)
        have = self._tables.curves[["generator", "selector"]].eq([strategy.generator, name]).all(axis=1)
        return strategy if have.any() else None

    def _by_level(self, dataset: str, cost: str) -> Iterator[Part]:
        """6: what REBASE gains over sampling at its largest budget, on hard problems minus on easy ones."""
        names = levels(self._tables.curves, dataset)
        if "rebase" not in self._kinds or self._sampling is None or not names:
            return
        search = of_generator(self._headline, self._kinds["rebase"])
        for policy in self._spec.policies:
            gains: dict[bool, list[tuple[int, Floats]]] = {True: [], False: []}
            for level in names:
                own = self._line(dataset, policy, search, cost, level)
                sampled = self._line(dataset, policy, self._headline, cost, level)
                if own is None or sampled is None or not sampled.holds(own.x[-1]):
                    continue
                rows = curve(self._tables.curves, dataset, policy, search, level)
                hard = int(level) >= _EASIEST_HARD_LEVEL
                gain = own.draws[-1] - sampled.at(own.x[-1])
                gains[hard].append((int(rows["problems"].iloc[0]), gain))
            if gains[True] and gains[False]:
                hard_gain, easy_gain = (_mean(gains[hard]) for hard in (True, False))
                name = "gain of REBASE on hard problems minus on easy ones"
                yield self._part(6, dataset, cost, policy, name, hard_gain - easy_gain)

    def _mcts(self, dataset: str, cost: str) -> Iterator[Part]:
        """7: sampling minus MCTS at the same compute, mean over its budgets."""
        if "mcts" not in self._kinds or self._sampling is None:
            return
        for policy in self._spec.policies:
            own = self._line(dataset, policy, of_generator(self._headline, self._kinds["mcts"]), cost)
            sampled = self._line(dataset, policy, self._headline, cost)
            if own is None or sampled is None:
                continue
            ahead = [
                sampled.at(x) - accuracy
                for x, accuracy in zip(own.x, own.draws, strict=True)
                if sampled.holds(x)
            ]
            if ahead:
                yield self._part(7, dataset, cost, policy, "sampling minus MCTS", np.mean(ahead, axis=0))

    def _saturated(self, dataset: str) -> Iterator[Part]:
        """8: a point minus what the second half of the samples gains."""
        if self._sampling is None:
            return
        for policy in self._spec.policies:
            rows = curve(self._tables.curves, dataset, policy, self._headline)
            most = int(rows["budget"].max()) if not rows.empty else 0
            pair = [self._at_budget(dataset, policy, self._headline, one) for one in (most, most // 2)]
            if pair[0] is not None and pair[1] is not None:
                name = f"one point minus the gain from {most // 2} to {most} samples"
                yield self._part(8, dataset, ANY, policy, name, SATURATED - (pair[0] - pair[1]))


def _mean(weighted: Sequence[tuple[int, Floats]]) -> Floats:
    """The mean of the levels' gains, by their numbers of problems."""
    total = sum(count for count, _ in weighted)
    result: Floats = np.sum([count * gain for count, gain in weighted], axis=0) / total
    return result
