"""Pretraining and samples on one axis, on models made by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from isoflop.claims.pretraining import Trained, best_trained, pretraining_rows, trained_policies
from isoflop.fits.bootstrap import problem_weights
from isoflop.fits.evidence import Evidence, Series
from isoflop.strategy import Strategy

COVERAGE = Strategy("counted", "pass")
PROBLEMS = 30


def evidence(curves: dict[str, Sequence[float]]) -> Evidence:
    """Coverage with 1, 10 and 100 samples, of one FLOP each."""
    budgets = np.array([1, 10, 100])
    costs = {"wu2024": budgets.astype(np.float64)}
    series = {
        (name, COVERAGE): Series(
            name, COVERAGE, budgets, np.repeat(np.array(values)[:, None], PROBLEMS, axis=1), costs
        )
        for name, values in curves.items()
    }
    return Evidence(
        "d", [str(place) for place in range(PROBLEMS)], None, series, problem_weights(PROBLEMS, 50, 1), 0.95
    )


HERE = evidence({"short": [0.1, 0.2, 0.3], "long": [0.25, 0.5, 0.9]})
SIZES = {"short": 10, "long": 10}


def models(short: float, long: float) -> list[Trained]:
    return trained_policies(HERE, "counted", SIZES, {"short": short, "long": long})


def test_pretraining_takes_six_flops_per_parameter_and_token() -> None:
    assert [one.flops for one in models(1.0, 4.0)] == [60.0, 240.0]


def test_a_model_is_best_once_its_pretraining_is_paid() -> None:
    """Ten problems: a sample of each is 10 FLOPs; the longer training is 600 before the first."""
    found = list(best_trained(models(1.0, 10.0), HERE, "wu2024", 10.0))
    names = [(one.flops, one.trained.series.policy) for one in found]
    assert names[0] == (pytest.approx(60 + 10), "short")
    # With its first sample, at 610 FLOPs, 0.25 against what 55 samples of the other cover: 0.274.
    at_610 = 0.2 + 0.1 * np.log(55 / 10) / np.log(10)
    assert at_610 == pytest.approx(0.274, abs=1e-3)
    switched = next(flops for flops, name in names if name == "long")
    assert 610 < switched < 700
    assert {name for flops, name in names if flops > switched} == {"long"}
    assert {one.probability for one in found} == {1.0}


def test_what_is_left_after_pretraining_buys_samples() -> None:
    best = list(best_trained(models(1.0, 1e9), HERE, "wu2024", 10.0))
    for one in best:
        if one.trained.series.policy == "short" and not one.ended:
            assert one.samples == pytest.approx((one.flops - 60) / 10)
            assert one.inference_share == pytest.approx(1 - 60 / one.flops)
    ended = [one for one in best if one.ended]
    assert ended
    samples = [one.samples for one in ended if one.trained.series.policy == "short"]
    assert samples == pytest.approx([100] * len(samples))
    # 100 samples of 10 problems are 1,000 FLOPs, however much more there is.
    shares = [one.inference_share for one in ended if one.trained.series.policy == "short"]
    assert shares == pytest.approx([1000 / 1060] * len(shares))


def test_more_problems_make_pretraining_cheap() -> None:
    few, many = (list(best_trained(models(1.0, 10.0), HERE, "wu2024", count)) for count in (1.0, 1e6))
    assert few[0].trained.series.policy == "short"
    # 600 FLOPs are nothing beside a million answers: the better model is best from its first sample on.
    assert {one.trained.series.policy for one in many[1:]} == {"long"}


def test_models_of_unknown_size_are_left_out() -> None:
    assert [
        one.series.policy
        for one in trained_policies(HERE, "counted", {"short": 10}, {"short": 1.0, "long": 2.0})
    ] == ["short"]


def test_rows_say_all_of_it() -> None:
    found = list(best_trained(models(1.0, 10.0), HERE, "wu2024", 10.0))
    rows = pretraining_rows(found, "e", "d", "counted", "wu2024")
    assert rows.iloc[0].to_dict() == {
        "experiment": "e", "dataset": "d", "generator": "counted", "cost_model": "wu2024", "problems": "10",
        "flops": "70", "policy": "short", "parameters": "10", "tokens": "1", "samples": "1",
        "inference_share": "0.142857", "coverage": "0.100000", "coverage_low": "0.100000",
        "coverage_high": "0.100000", "probability": "1.000000", "ended": "false",
    }  # fmt: skip
