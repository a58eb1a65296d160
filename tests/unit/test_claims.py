"""Claims on invented curves whose truth is known: what must be supported, contradicted and left open."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from isoflop.claim_parts import CONTRADICTED, SUPPORTED, UNDECIDED, Part, claims_csv, verdict
from isoflop.claims import CLAIMS, claims
from isoflop.publishing import Headline, PublishSpec, Tables

DRAWS = 400
PROBLEMS = 400
SIZES = {"small": 1e6, "large": 1e7}
Truth = Callable[[str, str, str, int, str], float]


def spec(**changes: object) -> PublishSpec:
    plain = PublishSpec(
        experiment="e", title="t", datasets=("d",), policies=tuple(SIZES),
        generators=("sampling", "rebase", "mcts"), searches={"rebase": "rebase", "mcts": "mcts"},
        verifiers=("prm",),
        headline=Headline(selector="weighted", step_aggregation="last", cost_model="wu2024"),
        level=0.95, config_yaml="", seed=1, code="",
    )  # fmt: skip
    return plain.model_copy(update=changes)


def tables(truth: Truth, noise: float = 0.004) -> Tables:
    """Curves by `truth` (policy, generator, selector, budget, subset), with draws around them."""
    rows = []
    for policy, size in SIZES.items():
        for generator, budgets in (
            ("sampling", (1, 2, 4, 8, 16, 32, 64)),
            ("rebase", (4, 16, 64)),
            ("mcts", (32,)),
        ):
            for selector in ("majority", "weighted"):
                for subset in ("all", "1", "2", "3", "4", "5"):
                    for budget in budgets:
                        flops = 2 * size * 50 * budget
                        rows.append(
                            {
                                "dataset": "d",
                                "policy": policy,
                                "policy_params": size,
                                "generator": generator,
                                "selector": selector,
                                "verifier": "prm" if selector == "weighted" else "none",
                                "step_aggregation": "last" if selector == "weighted" else "none",
                                "subset": subset,
                                "budget": budget,
                                "problems": PROBLEMS if subset == "all" else 80,
                                "accuracy": truth(policy, generator, selector, budget, subset),
                                "flops_wu2024": flops,
                                "flops_total": 3 * flops,
                            }
                        )
    curves = pd.DataFrame(rows)
    errors = np.random.default_rng(0).normal(0, noise, (len(curves), DRAWS))
    paired = (curves["accuracy"].to_numpy()[:, None] + errors).astype(np.float32)
    fits = pd.DataFrame(
        [
            {
                "dataset": "d",
                "policy": "all",
                "generator": "sampling",
                "verifier": "prm",
                "selector": "weighted",
                "step_aggregation": "last",
                "subset": "all",
                "cost_model": f"flops_{cost}",
                "fit": "optimal_size",
                "parameter": "alpha",
                "value": 1.2,
                "ci_low": 0.9,
                "ci_high": 1.5,
                "status": "ok",
            }
            for cost in ("wu2024", "total")
        ]
    )
    return Tables(curves, fits, pd.DataFrame(), pd.DataFrame(), paired)


def papers_world(policy: str, generator: str, selector: str, budget: int, subset: str) -> float:
    """A world in which every claim of the paper holds."""
    limit, rate = (0.5, 0.6) if policy == "small" else (0.8, 0.5)
    start = 0.30 if policy == "small" else 0.32
    accuracy = limit - (limit - start) * np.exp(-rate * (budget - 1) ** 0.7)
    if generator == "rebase":
        accuracy += 0.06 + (0.05 if subset in "345" else 0.0)
    if generator == "mcts":
        accuracy -= 0.08
    if selector == "majority":
        accuracy -= 0.01 if generator == "rebase" else 0.05
    return float(accuracy)


def verdicts(found: list[Part], number: int) -> set[str]:
    return {part.verdict for part in found if part.claim == number}


def test_a_world_as_the_paper_has_it_supports_every_claim() -> None:
    found = claims(tables(papers_world, 0.002), spec())
    for number in CLAIMS:
        assert verdict(part for part in found if part.claim == number) == SUPPORTED, number
    # Under both costs wherever compute matters.
    for number in (1, 2, 3, 4, 6, 7):
        assert {part.cost_model for part in found if part.claim == number} == {"wu2024", "total"}
    assert {part.cost_model for part in found if part.claim in (5, 8)} == {"any"}


def upside_down(policy: str, generator: str, selector: str, budget: int, subset: str) -> float:
    """A world in which none holds: large models are better everywhere, search hurts, nothing saturates."""
    accuracy = (0.2 if policy == "small" else 0.4) + 0.04 * np.log2(budget)
    accuracy -= {"sampling": 0.0, "rebase": 0.1 + (0.05 if subset in "345" else 0.0), "mcts": -0.1}[generator]
    if selector == "majority":
        accuracy += 0.02 if generator == "sampling" else -0.05
    return float(accuracy)


def test_a_world_upside_down_contradicts_what_can_be() -> None:
    found = claims(tables(upside_down), spec())
    for number in (1, 3, 4, 5, 6, 7, 8):
        assert verdict(part for part in found if part.claim == number) == CONTRADICTED, number
    never = [part for part in found if part.claim == 4]
    assert {part.note for part in never} == {"sampling's last accuracy is not reached"}


def test_a_null_world_decides_nothing() -> None:
    """All strategies are one: no difference is decided, at 95%, more often than by chance."""
    found = claims(tables(lambda policy, generator, selector, budget, subset: 0.5, 0.02), spec())
    for number in (5, 6, 7):
        assert verdicts(found, number) == {UNDECIDED}, number
    # The worst of several budgets, against the best of several others, is below 0 by its making.
    assert SUPPORTED not in verdicts(found, 3)


def test_the_factor_of_compute_is_read_off_between_points() -> None:
    """REBASE reaches .6 halfway (in the logarithm) between 4 and 16: at 8, an eighth of 64."""

    def truth(policy: str, generator: str, selector: str, budget: int, subset: str) -> float:
        if generator == "rebase":
            return 0.4 + 0.2 * float(np.log2(budget / 4)) / 1
        return 0.6 if budget == 64 else 0.3

    [part] = [
        part for part in claims(tables(truth, 1e-6), spec())
        if (part.claim, part.part, part.cost_model) == (4, "small", "wu2024")
    ]  # fmt: skip
    assert part.value == pytest.approx(np.log10(64 / 8), abs=1e-3)


def test_what_an_experiment_lacks_is_left_open_and_said() -> None:
    plain = tables(papers_world)
    sampled = dataclasses.replace(plain, curves=plain.curves[plain.curves["generator"] == "sampling"])
    found = claims(sampled, spec(searches={}, generators=("sampling",)))
    for number in (3, 4, 6, 7):
        [part] = [part for part in found if part.claim == number]
        assert (part.verdict, part.note) == (UNDECIDED, "the experiment has not what this claim is about")
    one = dataclasses.replace(plain, curves=plain.curves[plain.curves["policy"] == "small"])
    found = claims(one, spec(policies=("small",)))
    assert verdicts(found, 1) == verdicts(found, 2) == {UNDECIDED}
    assert verdicts(found, 7) == {SUPPORTED}


def test_no_exponent_is_read_off_a_fit_that_does_not_hold() -> None:
    plain = tables(papers_world)
    found = claims(dataclasses.replace(plain, fits=plain.fits.assign(status="poor fit")), spec())
    assert [(part.verdict, part.note) for part in found if part.claim == 2] == [
        (UNDECIDED, "no fit: poor fit")
    ] * 2


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([SUPPORTED, SUPPORTED], SUPPORTED),
        ([SUPPORTED, UNDECIDED], SUPPORTED),
        ([SUPPORTED, CONTRADICTED], UNDECIDED),
        ([CONTRADICTED, UNDECIDED], CONTRADICTED),
        ([UNDECIDED], UNDECIDED),
        ([], UNDECIDED),
    ],
)
def test_verdicts_add_up(parts: list[str], expected: str) -> None:
    assert verdict(Part(1, "d", "any", "p", "s", 0.0, 0.0, 0.0, one) for one in parts) == expected


def test_the_table_has_every_part_with_its_sentence() -> None:
    found = claims(tables(papers_world), spec())
    table = claims_csv(found, "e", CLAIMS)
    assert list(table.columns) == [
        "experiment",
        "claim",
        "sentence",
        "dataset",
        "cost_model",
        "part",
        "statistic",
        "value",
        "ci_low",
        "ci_high",
        "verdict",
        "note",
    ]
    assert len(table) == len(found)
    assert set(table["sentence"]) == set(CLAIMS.values())
