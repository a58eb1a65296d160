"""Verifiers in vLLM against the transformers engine, which is tested against the models' own recipes."""

from pathlib import Path

import pytest
from verifier_cases import CASES, NAMES, Case, entry, requests

from isoflop.data.word_problems import generate_problems
from isoflop.engines.registry import ScoreRequest
from isoflop.errors import UserError
from isoflop.verifiers.hf_verifier import TransformersVerifier
from isoflop.verifiers.vllm_verifier import VllmVerifier

SHIPPED = str(Path(__file__).parents[2] / "resources" / "models" / "prm-1.7M")


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine of its own for every model, without a process of its own, which would import all again."""
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_scores_are_those_of_the_transformers_engine(tmp_path: Path, case: Case) -> None:
    one = entry(case.kind, case.save(tmp_path), **case.settings)
    theirs = one.model_copy(update={"engine": "vllm"})
    if case.kind == "skywork-prm":
        with pytest.raises(UserError, match="set engine: transformers"):
            VllmVerifier(theirs)
        return
    verifier, ours = VllmVerifier(theirs), TransformersVerifier(one)
    answers, expected = verifier.score(requests(one)), ours.score(requests(one))
    verifier.close()
    assert verifier.shape == ours.shape
    for answer, reference in zip(answers, expected, strict=True):
        assert answer.scores == pytest.approx(reference.scores, abs=1e-3)
        assert (answer.tokens, answer.step_ends) == (reference.tokens, reference.step_ends)


def test_the_shipped_model_scores_alike_and_long_solutions_are_marked() -> None:
    settings = {"prompt": "{problem}\n", "max_length": 300, "too_long": "mark"}
    one = entry("math-shepherd", SHIPPED, **settings)
    asked = [
        ScoreRequest(problem.prompt + "\n", tuple(problem.solution.splitlines(keepends=True)))
        for problem in generate_problems("dev", 60, seed=4)
    ]
    asked.append(ScoreRequest("Mia has 3 apples. " * 90, ("The answer is 3.\n",)))
    verifier = VllmVerifier(one.model_copy(update={"engine": "vllm"}))
    answers, expected = verifier.score(asked), TransformersVerifier(one).score(asked)
    verifier.close()
    assert answers[-1].scores == ()
    assert sum(bool(answer.scores) for answer in answers) >= 50
    for answer, reference in zip(answers, expected, strict=True):
        assert answer.scores == pytest.approx(reference.scores, abs=1e-3)
