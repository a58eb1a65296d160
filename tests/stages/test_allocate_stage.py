"""The allocate stage and Snell et al.'s claims on invented worlds whose truth is known."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.allocation.tables import last_choices
from isoflop.errors import UserError
from isoflop.files import write_table
from isoflop.stages import allocate
from isoflop.tables import CREDITS, DIFFICULTY

PROBLEMS = 500
BINS = 5
SIZES = {"small": 1_000_000, "large": 14_000_000}
BUDGETS = (1, 4, 16, 64)
KINDS = {"greedy": "greedy", "sampling": "sampling", "beam": "beam", "lookahead": "lookahead"}
KINDS |= {"revisions/1": "revisions", "revisions/16": "revisions"}
# Generator, budget and bin (1 is the easiest) to the chance of a right answer.
Truth = Callable[[str, int, int], float]


def paper(generator: str, budget: int, hard: int) -> float:
    """A world in which every claim holds."""
    grown = np.log2(budget) / 6
    base = 1.05 - 0.2 * hard + (0.12 * grown if hard < BINS else 0.0)
    if generator in ("beam", "lookahead"):
        gain = {1: 0.15 - 0.4 * grown, 2: 0.2, 3: 0.2, 4: 0.2, 5: 0.0}[hard] - 0.15 * grown * (hard < 3)
        return base + gain - (0.1 if generator == "lookahead" else 0.0)
    if generator == "revisions/16":
        return base + 0.2 - 0.035 * hard
    return base


def flat(generator: str, budget: int, hard: int) -> float:
    """A world in which nothing matters."""
    return 0.5


class World:
    """Credits of all generators on the same problems, and their difficulty; fields may be spoilt."""

    def __init__(self, folder: Path, truth: Truth, large: Mapping[int, float], seed: int = 0) -> None:
        self.folder = folder
        rng = np.random.default_rng(seed)
        self.ids = [f"p{number:03d}" for number in range(PROBLEMS)]
        self.bins = np.arange(PROBLEMS) * BINS // PROBLEMS + 1
        self.credits: dict[tuple[str, str], dict[str, list[Any]]] = {}
        for policy, size in SIZES.items():
            for generator in KINDS if policy == "small" else ("greedy",):
                budgets = (1,) if generator == "greedy" else BUDGETS[1:] if "/16" in generator else BUDGETS
                rates = [
                    [large[b] if policy == "large" else truth(generator, n, b) for b in self.bins]
                    for n in budgets
                ]
                noise = 0.1 * rng.standard_normal((len(budgets), PROBLEMS))
                credit = np.clip(np.array(rates) + noise, 0, 1)
                self.credits[policy, generator] = self._table(generator, budgets, credit, size)
        self.spec: dict[str, Any] = {
            "experiment": "e",
            "pools": [
                {"dataset": "d", "policy": policy, "generator": generator, "kind": KINDS[generator]}
                for policy, generator in self.credits
            ],
            # The bins are the truth, not told by any pool that is measured.
            "difficulties": [["d", "small", "pilot"], ["d", "large", "pilot"]],
            "bins": BINS,
            "families": {
                "search": ["sampling", "beam", "lookahead"],
                "revising": ["revisions/1", "revisions/16"],
            },
            "selector": "weighted",
            "verifier": "prm",
            "step_aggregation": "last",
            "cost_model": "wu2024",
            "splits": 5,
            "exchange": [{"small": "small", "large": "large", "greedy": "greedy"}],
            "ratios": [0.16, 22.0],
            "draws": 200,
            "level": 0.95,
            "seed": 3,
            "code": "0",
        }

    def _table(
        self, generator: str, budgets: tuple[int, ...], credit: np.ndarray, size: int
    ) -> dict[str, list[Any]]:
        count = len(budgets) * PROBLEMS
        samples = np.repeat(budgets, PROBLEMS).astype(float)
        strategy = ("none", "none", "none") if generator == "greedy" else ("prm", "weighted", "last")
        flops = samples * 2.0 * size * 50
        return {
            "problem_id": self.ids * len(budgets),
            "level": self.bins.tolist() * len(budgets),
            "verifier": [strategy[0]] * count,
            "selector": [strategy[1]] * count,
            "step_aggregation": [strategy[2]] * count,
            "half": [0] * count,
            "budget": samples.astype(int).tolist(),
            "credit": credit.ravel().tolist(),
            "standard_error": [0.0] * count,
            "limit_low": [None] * count,
            "limit_high": [None] * count,
            "tokens": (samples * 50).tolist(),
            "flops_wu2024": flops.tolist(),
            "flops_kaplan": flops.tolist(),
            "flops_total": (2 * flops).tolist(),
            "seconds": samples.tolist(),
        }

    def run(self) -> dict[str, pd.DataFrame]:
        paths = []
        for (policy, generator), columns in self.credits.items():
            path = self.folder / policy / f"{generator.replace('/', '-')}.parquet"
            shape = {
                "parameters": SIZES[policy],
                "embedding_parameters": 0,
                "layers": 1,
                "attention_width": 1,
            }
            write_table(path, columns, CREDITS, {"policy": shape})
            paths.append(str(path))
        for policy in (policy for _, policy, _ in self.spec["difficulties"]):
            size = SIZES[policy]
            path = self.folder / policy / "difficulty.parquet"
            pool = 2.0 * size * 50 * 64
            columns = {
                "problem_id": self.ids,
                "level": self.bins.tolist(),
                "half": [0] * PROBLEMS,
                "samples": [64] * PROBLEMS,
                "oracle": (1 - self.bins / BINS).tolist(),
                "oracle_bin": self.bins.tolist(),
                "predicted": (1 - self.bins / BINS).tolist(),
                "predicted_bin": self.bins.tolist(),
                "flops_wu2024": [pool] * PROBLEMS,
                "flops_kaplan": [pool] * PROBLEMS,
                "flops_total": [pool] * PROBLEMS,
                "flops_total_verified": [2 * pool] * PROBLEMS,
            }
            write_table(path, columns, DIFFICULTY, {})
            paths.append(str(path))
        names = ("by_difficulty", "compute_optimal", "exchange", "claims", "exchange_curves")
        outputs = [str(self.folder / f"{name}.csv") for name in names]
        allocate.main([json.dumps(self.spec), *paths, *outputs])
        return {
            name: pd.read_csv(path, dtype={"bin": str}) for name, path in zip(names, outputs, strict=True)
        }


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """The paper's world: the larger model wins on hard problems alone."""
    large = {1: 0.92, 2: 0.75, 3: 0.6, 4: 0.33, 5: 0.7}
    return World(tmp_path_factory.mktemp("paper"), paper, large).run()


def verdicts(claims: pd.DataFrame) -> dict[int, set[str]]:
    return {int(str(claim)): set(rows["verdict"]) for claim, rows in claims.groupby("claim")}


def test_the_papers_claims_hold_in_the_papers_world(told: dict[str, pd.DataFrame]) -> None:
    claims = told["claims"]
    free = claims[~claims["cost_model"].str.contains("charged")]
    assert {claim: found for claim, found in verdicts(free).items() if found != {"supported"}} == {}


def test_nothing_is_supported_where_nothing_differs(tmp_path: Path) -> None:
    claims = World(tmp_path, flat, dict.fromkeys(range(1, BINS + 1), 0.5)).run()["claims"]
    about_gains = ~claims["statistic"].str.contains("0.05 minus")
    chance = (claims[about_gains]["verdict"] == "supported").mean()
    assert chance < 0.2


def test_the_choice_beats_every_fixed_strategy_and_says_what_it_is(told: dict[str, pd.DataFrame]) -> None:
    table = told["compute_optimal"]
    rows = table[(table["axis"] == "generations") & (table["family"] == "search") & (table["budget"] == 64)]
    oracle = rows[rows["difficulty"] == "oracle"].set_index("bin")
    assert oracle.loc["all", "gain_low"] > 0.05
    assert oracle.loc["1", "chosen"] == "sampling@64 100%"
    assert oracle.loc["3", "chosen"] == "beam@64 100%"
    one = rows[(rows["difficulty"] == "none") & (rows["bin"] == "all")].iloc[0]
    assert one["gain"] < oracle.loc["all", "gain"]
    # Bins of the same size: the whole is their mean.
    assert oracle.loc["all", "accuracy"] == pytest.approx(oracle.drop("all")["accuracy"].mean(), abs=1e-5)


def test_compute_saved_is_told_with_and_without_the_cost_of_difficulty(told: dict[str, pd.DataFrame]) -> None:
    table = told["compute_optimal"]
    rows = table[(table["bin"] == "all") & (table["family"] == "search") & (table["difficulty"] == "oracle")]
    own = rows[rows["axis"] == "generations"].set_index("budget")
    assert own.index[own["knee"]].tolist() == [64], "the baseline still gains"
    assert own.loc[64, "saved"] > 4
    # With the 64 samples that told difficulty every choice costs more than what it is compared with.
    assert 0 < own.loc[64, "saved_charged"] < 1
    free = table[(table["difficulty"] == "none") & (table["bin"] == "all")]
    assert (free["saved"] == free["saved_charged"]).all()


def test_accuracy_by_difficulty_is_the_mean_of_its_bin(told: dict[str, pd.DataFrame]) -> None:
    table = told["by_difficulty"]
    row = table[
        (table["strategy"] == "beam")
        & (table["budget"] == 16)
        & (table["difficulty"] == "oracle")
        & (table["bin"] == "3")
    ].iloc[0]
    assert row["problems"] == PROBLEMS // BINS
    assert row["accuracy"] == pytest.approx(paper("beam", 16, 3), abs=0.04)
    assert row["ci_low"] < row["accuracy"] < row["ci_high"]


def test_the_exchange_spends_what_is_matched(told: dict[str, pd.DataFrame]) -> None:
    table = told["exchange"]
    rows = table[(table["family"] == "search") & (table["difficulty"] == "oracle")]
    rows = rows[rows["cost_model"] == "wu2024"]
    small, large = rows[rows["ratio"] == 0.16], rows[rows["ratio"] == 22.0]
    assert small["multiplier"].iloc[0] == pytest.approx(257.75)
    assert not small["measured_enough"].any()
    assert large["measured_enough"].all()
    # 15.8 greedy answers: 4 samples is the largest measured budget within.
    assert large["flops_matched"].iloc[0] == pytest.approx(15.77 * 2e6 * 50, rel=1e-3)
    assert large["flops_spent"].iloc[0] <= 4 * 2e6 * 50 * (1 + 1e-9)
    assert set(rows["told_by"]) == {"both"}
    easy = small[small["bin"] == "2"].iloc[0]
    assert easy["difference_low"] > 0
    assert small[small["bin"] == "5"].iloc[0]["difference_high"] < 0


def test_the_curves_of_a_pair_pass_through_what_the_exchange_says(told: dict[str, pd.DataFrame]) -> None:
    keys = ["dataset", "small", "large", "family", "cost_model", "difficulty", "told_by", "bin"]
    curves = dict(list(told["exchange_curves"].groupby(keys)))
    exchanged = told["exchange"].query("difficulty == 'oracle' and bin != 'all'")
    assert set(curves) == set(exchanged[keys].itertuples(index=False, name=None))
    for row in exchanged.itertuples():
        line = curves[tuple(getattr(row, key) for key in keys)]
        assert line["budget"].is_monotonic_increasing
        assert (line["spent"] <= line["budget"] * (1 + 1e-5)).all()
        within = line[line["budget"] <= row.flops_matched * (1 + 1e-5)].iloc[-1]
        if within["spent"] == row.flops_spent:  # the matched compute pays for nothing more
            assert within["accuracy"] == row.small_accuracy
    assert (told["exchange_curves"]["ci_low"] <= told["exchange_curves"]["ci_high"]).all()


def spoil(key: str, value: object) -> Callable[[World], None]:
    return lambda world: world.spec.update({key: value})


def shuffle(world: World) -> None:
    world.credits["small", "beam"]["problem_id"][0] = "p999"


def drop_table(world: World) -> None:
    del world.credits["small", "beam"]


FAULTS: dict[str, tuple[Callable[[World], None], str]] = {
    "another problem": (shuffle, "its problems are not those of"),
    "a missing table": (drop_table, "names 10 tables|names 9 tables"),
    "a selector that is not there": (
        spoil("families", {"search": ["sampling", "beam+majority"]}),
        "has no majority with verifier prm",
    ),
    "a larger model that is smaller": (
        spoil("exchange", [{"small": "small", "large": "small", "greedy": "greedy"}]),
        "must be larger",
    ),
    "no greedy answers": (
        spoil("exchange", [{"small": "small", "large": "large", "greedy": "gredy"}]),
        "large has no candidates of gredy",
    ),
    "an unknown key": (spoil("splitz", 3), "splitz"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_does_not_fit_is_refused(name: str, tmp_path: Path) -> None:
    fault, match = FAULTS[name]
    world = World(tmp_path, paper, dict.fromkeys(range(1, BINS + 1), 0.5))
    fault(world)
    with pytest.raises(UserError, match=match):
        world.run()


def test_budgets_that_leave_no_choice_are_marked(told: dict[str, pd.DataFrame]) -> None:
    table = told["compute_optimal"]
    rows = table[(table["axis"] == "generations") & (table["bin"] == "all")]
    counts = rows.groupby(["family", "budget"])["options"].agg(set).to_dict()
    assert counts["search", 64.0] == {3}
    assert counts["revising", 1.0] == {1}
    assert counts["revising", 16.0] == {2}
    shown = last_choices(told["compute_optimal"][told["compute_optimal"]["budget"] < 4])
    assert set(shown["family"]) == {"search"}


def test_a_larger_model_needs_no_difficulty_of_its_own(tmp_path: Path, told: dict[str, pd.DataFrame]) -> None:
    world = World(tmp_path, paper, {1: 0.92, 2: 0.75, 3: 0.6, 4: 0.33, 5: 0.7})
    world.spec["difficulties"] = [["d", "small", "pilot"]]
    alone = world.run()["exchange"]
    told_by = {"oracle": "small", "predicted": "small", "level": "level"}
    assert alone["told_by"].tolist() == [told_by[kind] for kind in alone["difficulty"]]
    # Here both find the same problems hard, so the bins are the same.
    pd.testing.assert_frame_equal(alone.drop(columns="told_by"), told["exchange"].drop(columns="told_by"))


def test_the_exchange_is_there_whatever_the_headline_counts(
    tmp_path: Path, told: dict[str, pd.DataFrame]
) -> None:
    world = World(tmp_path, paper, {1: 0.92, 2: 0.75, 3: 0.6, 4: 0.33, 5: 0.7})
    world.spec["cost_model"] = "total"
    pd.testing.assert_frame_equal(world.run()["exchange"], told["exchange"])
