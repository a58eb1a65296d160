"""Scores that do not depend on the batch: the grid, what is doubtful, equal beginnings, whole verifiers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit
from verifier_cases import CASES, NAMES, Case, entry, requests

from isoflop.data.word_problems import generate_problems
from isoflop.engines.registry import ScoreRequest
from isoflop.verifiers import hf_verifier
from isoflop.verifiers.hf_verifier import TransformersVerifier, score_encoded
from isoflop.verifiers.registry import tag_solutions
from isoflop.verifiers.settling import SCORED, SEARCHED, Grid, alike, beginnings

SCORES = st.one_of(st.floats(0.0, 1.0), st.floats(-40.0, 40.0).map(lambda odds: 1.0 / (1.0 + np.exp(-odds))))


def one(score: float) -> NDArray[np.float64]:
    return np.array([score])


@given(score=SCORES)
def test_seven_bits_of_the_distance_are_kept(score: float) -> None:
    settled = float(SCORED.settled(one(score))[0])
    distance = min(score, 1.0 - score)
    # Half a step: of seven significant bits, or of the widest steps; near 1 steps are 2^-39 at least.
    least = 2.0**-40 if score > 0.5 else 2.0**-53
    assert abs(settled - score) <= max(min(distance * 2.0**-7, SCORED.step / 2) * (1 + 1e-9), least)
    assert float(SCORED.settled(one(settled))[0]) == settled
    if distance >= 2.0**-3:
        assert (settled / SCORED.step) % 1.0 == 0.0


@given(score=SCORES, shift=st.floats(-1.0, 1.0), grid=st.sampled_from([SCORED, SEARCHED]))
def test_what_is_not_doubtful_stays_where_it_is(score: float, shift: float, grid: Grid) -> None:
    moved = min(1.0, max(0.0, score + 0.9 * shift * grid.reach * score * (1 - score)))
    if not grid.doubtful(one(score))[0]:
        assert grid.settled(one(moved)) == grid.settled(one(score))


@pytest.mark.parametrize("odds", [*range(20, 41, 2), *range(-40, -19, 2)])
@pytest.mark.parametrize("grid", [SCORED, SEARCHED], ids=["scored", "searched"])
def test_what_is_not_doubtful_is_what_float64_gives_also_where_scores_are_all_but_certain(
    odds: int, grid: Grid
) -> None:
    """Doubles near 1 are too coarse to tell such scores apart: they must not decide where one falls."""
    chance = np.random.default_rng(abs(odds))
    exact = odds + chance.uniform(-1.0, 1.0, 200_000)
    computed = expit(exact * (1 + 2e-7 * chance.standard_normal(200_000)))
    doubt = grid.doubtful(computed)
    assert np.array_equal(grid.settled(computed)[~doubt], grid.settled(expit(exact))[~doubt])
    assert doubt.mean() < 0.06


@given(low=SCORES, high=SCORES)
def test_order_is_kept(low: float, high: float) -> None:
    low, high = sorted((low, high))
    assert SCORED.settled(one(low)) <= SCORED.settled(one(high))


def test_scores_near_0_and_1_stay_apart() -> None:
    sure = np.array([0.9999, 0.99999, 1e-5, 1e-6])
    assert len(set(SCORED.settled(sure).tolist())) == 4
    assert SEARCHED.settled(sure)[1] == 1.0
    assert SEARCHED.settled(sure)[3] == 0.0
    assert SCORED.settled(np.array([0.0, 1.0])).tolist() == [0.0, 1.0]


def test_few_scores_are_doubtful() -> None:
    odds = np.random.default_rng(0).uniform(-8.0, 8.0, 100_000)
    assert 0.01 < SCORED.doubtful(1 / (1 + np.exp(-odds))).mean() < 0.1


def test_equal_beginnings_have_the_score_of_the_first() -> None:
    texts = [([1, 2, 3, 4], [1, 3]), ([1, 2, 5, 4], [1, 3]), ([9, 2], [1]), ([1, 2, 3, 4], [3])]
    scores = [np.array([0.25, 0.5]), np.array([0.26, 0.5]), np.array([0.3]), np.array([0.75])]
    assert [values.tolist() for values in alike(texts, scores)] == [[0.25, 0.5], [0.25, 0.5], [0.3], [0.5]]
    assert beginnings(texts[0])[1:] == beginnings(texts[3])
    assert beginnings(([], [])) == []


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_scores_do_not_depend_on_what_is_read_beside(tmp_path: Path, case: Case) -> None:
    """Together, alone, in another order, in other batches and with other threads."""
    judge = entry(case.kind, case.save(tmp_path), **case.settings)
    problems = generate_problems("dev", 8, seed=6)
    written = [tuple(problem.solution.splitlines(keepends=True)) for problem in problems]
    asked = [
        *requests(judge),
        *(
            ScoreRequest(judge.prompt.format(problem=problem.prompt), steps[:count])
            for problem in problems
            for steps in written[:3]
            for count in (1, 2)
        ),
    ]
    verifier = TransformersVerifier(judge, batch_tokens=700)
    together = verifier.score(asked)
    assert verifier.score(asked[::-1])[::-1] == together
    for size in (1, 5):
        parts = [verifier.score(asked[begin : begin + size]) for begin in range(0, len(asked), size)]
        assert [answer for part in parts for answer in part] == together
    assert TransformersVerifier(judge, batch_tokens=20_000).score(asked) == together
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if threads == 1 else 1)
        assert TransformersVerifier(judge).score(asked) == together
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_doubtful_scores_are_those_of_float64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    """Where everything is in doubt; the model is the same afterwards."""
    judge = entry(case.kind, case.save(tmp_path), **case.settings)
    verifier, asked = TransformersVerifier(judge), requests(judge)
    told = [(request.prompt, request.steps) for request in asked]
    texts = [(text.ids, text.places) for text in tag_solutions(verifier._tokenizer, judge, told)]
    plain, verifier.settled = verifier.score(asked), 0
    before, other = (score_encoded(verifier._model, texts, verifier._head, size) for size in (8192, 1))
    for grid in (SCORED, SEARCHED):
        for values, moved in zip(before, other, strict=True):
            assert np.all(np.abs(values - moved) < grid.close(values) / 2), "far below the reach"
    monkeypatch.setattr(hf_verifier, "SCORED", replace(SCORED, reach=1e4))
    answers = verifier.score(asked)
    assert verifier.settled == len({name for text in texts for name in beginnings(text)})
    assert answers == plain
    again = score_encoded(verifier._model, texts, verifier._head)
    assert [values.tolist() for values in again] == [values.tolist() for values in before]
    verifier._model.double()
    exact = score_encoded(verifier._model, texts, verifier._head)
    assert [list(answer.scores) for answer in answers] == [SCORED.settled(one).tolist() for one in exact]


def test_in_bfloat16_equal_beginnings_have_equal_scores(tmp_path: Path) -> None:
    case = CASES[0]
    judge = entry(case.kind, case.save(tmp_path), dtype="bfloat16", **case.settings)
    problems = generate_problems("dev", 2, seed=6)
    prompts = [judge.prompt.format(problem=problem.prompt) for problem in problems]
    # Far more than a tree holds, so that beginnings are read in several.
    asked = [
        ScoreRequest(prompt, ("1 + 1 = 2\n", f"{n} + {n} = {2 * n}\n" * 9))
        for prompt in prompts
        for n in range(40)
    ]
    answers = TransformersVerifier(judge, batch_tokens=600).score(asked)
    for begin in (0, 40):
        assert len({answer.scores[0] for answer in answers[begin : begin + 40]}) == 1
        assert len({answer.scores[1] for answer in answers[begin : begin + 40]}) > 10
