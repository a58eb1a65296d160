"""The sentences of the report on planted worlds: what they count, and when they are told."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from isoflop.claims.best_choice import best_choices
from isoflop.claims.gains import OVER_GREEDY, all_gains, gains_csv, jointly
from isoflop.fits.evidence import Evidence
from isoflop.planted.cases import GREEDY, HEADLINE, MARGIN, POLICIES, SEARCHES, VERIFIER, setting, world
from isoflop.planted.worlds import Best, Vote
from isoflop.report.findings import (
    headline_markdown,
    headlines,
    over_greedy,
    over_next_greedy,
    over_optimisation,
    saturation,
    search_over_sampling,
)
from isoflop.report.lookup import Tables
from isoflop.report.spec import Headline, ReportSpec
from isoflop.tables import CURVES_COLUMNS

PROBLEMS = 400
NAMES = tuple(policy.name for policy in POLICIES)


def spec(**changes: object) -> ReportSpec:
    plain = ReportSpec(
        experiment="e", title="t", datasets=("planted",), policies=NAMES,
        generators=("greedy", "sampling", *SEARCHES), searches=SEARCHES, verifiers=(VERIFIER,),
        step_aggregations=("last",), margin=MARGIN,
        headline=Headline(selector="weighted", step_aggregation="last", cost_model="total"),
        level=0.95, config_yaml="", seed=1, code="",
    )  # fmt: skip
    return plain.model_copy(update=changes)


@pytest.fixture(scope="module")
def fooled() -> Evidence:
    """Votes gain over greedy decoding; best-of-n peaks early, since some wrong answers score highest."""
    best = Best(lead=1.5, fooled=0.1, fooling=4.0)
    return world("fooled", headline=Vote(weight=2.0), best=best).study(PROBLEMS, 1)


def test_the_first_headline_is_what_is_gained_over_one_greedy_answer(fooled: Evidence) -> None:
    about = setting(world("fooled"))
    text = over_greedy(fooled, about, spec())
    assert text.startswith(
        "Weighted voting over 64 samples minus one greedy answer of the same model, in points"
    )
    for name in NAMES:
        most, greedy = fooled.series[name, HEADLINE], fooled.series[name, GREEDY]
        found = re.search(rf"{name} ([+−][\d.]+) \(([^)]*)\) at ([\d.e+]+) times the compute", text)
        assert found is not None
        gain = 100 * (most.accuracy[-1] - greedy.accuracy[0])
        assert float(found[1].replace("−", "-")) == pytest.approx(gain, abs=0.051)
        price = most.costs["total"][-1] / greedy.costs["total"][0]
        assert float(found[3]) == pytest.approx(price, rel=0.05)
    following = over_next_greedy(fooled, about, spec())
    assert [f"{small} over {large}" in following for small, large in about.pairs()] == [True] * 3


def test_without_greedy_answers_the_headline_says_so(fooled: Evidence) -> None:
    alone = replace(fooled, series={key: one for key, one in fooled.series.items() if key[1] != GREEDY})
    assert "No greedy answers" in over_greedy(alone, setting(world("fooled")), spec())


def test_intervals_of_one_sentence_hold_jointly(fooled: Evidence) -> None:
    values = {
        name: fooled.series[name, HEADLINE].credits[-1] - fooled.series[name, GREEDY].credits[0]
        for name in NAMES
    }
    together, alone = jointly(values, fooled), {name: jointly({name: values[name]}, fooled) for name in NAMES}
    for name in NAMES:
        assert together[name].low < alone[name][name].low
        assert together[name].high > alone[name][name].high


def test_every_gain_that_is_told_is_in_the_table(fooled: Evidence) -> None:
    about = setting(world("fooled"))
    table = gains_csv({"planted": list(all_gains(fooled, about, ("rebase",), 64))}, "e")
    assert set(table["sentence"]) == {
        "over one greedy answer of the same model", "over one greedy answer of the next size",
        "over samples at equal compute", "over majority voting",
    }  # fmt: skip
    text = over_greedy(fooled, about, spec())
    for row in table[table["sentence"] == OVER_GREEDY].to_dict("records"):
        value, low, high = (100 * float(row[name]) for name in ("gain", "gain_low", "gain_high"))
        told = f"{row['part']} {value:+.1f} ({low:.1f} to {high:.1f})".replace("-", "−")
        assert told in text
        assert min(float(row["price_total"]), float(row["price_wu2024"])) > 1
    equal = table[table["sentence"] == "over samples at equal compute"]
    assert set(equal["cost_model"]) == {"wu2024", "total"}
    assert [row[f"price_{row['cost_model']}"] for row in equal.to_dict("records")] == ["1"] * len(equal)


def test_a_fall_of_best_of_n_is_told_where_it_is_true(fooled: Evidence) -> None:
    about = setting(world("fooled"))
    text = over_optimisation(fooled, about)
    assert text.startswith("The verifier is over-optimised: best-of-n falls with n")
    for policy, fall, peak in re.findall(r"(\d+M) −([\d.]+) \([^)]*\) from (\d+) to 64", text):
        series = fooled.series[policy, replace(HEADLINE, selector="best_of_n")]
        at = int(np.flatnonzero(series.budgets == int(peak))[0])
        assert 100 * (series.accuracy[at] - series.accuracy[-1]) == pytest.approx(float(fall), abs=0.051)
    rising = world("rising", best=Best(lead=2.0)).study(PROBLEMS, 2)
    assert over_optimisation(rising, about) == ""


@pytest.mark.parametrize(("cap", "early"), [(2, True), (None, False)])
def test_saturation_is_told_from_where_it_is_shown(cap: int | None, early: bool) -> None:
    rule = Vote(weight=1.3, cap=cap) if cap else Vote(weight=3.0)
    evidence = world("w", headline=rule).study(1500, 3)
    text = saturation(evidence, setting(world("w")))
    first = [int(found) for found in re.findall(r"from (\d+) samples on", text)]
    assert bool(first and min(first) <= 8) is early


def test_the_choice_is_measured_on_other_problems_than_it_is_made_on() -> None:
    """Of forty equally good options the best one looks better than it is; the held-out choice does not."""
    alike = world("alike", headline=Vote(), best=Vote(), searches=("rebase", "beam"))
    looked, held = [], []
    for seed in range(12):
        evidence = alike.study(150, seed, resamples=100)
        *_, high = best_choices(evidence, ["30M"], "wu2024", 1)
        options = [
            one for (name, how), one in evidence.series.items() if name == "30M" and how.selector != "pass"
        ]
        last = [one.accuracy[-1] for one in options if one.budgets[-1] == 64]
        looked.append(max(one.accuracy.max() for one in options) - np.mean(last))
        held.append(high.accuracy.value - np.mean(last))
        assert high.options == sum(one.budgets.size for one in options)
        assert high.accuracy.low <= high.accuracy.value <= high.accuracy.high
    assert np.mean(looked) > 0.01
    assert abs(np.mean(held)) < 0.012


def test_the_choice_stands_beside_the_best_greedy_answer(fooled: Evidence) -> None:
    choices = list(best_choices(fooled, NAMES, "total", 1))
    assert [one.name for one in choices] == ["low", "middle", "high"]
    high = choices[-1]
    assert high.over_greedy is not None
    assert high.greedy == "30M decoding greedily"
    greedy = fooled.series["30M", GREEDY].accuracy[0]
    assert high.over_greedy.value == pytest.approx(high.accuracy.value - greedy, abs=0.01)


def test_a_search_is_compared_at_equal_compute_under_both_costs(fooled: Evidence) -> None:
    about = setting(world("fooled"))
    text = search_over_sampling(fooled, about, "rebase")
    assert "prompts and verifier included" in text
    assert "generated tokens alone" in text
    assert text.count("30M") == 2


def rows(evidence: Evidence) -> pd.DataFrame:
    """The rows of curves.csv that belong to the evidence."""
    found = []
    for (policy, how), one in evidence.series.items():
        for place, budget in enumerate(one.budgets.tolist()):
            values = {
                "experiment": "e", "dataset": "planted", "policy": policy, "policy_params": 1,
                "subset": "all", "generator": how.generator, "selector": how.selector,
                "verifier": how.verifier, "step_aggregation": how.step_aggregation,
                "budget": budget, "problems": PROBLEMS,
                "accuracy": one.accuracy[place], "ci_low": 0.0, "ci_high": 1.0,
                "tokens_per_problem": 1.0, "seconds_per_problem": 1.0, "tokens_estimated": False,
            }  # fmt: skip
            costs = {f"flops_{name}": one.costs[name][place] for name in ("wu2024", "kaplan", "total")}
            found.append(values | costs)
    return pd.DataFrame(found, columns=list(CURVES_COLUMNS))


def test_greedy_comes_first_in_the_list_of_sentences(fooled: Evidence) -> None:
    empty = pd.DataFrame(
        columns=["dataset", "policy", "generator", "selector", "verifier", "step_aggregation", "subset",
                 "cost_model", "fit", "parameter", "kind"]
    )  # fmt: skip
    about = setting(world("fooled"))
    tables = Tables(
        rows(fooled), empty, empty, empty, evidence={"planted": fooled}, parameters=about.parameters
    )
    [found] = headlines(tables, spec(searches={"rebase": "rebase"}))
    assert "minus one greedy answer of the same model" in found.best[0]
    assert "minus one greedy answer of the next size" in found.best[1]
    assert any(text.startswith("Weighted minus majority voting at 64") for text in found.findings)
    text = headline_markdown([found], spec(), "Intervals are at 95%")
    assert "those of gains hold jointly in one sentence" in text
    assert "most accurate choice measured" not in text


def test_nothing_is_certain_where_all_answers_are_wrong(fooled: Evidence) -> None:
    wrong = {key: replace(one, credits=np.zeros_like(one.credits)) for key, one in fooled.series.items()}
    text = over_greedy(replace(fooled, series=wrong), setting(world("fooled")), spec())
    assert "+0.0 (0.0 to 0.0)" not in text
    assert "+0.0 (−" in text
