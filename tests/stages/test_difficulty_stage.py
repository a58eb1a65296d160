"""The difficulty stage on small tables: bins, predictions and what the pool cost."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from small_pool import Study

from isoflop.errors import UserError
from isoflop.files import read_table
from isoflop.stages import difficulty
from isoflop.tables import CREDITS, DIFFICULTY

SPEC = {"bins": 3, "verifier": "prm", "code": "0"}


def run(study: Study, spec: dict[str, object]) -> pa.Table:
    paths = study.write()
    names = ["problems", "candidates", "grades", "sample_ledger"]
    names += ["scores", "score_ledger"] if spec.get("verifier") else []
    output = str(study.folder / "out" / "difficulty.parquet")
    difficulty.main([json.dumps(spec), *(paths[name] for name in names), output])
    return read_table(output, DIFFICULTY)


def of_whole(table: pa.Table) -> pa.Table:
    return table.filter(pc.equal(table["half"], 0))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    one = Study(tmp_path)
    one.grades["answer_class"] = [0, 1, 1, 1, 0, 0, 0, 1, 1, 1, -1, -1]
    one.grades["correct"] = [label == 0 for label in one.grades["answer_class"]]
    one.candidates["steps"] = [["x", "x"]] * 12
    one.scores["step_scores"] = [[0.5, 0.25]] * 4 + [[0.25, 1.0]] * 4 + [[1.0, 0.5]] * 4
    return one


def test_bins_and_predictions_by_hand(study: Study) -> None:
    table = of_whole(run(study, SPEC))
    assert table["problem_id"].to_pylist() == ["b", "a", "c"]
    assert table["oracle"].to_pylist() == [0.25, 0.75, 0.0]
    assert table["oracle_bin"].to_pylist() == [2, 1, 3]
    assert table["predicted"].to_pylist() == [0.25, 1.0, 0.5]
    assert table["predicted_bin"].to_pylist() == [3, 1, 2]
    assert of_whole(run(study, SPEC | {"step_aggregation": "min"}))["predicted"].to_pylist() == [
        0.25,
        0.25,
        0.5,
    ]


def test_each_half_tells_by_itself(study: Study) -> None:
    frame = run(study, SPEC).to_pandas()
    halves = dict(list(frame.groupby("half")))
    assert set(halves) == {0, 1, 2}
    assert halves[1]["oracle"].tolist() == [0.5, 1.0, 0.0]
    assert halves[2]["oracle"].tolist() == [0.0, 0.5, 0.0]
    assert halves[2]["oracle_bin"].tolist() == [3, 1, 3]
    assert set(halves[1]["samples"]) == {2}
    tokens = np.array(study.candidates["tokens"]).reshape(3, 4)
    assert halves[2]["flops_wu2024"].to_numpy() == pytest.approx(2000.0 * tokens[:, 1::2].sum(axis=1))
    both = halves[1]["flops_total_verified"].to_numpy() + halves[2]["flops_total_verified"].to_numpy()
    assert np.all(both > halves[0]["flops_total_verified"].to_numpy()), "each reads the prompt"


def test_what_is_all_too_long_in_one_half_counts_as_the_middle_one(study: Study) -> None:
    for row in (1, 3):
        study.scores["step_scores"][row], study.scores["verifier_tokens"][row] = [], 0
    study.score_ledger |= {"verifier_tokens": sum(study.scores["verifier_tokens"]), "too_long": 2}
    frame = run(study, SPEC).to_pandas()
    assert frame[frame["half"] == 2]["predicted"].tolist() == [0.75, 1.0, 0.5]


def test_it_costs_what_the_whole_pool_cost(study: Study) -> None:
    table = of_whole(run(study, SPEC))
    study.run()
    credits = read_table(str(study.folder / "out" / "credits.parquet"), CREDITS).to_pandas()
    whole = credits[credits["budget"] == 4]
    for column, selector in (
        ("flops_wu2024", "majority"),
        ("flops_total", "majority"),
        ("flops_total_verified", "weighted"),
    ):
        rows = whole[(whole["selector"] == selector) & whole["step_aggregation"].isin(["none", "last"])]
        name = column.removesuffix("_verified")
        assert table[column].to_numpy() == pytest.approx(rows[name].to_numpy())


def test_without_a_verifier_nothing_is_predicted(study: Study) -> None:
    table = of_whole(run(study, {"bins": 3, "code": "0"}))
    for column in ("predicted", "predicted_bin", "flops_total_verified"):
        assert table[column].null_count == 3
    assert table["oracle_bin"].to_pylist() == [2, 1, 3]


def test_an_outcome_verifier_has_one_score(study: Study) -> None:
    study.scores["step_scores"] = [[0.125 * (1 + row)] for row in range(12) for _ in range(1)]
    study.scores["step_scores"] = [[min(one[0], 1.0)] for one in study.scores["step_scores"]]
    table = of_whole(run(study, SPEC | {"outcome": True}))
    assert table["predicted"].to_numpy() == pytest.approx([np.mean([0.125, 0.25, 0.375, 0.5]), 0.8125, 1.0])


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        (SPEC | {"step_aggregation": "product"}, "step_aggregation"),
        ({"code": "0"}, "bins"),
    ],
)
def test_a_wrong_specification_is_named(study: Study, spec: dict[str, object], match: str) -> None:
    with pytest.raises(UserError, match=match):
        run(study, spec)


def test_tables_that_do_not_fit_are_refused(study: Study) -> None:
    study.scores["candidate"] = study.scores["candidate"][::-1]
    with pytest.raises(UserError, match=r"scores\.parquet: row 0: candidate is 3, but 0"):
        run(study, SPEC)
    with pytest.raises(UserError, match="usage"):
        difficulty.main([json.dumps(SPEC), "a"])


def test_chains_tell_difficulty_by_their_first_answers(study: Study) -> None:
    study.candidates |= {"run": [0, 0, 1, 1] * 3, "budget": [1, 2, 1, 2] * 3}
    table = of_whole(run(study, SPEC | {"chains": True}))
    assert table["samples"].to_pylist() == [2, 2, 2]
    assert table["oracle"].to_pylist() == [0.5, 1.0, 0.0]
    firsts = [row for place, row in enumerate(study.candidates["tokens"]) if place % 2 == 0]
    tokens = np.array(firsts).reshape(3, 2).sum(axis=1)
    assert table["flops_wu2024"].to_pylist() == pytest.approx(2000.0 * tokens)
    study.candidates["budget"] = [2] * 12
    with pytest.raises(UserError, match="its candidates are no chains"):
        run(study, SPEC | {"chains": True})
