"""What becomes of answers along chains: shares by hand, their intervals, and the stage."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from isoflop.errors import UserError
from isoflop.files import write_table
from isoflop.fits.bootstrap import problem_weights
from isoflop.fits.revision_rates import (
    BROKEN,
    FIXED,
    PASS,
    GradedChains,
    revision_rates,
)
from isoflop.stages import revision_rates as stage
from isoflop.tables import CANDIDATES, GRADES


def of(*problems: list[str]) -> GradedChains:
    """Chains as text: `+` right, `-` wrong, ` ` not written."""
    marks = [np.array([list(chain) for chain in chains]) for chains in problems]
    return GradedChains([one == "+" for one in marks], [one != " " for one in marks])


def test_shares_by_hand() -> None:
    chains = of(["+-+", "-- "], ["-++", "++-"])
    found = {
        (one.place, one.measure): (one.value, one.answers, one.problems)
        for one in revision_rates(chains, problem_weights(2, 200, 1), 0.95)
    }
    assert found == {
        (1, PASS): (2 / 4, 4, 2),
        (2, PASS): (2 / 4, 4, 2),
        (3, PASS): (2 / 3, 3, 2),
        (2, BROKEN): (1 / 2, 2, 2),
        (3, BROKEN): (1 / 2, 2, 1),
        (2, FIXED): (1 / 2, 2, 2),
        (3, FIXED): (1.0, 1, 1),
        (0, BROKEN): (2 / 4, 4, 2),
        (0, FIXED): (2 / 3, 3, 2),
    }


def test_the_interval_of_many_problems_is_that_of_their_mean() -> None:
    generator = np.random.default_rng(2)
    right = generator.random((300, 4, 2)) < generator.random((300, 1, 1))
    chains = GradedChains(list(right), list(np.ones_like(right)))
    [first, *_] = revision_rates(chains, problem_weights(300, 2000, 1), 0.95)
    spread = right[:, :, 0].mean(axis=1).std() / np.sqrt(300)
    assert first.value == pytest.approx(right[:, :, 0].mean())
    assert first.high - first.low == pytest.approx(2 * 1.96 * spread, rel=0.1)
    assert first.low < first.value < first.high


def test_what_never_happened_may_still_happen() -> None:
    found = revision_rates(of(*[["++"]] * 20), problem_weights(20, 200, 1), 0.95)
    [broken] = [one for one in found if (one.place, one.measure) == (2, BROKEN)]
    assert broken.value == broken.low == 0.0
    assert 0.05 < broken.high < 0.3
    assert not [one for one in found if one.measure == FIXED], "no answer was wrong"


def test_a_share_of_one_is_as_sure_as_its_own_problems() -> None:
    """Half of the problems have no second answer, and so say nothing of it."""
    some = revision_rates(of(*[["++"]] * 10, *[["+ "]] * 10), problem_weights(20, 200, 1), 0.95)
    alone = revision_rates(of(*[["++"]] * 10), problem_weights(10, 200, 1), 0.95)
    told, own = ([one for one in rates if (one.place, one.measure) == (2, PASS)] for rates in (some, alone))
    assert told == own


def write_pool(folder: Path, run: list[int | None]) -> list[str]:
    count = len(run)
    keys = {"problem_id": ["b"] * 4 + ["a"] * 4, "candidate": [0, 1, 2, 3] * 2}
    write_table(
        folder / "c.parquet",
        {
            **keys, "steps": [["x"]] * count, "step_tokens": [[1]] * count, "finish": ["stop"] * count,
            "prompt_tokens": [1] * count, "tokens": [1] * count, "logprob": [None] * count,
            "source": [None] * count, "budget": [1, 2] * 4, "run": run,
        },
        CANDIDATES,
        {},
    )  # fmt: skip
    correct = [True, False, True, True, False, False, False, True]
    grades = {**keys, "answer": ["1"] * count, "answer_class": [0] * count, "correct": correct}
    write_table(folder / "g.parquet", grades, GRADES, {})
    return [str(folder / "c.parquet"), str(folder / "g.parquet")]


SPEC = {
    "experiment": "x",
    "pools": [{"dataset": "d", "policy": "p", "generator": "revisions"}],
    "draws": 100,
    "level": 0.95,
    "seed": 1,
    "code": "0",
}


def test_the_stage_writes_the_table(tmp_path: Path) -> None:
    paths = write_pool(tmp_path, [0, 0, 1, 1] * 2)
    stage.main([json.dumps(SPEC), *paths, str(tmp_path / "out" / "revisions.csv")])
    with (tmp_path / "out" / "revisions.csv").open() as file:
        rows = {(row["place"], row["measure"]): row for row in csv.DictReader(file)}
    assert rows["2", PASS]["value"] == "0.500000"
    assert rows["all", BROKEN] | {"ci_low": "", "ci_high": ""} == {
        "experiment": "x", "dataset": "d", "policy": "p", "generator": "revisions", "place": "all",
        "measure": BROKEN, "value": "0.500000", "ci_low": "", "ci_high": "", "answers": "2", "problems": "1",
    }  # fmt: skip
    assert rows["all", FIXED]["value"] == "0.500000"


def test_candidates_that_are_no_chains_are_refused(tmp_path: Path) -> None:
    paths = write_pool(tmp_path, [None] * 8)
    with pytest.raises(UserError, match=r"c\.parquet: its candidates are no chains"):
        stage.main([json.dumps(SPEC), *paths, str(tmp_path / "revisions.csv")])
    with pytest.raises(UserError, match="usage"):
        stage.main([])
