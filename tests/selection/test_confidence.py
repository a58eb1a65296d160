"""Selectors by the policy's own confidence, against brute force over every subset of tiny pools."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.costs import ModelShape, Usage
from isoflop.errors import UserError
from isoflop.selection.chains import ChainPool
from isoflop.selection.pool import Candidates, SelectSpec
from isoflop.selection.samples import SamplePool
from isoflop.selection.trees import TreePool
from isoflop.strategy import LIMIT, Picking

SELECTORS = ("confidence", "confidence_weighted")
SHAPE = ModelShape(parameters=1, embedding_parameters=0, layers=1, attention_width=1)
RIGHT = 0

# A candidate: its answer, -1 for none, and its mean token log-probability; nan where it has no token.
Candidate = tuple[int, float]
candidates_of_one = st.lists(
    st.tuples(st.integers(-1, 2), st.sampled_from([-3.0, -1.0, -0.5, -0.25, 0.0, float("nan")])),
    min_size=1,
    max_size=6,
)


def graded(*problems: list[Candidate]) -> Candidates:
    everyone = [candidate for problem in problems for candidate in problem]
    classes = np.array([label for label, _ in everyone], dtype=np.int64)
    return Candidates(
        [f"p{number}" for number in range(len(problems))],
        np.array([len(problem) for problem in problems]),
        classes,
        classes == RIGHT,
        np.array([confidence for _, confidence in everyone]),
    )


def samples(candidates: Candidates) -> SamplePool:
    ones = np.ones(candidates.correct.size)
    return SamplePool(candidates, {}, ones, Usage(SHAPE, 0.0, ones), {})


def spec(kind: str, budgets: tuple[int, ...], **more: object) -> SelectSpec:
    return SelectSpec(
        budgets=budgets,
        selectors=SELECTORS,
        seed=1,
        generator_kind=kind,
        code="0",
        **more,  # type: ignore
    )


def best(subset: list[Candidate]) -> float:
    known = [(confidence, label) for label, confidence in subset if not np.isnan(confidence)]
    top = [label == RIGHT for confidence, label in known if confidence == max(known)[0]]
    return float(np.mean(top)) if top else 0.0


def vote(subset: list[Candidate]) -> float:
    sums: dict[int, float] = {}
    for label, confidence in subset:
        if label >= 0 and not np.isnan(confidence):
            sums[label] = sums.get(label, 0.0) + float(np.exp(confidence))
    top = [label == RIGHT for label, total in sums.items() if total >= max(sums.values()) * (1 - 1e-12)]
    return float(np.mean(top)) if top else 0.0


@settings(deadline=None)
@given(candidates_of_one)
def test_credits_are_means_over_all_subsets(candidates: list[Candidate]) -> None:
    budgets = tuple(range(1, len(candidates) + 1))
    found = samples(graded(candidates)).credits(spec("sampling", budgets))
    assert [one.picking for one in found] == [Picking("none", name, "none") for name in SELECTORS]
    assert [one.budgets for one in found] == [budgets, (*budgets, LIMIT)], "only votes have a limit"
    for one, credit in zip(found, (best, vote), strict=True):
        for row, size in enumerate(budgets):
            expected = np.mean([credit(list(subset)) for subset in combinations(candidates, size)])
            assert one.credit[row, 0] == pytest.approx(expected, abs=1e-9), (one.picking, size)
        assert not one.standard_error.any()


@settings(deadline=None)
@given(candidates_of_one)
def test_a_search_is_picked_from_as_one_pool(candidates: list[Candidate]) -> None:
    everyone = graded(candidates)
    finished = np.arange(len(candidates)) % 2 == 0
    pool = TreePool(everyone, {"prm": None}, finished, (4,), 1, {}, SHAPE, SHAPE)  # type: ignore[dict-item]
    found = pool.credits(spec("search", (4,)))
    for one, credit in zip(found, (best, vote), strict=True):
        assert one.credit[0, 0] == pytest.approx(credit(candidates[::2]), abs=1e-12)


def test_chains_are_picked_from_by_confidence() -> None:
    """By hand: chains (right, wrong) and (wrong, wrong) of one problem."""
    chains = [(RIGHT, -0.25), (1, -1.0), (1, -0.5), (2, -0.5)]
    pool = ChainPool(samples(graded(chains)), np.array([[[0, 1], [2, 3]]]))
    found = pool.credits(spec("revisions", (2, 4), length=2))
    assert [one.credit[:, 0].tolist() for one in found] == [[0.5, 1.0], [0.5, 1.0]]


def test_candidates_without_log_probabilities_are_refused() -> None:
    pool = samples(Candidates(["p"], np.array([1]), np.array([0]), np.array([True])))
    with pytest.raises(UserError, match="selector confidence: these candidates have no log-probabilities"):
        pool.credits(spec("sampling", (1,)))
