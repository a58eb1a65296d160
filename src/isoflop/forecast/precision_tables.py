"""What a study will decide, as rows and lines of text: half-widths in points, problems that decide."""

from collections.abc import Sequence

from isoflop.forecast.claim_precision import PrecisionForecast, rounded
from isoflop.forecast.half_widths import Expected


def comparison_rows(precision: PrecisionForecast) -> list[list[str]]:
    """A header, then a row per data set and two strategies, with the range over policies."""
    groups: dict[tuple[str, str, str], list[Expected]] = {}
    for one in precision.comparisons:
        left, right = one.comparison.left.name, one.comparison.right.name
        pair = left if left == right else f"{left} - {right}"
        groups.setdefault((one.comparison.dataset, one.comparison.question, pair), []).append(one)
    rows = [["data set", "question", "strategies", "policies", *_header(precision)]]
    for key, own in groups.items():
        own.sort(key=lambda one: one.half_width)
        halves = _range([f"{100 * one.half_width:.1f}" for one in own])
        needed = _range([f"{rounded(one.needed):,}" for one in own])
        rows.append([*key, str(len(own)), halves, needed])
    return rows


def claim_rows(precision: PrecisionForecast) -> list[list[str]]:
    """A header, then a row per data set and claim that can be tested: of its widest part."""
    rows = [["data set", "claim", "statistic", "parts", *_header(precision)]]
    for one in precision.claims:
        if one.half_width is not None and one.needed is not None:
            key = [one.dataset, f"{one.paper}, {one.claim}", one.statistic, str(one.parts)]
            rows.append([*key, f"{100 * one.half_width:.1f}", f"{rounded(one.needed):,}"])
    return rows


def untested(precision: PrecisionForecast) -> list[str]:
    """What cannot be tested, and what it needs, a line each; data sets that lack the same together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in precision.claims:
        if one.missing is not None:
            groups.setdefault((f"{one.paper}, {one.claim}", one.missing), []).append(one.dataset)
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
        (one.comparison.dataset, side.policy)
        for one in precision.comparisons
        for side in (one.comparison.left, one.comparison.right)
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
