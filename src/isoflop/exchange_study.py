"""Pretraining against test-time compute, per difficulty bin (Snell et al. 2024, section 7, Figure 9).

The larger model answers greedily; the smaller one chooses compute-optimally, per bin, within the compute
that makes both totals equal. Bins are the smaller model's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isoflop.bootstrap import subset_means
from isoflop.choice import at_cost
from isoflop.choice_study import Pair, Studied
from isoflop.errors import UserError
from isoflop.exchange import inference_multiplier
from isoflop.specs import ChooseSpec, ExchangePair

Floats = NDArray[np.float64]

# The cost of the exchange is that of generated tokens, as in the paper: 2 N each.
AXIS = "flops_wu2024"
_WHOLE = 0


@dataclass(frozen=True)
class Exchanged:
    """One comparison. `bin` is 0 for all problems. `small`, `large`: accuracies, [1 + draws].

    `multiplier`: how many times its own single answer's compute the small model may spend; `matched` the
    FLOPs per problem that this is, `spent` those of the largest budget within it. `enough`: whether the small
    model was measured up to there.
    """

    dataset: str
    small_policy: str
    large_policy: str
    family: str
    kind: str
    ratio: float
    size_ratio: float
    multiplier: float
    matched: float
    spent: float
    enough: bool
    bin: int
    problems: int
    small: Floats
    large: Floats


def exchanges(studied: Sequence[Studied], pairs: Sequence[Pair], spec: ChooseSpec) -> list[Exchanged]:
    """Every pair of models at every ratio, for all problems and for each bin.

    Raises UserError for a pair whose larger model is not the larger one, or has other problems.
    """
    by_name = {(pair.dataset, pair.policy): pair for pair in pairs}
    found = []
    for match in spec.exchange:
        for one in studied:
            other = by_name.get((one.dataset, match.large))
            if one.policy == match.small and other is not None:
                found += _compared(one, other, match, spec.ratios)
    return found


def _compared(one: Studied, other: Pair, match: ExchangePair, ratios: Sequence[float]) -> list[Exchanged]:
    greedy = _greedy(one, other, match)
    size_ratio = other.parameters / one.parameters
    single = one.options.of(one.baseline)[0]
    per_answer = float(one.options.costs[AXIS][single].mean()) / one.options.budgets[single]
    kinds = [kind for kind in ("oracle", "predicted") if (AXIS, kind) in one.curves]
    found = []
    for ratio in ratios:
        multiplier = inference_multiplier(size_ratio, ratio, match.data_ratio)
        matched = multiplier * per_answer
        for kind in kinds:
            curve, bins = one.curves[AXIS, kind], one.bins[kind].bins
            place = at_cost(curve, matched)
            if place is None:
                continue
            # More than was measured is enough too: what is missing can only speak for the small model.
            enough = place + 1 < curve.targets.size or matched <= curve.targets[-1] * (1 + 1e-9)
            small: Mapping[int, Floats] = {
                _WHOLE: curve.accuracy[place],
                **{name: curve.by_bin[row, place] for row, name in enumerate(curve.names)},
            }
            for name, accuracy in small.items():
                members = np.ones(bins.size, dtype=np.bool_) if name == _WHOLE else bins == name
                found.append(
                    Exchanged(
                        dataset=one.dataset,
                        small_policy=one.policy,
                        large_policy=other.policy,
                        family=one.family,
                        kind=kind,
                        ratio=ratio,
                        size_ratio=size_ratio,
                        multiplier=multiplier,
                        matched=matched,
                        spent=float(curve.targets[place]),
                        enough=enough,
                        bin=name,
                        problems=int(members.sum()),
                        small=accuracy,
                        large=subset_means(greedy, one.drawn, members),
                    )
                )
    return found


def _greedy(one: Studied, other: Pair, match: ExchangePair) -> Floats:
    """The larger model's greedy credit on the problems of the smaller one's study."""
    table = other.credits.get(match.greedy)
    if table is None:
        raise UserError(f"exchange: {match.large} has no candidates of {match.greedy} on {other.dataset}")
    rows = table.credits[table.credits["selector"] == "none"].sort_values("problem_id", kind="stable")
    if rows["problem_id"].tolist() != list(one.options.problems):
        raise UserError(
            f"{table.source}: its problems are not those of {one.policy}; delete the file and run again"
        )
    return rows["credit"].to_numpy(np.float64)
