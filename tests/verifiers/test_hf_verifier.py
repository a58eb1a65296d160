"""Step scores against a reference computed straight from the logits, one solution at a time."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from isoflop.data.word_problems import generate_problems
from isoflop.engines.registry import ScoreRequest
from isoflop.errors import UserError
from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.verifiers.hf_verifier import TransformersVerifier
from isoflop.verifiers.kinds.math_shepherd import MathShepherd
from isoflop.verifiers.layouts import marked_solutions, token_id
from isoflop.verifiers.settling import SCORED


def prm(folder: str, **settings: object) -> MathShepherd:
    return MathShepherd.model_validate({"kind": "math-shepherd", "model": folder, **settings})


REQUESTS = [
    ScoreRequest(problem.prompt + "\n", tuple(problem.solution.splitlines(keepends=True)))
    for problem in generate_problems("dev", 12, seed=4)
]


# Solutions that begin alike: two ways to go on after each step of a solution.
REQUESTS += [
    ScoreRequest(request.prompt, (*request.steps[:end], ending))
    for request in REQUESTS[2:6]
    for end in range(len(request.steps))
    for ending in ("The answer is 7.\n", "The answer is 8.\n")
]


@pytest.mark.parametrize("nodes", [20, 150, 512])
@pytest.mark.parametrize("architecture", ["llama", "gpt_neox"])
def test_scores_are_the_softmax_of_two_tokens_at_the_tags(
    tmp_path: Path, architecture: str, nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_tiny(tmp_path, architecture)
    requests = [*REQUESTS, REQUESTS[0], ScoreRequest(REQUESTS[1].prompt, ("",))]
    answers = TransformersVerifier(prm(folder), batch_tokens=400).score(requests)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tag, good, bad = (
        tokenizer(text, add_special_tokens=False)["input_ids"][0] for text in (" ки", " +", " -")
    )
    for request, answer in zip(requests, answers, strict=True):
        text = request.prompt + "".join(
            step.rstrip("\n") + " ки" + ("\n" if place < len(request.steps) - 1 or step else "")
            for place, step in enumerate(request.steps)
        )
        ids = tokenizer(text)["input_ids"]
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0]
        at_tags = logits[torch.tensor(ids) == tag][:, [good, bad]].double()
        expected = torch.softmax(at_tags, -1)[:, 0].tolist()
        assert answer.scores == pytest.approx(expected, abs=SCORED.step / 2 + 1e-5)
        assert len(answer.scores) == len(request.steps)
        assert answer.tokens in (len(ids), len(ids) + 1)


def test_a_tag_written_by_the_policy_adds_no_score(tmp_path: Path) -> None:
    verifier = TransformersVerifier(prm(save_tiny(tmp_path)))
    [answer] = verifier.score(
        [ScoreRequest(REQUESTS[0].prompt, ("Mia has ки ки 3.\n", "The answer is 3.\n"))]
    )
    assert len(answer.scores) == 2


def test_too_long_and_untokenizable_are_refused(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path)
    with pytest.raises(UserError, match="512 positions"):
        TransformersVerifier(prm(folder)).score([ScoreRequest("Mia has 3 apples." * 120, ("a\n",))])
    with pytest.raises(UserError, match="not one token"):
        TransformersVerifier(prm(folder, step_tag=" step tag"))


def test_tags_go_between_a_step_and_its_newline(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(save_tiny(tmp_path))
    solution = ("Mia has 3 apples.\n", ("Tom has 4.\n", "The answer is 4."))
    [(ids, places)] = marked_solutions(tokenizer, [solution], " ки")
    assert tokenizer.decode(ids[1:]) == "Mia has 3 apples.\nTom has 4. ки\nThe answer is 4. ки\n"
    assert [ids[place] for place in places] == [token_id(tokenizer, " ки")] * 2


def test_tags_go_before_the_newline_with_a_sentencepiece_tokenizer() -> None:
    """There a newline alone is two pieces, a word start and the byte; at the end of a line it is the byte."""
    pieces = {piece: place for place, piece in enumerate(("<unk>", "▁", "<0x0A>", "a", "▁ки"))}
    model = Tokenizer(models.BPE(pieces, [], unk_token="<unk>", byte_fallback=True))
    model.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    model.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    model.add_tokens(["▁ки"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=model, unk_token="<unk>")
    assert tokenizer("\n")["input_ids"] == [1, 2]
    [(ids, places)] = marked_solutions(tokenizer, [("a", ("a\n", "a"))], "▁ки")
    assert [ids[place] for place in places] == [4, 4]
    assert ids[places[0] + 1] == 2
