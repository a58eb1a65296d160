"""How often verdicts err on planted worlds: what was said of each study against what is true of its world.

A statement's truth follows from its parts on `World.truth`, where every part has its true value: "for all" is
true where every part is above minus the margin, and truly contradicted where some part is below 0; "on
average" by the mean of the parts; "there is" where some part is above 0, contradicted where none is. A true
value of 0 speaks for neither side, so every decided verdict about it is false.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from isoflop.arrays import Floats
from isoflop.claims.best_choice import BestChoice, Picked, best_choices
from isoflop.claims.gains import (
    NEAR,
    falls_of_best,
    over_greedy_gains,
    over_next_greedy_gains,
    saturations,
    search_gains,
    voting,
    weighted_gains,
)
from isoflop.claims.wu2024 import Setting, wu_claims
from isoflop.fits.evidence import Evidence, Series
from isoflop.fits.fitting import Fit
from isoflop.fits.revision_rates import PASS
from isoflop.fits.revision_rates import Rate as RevisionRate
from isoflop.fits.scaling_laws import (
    fit_coverage_power_law,
    fit_exponential_saturation,
    fit_power_law_with_floor,
)
from isoflop.planted.tally import Tally
from isoflop.strategy import Strategy
from isoflop.verdicts.factors import factor_saved
from isoflop.verdicts.judge import (
    CONTRADICTED,
    MIXED,
    SUPPORTED,
    UNDECIDED,
    Claim,
    ClaimJudged,
    StatementJudged,
)
from isoflop.verdicts.statements import Part, Statement

# True values nearer to 0 than this are 0: a hundredth of a point.
TRUE_ZERO = 1e-4
# What choosing gains is known to about this: the mean of some hundred studies.
NOTHING_GAINED = 1e-3


def score_claim(tally: Tally, judged: ClaimJudged, truth: Claim) -> None:
    """Add a claim's verdict; `truth`: the same claim made from the world's truth."""
    true = {one.text: one for one in truth.statements}
    pairs = [(one, true[one.statement.text]) for one in judged.statements]
    covered = [hit for said, known in pairs for hit in coverage(said.statement, known)]
    tally.add(judged.verdict, claim_is_false(judged, pairs), sum(covered), len(covered))


def claim_is_false(judged: ClaimJudged, pairs: Sequence[tuple[StatementJudged, Statement]]) -> bool:
    """Whether a decided claim is not true: some statement that it rests on is not."""
    wrong = [statement_is_false(said, known) for said, known in pairs]
    if judged.verdict == CONTRADICTED:
        against = [no for (said, _), no in zip(pairs, wrong, strict=True) if said.verdict == CONTRADICTED]
        return all(against)
    return any(wrong)


def statement_is_false(said: StatementJudged, truth: Statement) -> bool:
    """Whether a decided statement is not true; an undecided one is never false."""
    values = np.array([part.value for part in truth.parts])
    above, below = values > TRUE_ZERO, values < -TRUE_ZERO
    if truth.quantifier == "for all":
        holds, fails = bool(np.all(values > TRUE_ZERO - truth.margin)), bool(below.any())
        if truth.margin:
            holds = bool(np.all(values >= -truth.margin))
    elif truth.quantifier == "there is":
        holds, fails = bool(above.any()), bool(below.all())
    else:
        assert truth.primary is not None  # "on average" has one
        mean = truth.primary.value
        holds, fails = mean > TRUE_ZERO, mean < -TRUE_ZERO
    both = (above.any() or holds) and (below.any() or fails)
    return not {SUPPORTED: holds, CONTRADICTED: fails, MIXED: both}.get(said.verdict, True)


def coverage(said: Statement, truth: Statement) -> list[bool]:
    """Whether the intervals of each part alone, and of the mean, hold the true values."""
    known = {part.name: part for part in truth.parts}
    pairs = [(part, known[part.name]) for part in said.parts if part.name in known]
    if said.primary is not None and truth.primary is not None and len(said.parts) > 1:
        pairs.append((said.primary, truth.primary))
    return [holds(part, true) for part, true in pairs]


def holds(part: Part, truth: Part) -> bool:
    """Whether a part's own interval holds its true value; of several elements, whether all do."""
    return all(
        element.interval.low - TRUE_ZERO <= true.value <= element.interval.high + TRUE_ZERO
        for element, true in zip(part.elements, truth.elements, strict=True)
    )


class Told(NamedTuple):
    """An estimate that a sentence tells."""

    value: float
    low: float
    high: float


def score_told(
    tally: Tally,
    told: Mapping[str, Told],
    truth: Mapping[str, float],
    nothing: float = 0.0,
    zero: float = TRUE_ZERO,
) -> None:
    """Add a sentence of estimates by name; it is false where an interval is on the wrong side of `nothing`.

    Where the truth is within `zero` of `nothing`, either side is wrong. It counts as right where some
    interval is on a side and none is wrong.
    """
    wrong = decided = covered = 0
    for name, one in told.items():
        true = truth[name]
        above, below = one.low > nothing, one.high < nothing
        decided += above or below
        wrong += (above and true < nothing + zero) or (below and true > nothing - zero)
        covered += one.low - TRUE_ZERO <= true <= one.high + TRUE_ZERO
    tally.add("told" if decided else UNDECIDED, wrong > 0, covered, len(told))


def told_gains(evidence: Evidence, about: Setting, cost: str) -> dict[str, dict[str, Told]]:
    """The gains of every sentence whose intervals hold jointly, by sentence and part."""
    sampled = evidence.get(about.policies[0], about.headline)
    most = 1 if sampled is None else int(sampled.budgets[-1])
    found = {
        "over greedy": over_greedy_gains(evidence, about),
        "over greedy of the next size": over_next_greedy_gains(evidence, about),
        "verifier": weighted_gains(evidence, about, most),
    }
    for search, kind in about.searches.items():
        found[f"{kind} over samples"] = search_gains(evidence, about, search, cost)
    return {
        name: {one.part: Told(one.gain.value, one.gain.low, one.gain.high) for one in gains}
        for name, gains in found.items()
        if gains
    }


def factors(evidence: Evidence, about: Setting, cost: str) -> dict[str, Told]:
    """Compute saved by REBASE over samples, by policy."""
    found = {}
    for policy in about.policies:
        sampled = evidence.get(policy, about.headline)
        search = evidence.get(policy, about.search("rebase"))
        if sampled is not None and search is not None:
            factor = factor_saved(search, sampled, cost, evidence)
            found[policy] = Told(factor.value, factor.low, factor.high)
    return found


def score_study(
    tallies: dict[str, Tally], evidence: Evidence, truth: "Truth", about: Setting, cost: str = "total"
) -> None:
    """Add everything that the report can say of one study at the costs of one model."""
    for judged in wu_claims(evidence, about, (cost,)):
        claim = judged.claim
        tally = tallies.setdefault(f"Wu {claim.number}", Tally())
        known = truth.claims[claim.number, claim.cost_model]
        if known.statements:
            score_claim(tally, judged, known)
        else:
            tally.add(judged.verdict, True)
    for name, told in told_gains(evidence, about, cost).items():
        score_told(tallies.setdefault(name, Tally()), told, truth.gains[name])
    saved = factors(evidence, about, cost)
    if saved:
        score_factors(tallies, saved, truth.factors)
    if truth.thorough:
        for choice in best_choices(evidence, about.policies, cost, seed=1):
            told, known_gain = chosen(choice, truth.accuracy)
            for name, one in told.items():
                score_told(tallies.setdefault(f"best choice, {name}", Tally()), {name: one}, known_gain)
        policy = about.policies[len(about.policies) // 2]
        for name, (parameter, true) in fitted(evidence, truth.evidence, policy, about, cost).items():
            nothing = 0.0 if name.endswith("backtest") else np.inf
            score_told(tallies.setdefault(name, Tally()), {name: parameter}, {name: true}, nothing)
    if about.selecting("best_of_n") is not None:
        down = falls_of_best(evidence, about)
        wrong = any(not truth.falls[policy] for policy in down)
        tallies.setdefault("best-of-n falls", Tally()).add("told" if down else UNDECIDED, wrong)
    flat = {
        policy: one.start for policy, one in saturations(evidence, about).items() if one.start is not None
    }
    wrong = any(start < truth.flat[policy] for policy, start in flat.items())
    tallies.setdefault("voting saturates", Tally()).add("told" if flat else UNDECIDED, wrong)


def score_choices(
    tallies: dict[str, Tally], judged: Sequence[ClaimJudged], truth: Mapping[tuple[int, str], Claim]
) -> None:
    """Add Snell et al.'s claims and each of their statements on one study of choices."""
    for one in judged:
        claim = one.claim
        known = truth[claim.number, claim.cost_model]
        if not known.statements or not one.statements:
            continue
        name = f"Snell {claim.number} ({claim.cost_model})"
        score_claim(tallies.setdefault(name, Tally()), one, known)
        true = {statement.text: statement for statement in known.statements}
        for said in one.statements:
            statement = true[said.statement.text]
            covered = coverage(said.statement, statement)
            tally = tallies.setdefault(f"{name}: {statement.text}", Tally())
            tally.add(said.verdict, statement_is_false(said, statement), sum(covered), len(covered))


def score_choosing(
    tallies: dict[str, Tally],
    told: Mapping[str, Mapping[str, Told]],
    expected: Mapping[str, Mapping[str, float]],
) -> None:
    """Add what is told of choosing by difficulty; where no gain is expected, either side is false."""
    for name, gains in told.items():
        score_told(tallies.setdefault(name, Tally()), gains, expected[name], zero=NOTHING_GAINED)


def score_chains(
    tallies: dict[str, Tally], rates: Sequence[RevisionRate], truth: Mapping[tuple[int, str], float]
) -> None:
    """Add the shares that a sentence about revisions tells. They say no direction: only coverage counts."""
    longest = max(one.place for one in rates)
    for one in rates:
        if one.place in (0, 1, longest) and (one.measure == PASS or not one.place):
            name = f"revisions, {one.measure}" + (
                f" at {'first' if one.place == 1 else 'last'}" if one.place else ""
            )
            told = Told(one.value, one.low, one.high)
            score_told(
                tallies.setdefault(name, Tally()), {name: told}, {name: truth[one.place, one.measure]}, np.inf
            )


def score_factors(tallies: dict[str, Tally], saved: Mapping[str, Told], truth: Mapping[str, Told]) -> None:
    """Add every factor of compute saved as a sentence of its own."""
    for name, told in saved.items():
        tally = tallies.setdefault("compute saved", Tally())
        score_told(tally, {name: told}, {name: truth[name].value}, nothing=1.0)


def chosen(choice: BestChoice, accuracy: Mapping[Picked, float]) -> tuple[dict[str, Told], dict[str, float]]:
    """What is told of the best choice at one budget, and what is true of the choices made."""
    held = choice.accuracy
    true = sum(share * accuracy[name] for name, share in choice.shares.items())
    told, known = {"accuracy": Told(held.value, held.low, held.high)}, {"accuracy": true}
    if choice.over_greedy is not None:
        greedy = sum(share * accuracy[name] for name, share in choice.greedy_shares.items())
        ahead = choice.over_greedy
        told["over greedy"], known["over greedy"] = Told(ahead.value, ahead.low, ahead.high), true - greedy
    return told, known


def fitted(
    evidence: Evidence, truth: Evidence, policy: str, about: Setting, cost: str
) -> dict[str, tuple[Told, float]]:
    """Parameters and backtests of the fits of one policy that hold, with the same fits' of the true curve."""
    found: dict[str, tuple[Told, float]] = {}
    for name, fit in _FITS.items():
        strategy = Strategy(about.headline.generator, "pass") if name == "coverage" else about.headline
        series, true = evidence.get(policy, strategy), truth.get(policy, strategy)
        if series is None or true is None:
            continue
        accuracies = evidence.drawn @ series.credits.T
        curve = true.accuracy[np.isin(true.budgets, series.budgets)]
        x = series.costs[cost] if name.startswith("power") else series.budgets.astype(np.float64)
        values, known = (accuracies, accuracies - accuracies[0] + curve)
        if name.startswith("power"):
            values, known = 1.0 - values, 1.0 - known
        here, there = (fit(x, rows[0], rows[1:], evidence.level) for rows in (values, known))
        if here.status != "ok":
            continue
        for parameter, estimate in here.parameters.items():
            if parameter in there.parameters and parameter in _TOLD_PARAMETERS:
                told = Told(estimate.value, estimate.low, estimate.high)
                found[f"fit {name}, {parameter}"] = told, there.parameters[parameter].value
    return found


_FITS: Mapping[str, Callable[[Floats, Floats, Floats, float], Fit]] = {
    "power law with floor": fit_power_law_with_floor,
    "saturation": fit_exponential_saturation,
    "coverage": fit_coverage_power_law,
}
_TOLD_PARAMETERS = ("floor", "limit", "b", "backtest")


class Truth:
    """What is true of a world, of every sentence. `thorough`: whether choices and fits are scored too."""

    def __init__(
        self, evidence: Evidence, about: Setting, cost: str = "total", thorough: bool = False
    ) -> None:
        self.thorough = thorough
        self.evidence = evidence
        self.accuracy = {
            Picked(policy, strategy, int(budget)): float(accuracy)
            for (policy, strategy), series in evidence.series.items()
            for budget, accuracy in zip(series.budgets, series.accuracy, strict=True)
        }
        self.claims = {
            (judged.claim.number, judged.claim.cost_model): judged.claim
            for judged in wu_claims(evidence, about, (cost,))
        }
        self.gains = {
            name: {part: told.value for part, told in gains.items()}
            for name, gains in told_gains(evidence, about, cost).items()
        }
        self.factors = factors(evidence, about, cost)
        best = {policy: evidence.get(policy, about.selecting("best_of_n")) for policy in about.policies}
        self.falls = {
            policy: one is not None and bool(one.accuracy[-1] < one.accuracy.max() - TRUE_ZERO)
            for policy, one in best.items()
        }
        self.flat = {
            policy: first_near_last(series)
            for policy in about.policies
            if (series := evidence.get(policy, voting(about))) is not None
        }


def first_near_last(series: Series) -> int:
    """The first budget from which on every accuracy is within a point of the last."""
    far = np.flatnonzero(np.abs(series.accuracy - series.accuracy[-1]) > NEAR)
    return int(series.budgets[far[-1] + 1 if far.size else 0])
