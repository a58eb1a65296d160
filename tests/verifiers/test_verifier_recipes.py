"""Every convention of verifiers against a reference that is found by the book (verifier_cases.py)."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from verifier_cases import CASES, NAMES, SOLUTIONS, Case, entry, requests

from isoflop.engines.checkpoints import load_model, load_tokenizer
from isoflop.engines.registry import ScoreRequest
from isoflop.errors import UserError
from isoflop.registries import VERIFIERS
from isoflop.rehearsal.tiny_verifiers import save_verifier
from isoflop.verifiers.heads import read_head
from isoflop.verifiers.hf_verifier import TransformersVerifier
from isoflop.verifiers.registry import verifier_kind
from isoflop.verifiers.settling import SCORED


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_scores_are_those_of_the_models_own_recipe(tmp_path: Path, case: Case) -> None:
    folder = case.save(tmp_path)
    one = entry(case.kind, folder, **case.settings)
    answers = TransformersVerifier(one, batch_tokens=700).score(requests(one))
    scores = [score for answer in answers for score in answer.scores]
    expected = [score for problem, steps in SOLUTIONS for score in case.reference(folder, problem, steps)]
    assert scores == pytest.approx(expected, abs=SCORED.step / 2 + 2e-5)
    assert max(scores) - min(scores) > 0.05, "a reference that says nothing"
    for answer, (_, steps) in zip(answers, SOLUTIONS, strict=True):
        assert len(answer.scores) == (1 if one.outcome else len(steps))


@pytest.mark.parametrize("case", CASES[:7], ids=NAMES[:7])
def test_a_search_is_told_the_same_scores_however_it_asks(tmp_path: Path, case: Case) -> None:
    one = entry(case.kind, save_verifier(tmp_path, case.kind), **case.settings)
    guide, plain = TransformersVerifier(one, settle=True), TransformersVerifier(one)
    asked = requests(one)
    grown = [ScoreRequest(request.prompt, request.steps[:end]) for request in asked for end in (1, 2)]
    together = guide.score(asked)
    assert (
        TransformersVerifier(one, batch_tokens=1, settle=True).score([*grown, *asked])[len(grown) :]
        == together
    )
    for answer, reference in zip(together, plain.score(asked), strict=True):
        assert answer.scores == pytest.approx(reference.scores, abs=SCORED.step + 1e-5)
        assert answer.step_ends == reference.step_ends


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_head_is_counted_once(tmp_path: Path, case: Case) -> None:
    folder = case.save(tmp_path)
    saved = load_file(Path(folder) / "model.safetensors")
    verifier = TransformersVerifier(entry(case.kind, folder, **case.settings))
    assert verifier.shape.parameters == sum(tensor.numel() for tensor in saved.values())


@pytest.mark.parametrize("case", [one for one in CASES if VERIFIERS[one.kind].vllm_task == "token_embed"])
def test_the_last_layer_is_read_from_the_file_as_from_the_loaded_model(tmp_path: Path, case: Case) -> None:
    folder = case.save(tmp_path)
    one, tokenizer = entry(case.kind, folder, **case.settings), load_tokenizer(folder, None)
    loaded = read_head(one, load_model(folder, None, "float32", shared_prefix=False), tokenizer)
    saved = verifier_kind(case.kind).vllm_head(one, 0, tokenizer)
    assert saved.good == loaded.good
    assert torch.equal(saved.weight, loaded.weight.cpu())
    assert torch.equal(saved.bias, loaded.bias.cpu())


def test_what_is_too_long_is_refused_or_marked_but_never_cut(tmp_path: Path) -> None:
    folder = save_verifier(tmp_path, "math-shepherd")
    long, short = ScoreRequest("Mia has 3 apples. " * 40, ("a\n",)), ScoreRequest("Mia ", ("b\n", "c\n"))
    with pytest.raises(UserError, match="exceeds the verifier's 60 positions"):
        TransformersVerifier(entry("math-shepherd", folder, max_length=60)).score([short, long])
    marking = TransformersVerifier(entry("math-shepherd", folder, max_length=60, too_long="mark"))
    marked, scored, again = marking.score([long, short, long])
    assert (marked.scores, marked.tokens, again) == ((), 0, marked)
    assert scored == TransformersVerifier(entry("math-shepherd", folder)).score([short])[0]


@pytest.mark.parametrize(
    ("kind", "checkpoint", "settings", "message"),
    [
        ("qwen-prm", "token-pair", {}, "no tensor 'score.0.weight'"),
        ("skywork-prm", "token-pair", {}, "no tensor 'v_head.summary.weight'"),
        ("rlhflow", "math-shepherd", {}, "has no chat template"),
        ("qwen-prm", "qwen-prm", {"step_tag": "<extra_1>"}, "not one token"),
        ("math-shepherd", "math-shepherd", {"good_token": " good indeed"}, "not one token"),
        ("token-class", "token-class", {"step_tag": "<extra_0>", "good_class": 3}, "not one of the 3 labels"),
        ("orm", "orm of 2", {"good_class": 2}, "not one of the 2 labels"),
    ],
)
def test_a_checkpoint_of_another_kind_is_refused(
    tmp_path: Path, kind: str, checkpoint: str, settings: dict[str, Any], message: str
) -> None:
    folder = CASES[NAMES.index(checkpoint)].save(tmp_path)
    with pytest.raises(UserError, match=re.escape(message)):
        TransformersVerifier(entry(kind, folder, **settings)).score([ScoreRequest("Mia\n", ("a\n",))])


def test_a_template_that_drops_what_is_said_is_refused(tmp_path: Path) -> None:
    folder = save_verifier(tmp_path, "rlhflow")
    (Path(folder) / "chat_template.jinja").write_text("{{ messages[0].content }}")
    with pytest.raises(UserError, match="repeats or leaves out"):
        TransformersVerifier(entry("rlhflow", folder)).score([ScoreRequest("Mia\n", ("a\n",))])
