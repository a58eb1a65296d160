"""The verifier_quality stage on small tables: what it says by hand, aggregations, and what it refuses."""

import json
from pathlib import Path

import pandas as pd
import pytest
from small_pool import Study

from isoflop.errors import UserError
from isoflop.fits.bootstrap import dataset_weights, percentile_interval
from isoflop.stages import verifier_quality
from isoflop.stages.shared.study_tables import read_csv
from isoflop.tables import CALIBRATION_COLUMNS, VERIFIERS_COLUMNS

POOL = {"dataset": "d", "policy": "p", "generator": "sampling", "verifiers": ["prm"]}
SPEC = {
    "experiment": "x",
    "pools": [POOL],
    "step_aggregations": ["last", "min", "product", "mean"],
    "draws": 300,
    "level": 0.95,
    "seed": 1,
    "code": "0",
}
NAMES = ("problems", "candidates", "grades", "sample_ledger", "scores", "score_ledger")


def run(study: Study, spec: dict[str, object], pools: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    paths = study.write()
    outputs = [study.folder / "out" / f"{name}.csv" for name in ("verifiers", "calibration")]
    given = [paths[name] for name in NAMES] * pools
    verifier_quality.main([json.dumps(spec), *given, *map(str, outputs)])
    verifiers, calibration = map(read_csv, outputs)
    return verifiers, calibration


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Of problem b the second candidate is right, of a the first two are, of c none is."""
    one = Study(tmp_path)
    one.grades["answer_class"] = [1, 0, 1, 1, 0, 0, 1, 1, 1, 1, -1, -1]
    one.grades["correct"] = [label == 0 for label in one.grades["answer_class"]]
    one.candidates["steps"] = [["x", "x"]] * 12
    scores = [[0.5, 0.25], [0.5, 0.5], [0.25, 0.5], [1.0, 0.125], *[[1.0, 1.0]] * 2, *[[0.5, 0.75]] * 2]
    one.scores["step_scores"] = [*scores, *[[0.25, 0.25]] * 4]
    return one


def test_the_tables_by_hand(study: Study) -> None:
    verifiers, calibration = run(study, SPEC)
    assert tuple(verifiers.columns) == VERIFIERS_COLUMNS
    assert tuple(calibration.columns) == CALIBRATION_COLUMNS
    assert verifiers["step_aggregation"].tolist() == ["last", "min", "product", "mean"]
    by = verifiers.set_index("step_aggregation")
    assert {*by["problems"], *by["mixed_problems"]} == {3, 2}
    assert by.loc["last", ["candidates", "unscored", "share_right"]].tolist() == [12, 0, 0.25]
    # Right: 0.5, 1, 1. Wrong: 0.25, 0.5, 0.125, 0.75 twice and 0.25 four times.
    assert by.loc["last", "auc"] == pytest.approx((6 + 0.5 + 9 + 9) / 27, abs=1e-6)
    assert by.loc["last", "auc_within"] == pytest.approx((2.5 / 3 + 1) / 2, abs=1e-6)
    # Products are compared between problems too: 0.25, 1, 1 and 0.125 three times, 0.375 twice, 0.0625.
    assert by.loc["product", "auc"] == pytest.approx((7 + 9 + 9) / 27, abs=1e-6)
    squares = [0.75**2, 3 * 0.125**2, 2 * 0.375**2, 4 * 0.0625**2]
    assert by.loc["product", "brier"] == pytest.approx(sum(squares) / 12, abs=1e-6)
    assert by.loc["product", "brier_base_rate"] == 0.1875
    of_product = calibration[calibration["step_aggregation"] == "product"]
    assert of_product["mean_score"].tolist() == [0.0625, 0.125, 0.25, 0.375, 1.0]
    assert of_product["share_right"].tolist() == [0, 0, 1, 0, 1]
    assert of_product["candidates"].tolist() == [4, 3, 1, 2, 2]


def test_weights_are_those_of_the_curves_by_identifier(study: Study) -> None:
    verifiers, _ = run(study, SPEC | {"step_aggregations": ["last"]})
    # By problem a, b, c: right ones of four, and squared differences between score and outcome.
    weights = dataset_weights("d", 3, 300, 1)
    rate = weights @ [2.0, 1.0, 0.0] / 4
    gain = rate * (1 - rate) - weights @ [2 * 0.75**2, 0.25**2 + 2 * 0.5**2 + 0.125**2, 4 * 0.25**2] / 4
    told = verifiers[["brier_gain_low", "brier_gain_high"]].to_numpy()[0]
    assert told == pytest.approx(percentile_interval(gain, 0.95), abs=1e-6)


def test_every_pool_has_rows_and_an_outcome_verifier_one_of_its_own(study: Study) -> None:
    study.scores["step_scores"] = [[scores[-1]] for scores in study.scores["step_scores"]]
    spec = SPEC | {"pools": [POOL, POOL | {"policy": "q", "imported": True}], "outcome_verifiers": ["prm"]}
    verifiers, _ = run(study, spec, pools=2)
    assert verifiers[["policy", "step_aggregation"]].to_numpy().tolist() == [["p", "last"], ["q", "last"]]
    assert verifiers["auc"].nunique() == 1


def test_what_was_too_long_is_counted_and_left_out(study: Study) -> None:
    for row in range(8, 12):
        study.scores["step_scores"][row], study.scores["verifier_tokens"][row] = [], 0
    study.score_ledger |= {"verifier_tokens": sum(study.scores["verifier_tokens"]), "too_long": 4}
    verifiers, calibration = run(study, SPEC | {"step_aggregations": ["last"]})
    assert verifiers[["problems", "candidates", "unscored"]].to_numpy().tolist() == [[2, 8, 4]]
    assert verifiers["share_right"].item() == 0.375
    assert calibration["candidates"].sum() == 8


def test_scores_that_are_no_chances_have_no_calibration(study: Study) -> None:
    study.scores["step_scores"] = [[4.0 * one for one in scores] for scores in study.scores["step_scores"]]
    verifiers, calibration = run(study, SPEC)
    assert verifiers["auc"].notna().all()
    assert verifiers["brier"].isna().all()
    assert calibration.empty


def test_tables_that_do_not_fit_are_refused(study: Study) -> None:
    with pytest.raises(UserError, match="12 files are specified, 6 are given"):
        run(study, SPEC | {"pools": [POOL, POOL | {"policy": "q"}]})
    study.scores["candidate"] = study.scores["candidate"][::-1]
    with pytest.raises(UserError, match=r"scores\.parquet: row 0: candidate is 3, but 0"):
        run(study, SPEC)
