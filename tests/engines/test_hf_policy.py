"""The transformers engine against transformers' own decoding, and against itself in other batches."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import AutoModelForCausalLM, AutoTokenizer

from isoflop.config.models import Policy
from isoflop.data.word_problems import generate_problems
from isoflop.engines import hf_policy
from isoflop.engines.decoding import choice as choice_module
from isoflop.engines.decoding import exact as exact_module
from isoflop.engines.decoding.choice import CLOSE, ROUNDING
from isoflop.engines.decoding.exact import ExactReader
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.kv_cache import SegmentStore
from isoflop.engines.prefix_attention import Branch
from isoflop.engines.registry import GenerationRequest, load_policy
from isoflop.engines.token_sampling import ROUNDING_PER_TOKEN, settle_logprob
from isoflop.errors import UserError
from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.verifiers.hf_verifier import TransformersVerifier
from isoflop.verifiers.kinds.math_shepherd import MathShepherd

PROMPTS = [problem.prompt + "\n" for problem in generate_problems("dev", 10, seed=5)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(tmp_path_factory.mktemp("models") / "llama")


def sampled(samples: int, top_p: float = 1.0, max_tokens: int = 24) -> list[GenerationRequest]:
    return [
        GenerationRequest(prompt, seed=1000 * place + sample, max_tokens=max_tokens + place, top_p=top_p)
        for place, prompt in enumerate(PROMPTS)
        for sample in range(samples)
    ]


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gpt_neox"])
def test_greedy_is_what_transformers_generates(tmp_path: Path, architecture: str) -> None:
    folder = save_tiny(tmp_path, architecture)
    requests = [GenerationRequest(prompt, 0, 20, temperature=0.0) for prompt in PROMPTS]
    completions = TransformersPolicy(Policy(model=folder), batch_size=4).generate(requests)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    for prompt, completion in zip(PROMPTS, completions, strict=True):
        inputs = tokenizer(prompt, return_tensors="pt")
        output = model.generate(**inputs, max_new_tokens=20, do_sample=False)[
            0, inputs["input_ids"].shape[1] :
        ]
        assert completion.text == tokenizer.decode(output, skip_special_tokens=True)
        assert len(completion.pieces) == len(output)
        assert completion.prompt_tokens == inputs["input_ids"].shape[1]


@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_what_a_request_gets_does_not_depend_on_its_batch(tiny: str, top_p: float) -> None:
    requests = sampled(5, top_p)
    together = TransformersPolicy(Policy(model=tiny), batch_size=512).generate(requests)
    small = TransformersPolicy(Policy(model=tiny), batch_size=3).generate(requests)
    order = np.random.default_rng(0).permutation(len(requests))
    shuffled = TransformersPolicy(Policy(model=tiny), batch_size=16).generate(
        [requests[place] for place in order]
    )
    for place, completion in enumerate(together):
        assert small[place].text == completion.text
        assert small[place].finish == completion.finish
        assert small[place].logprob == completion.logprob
    for position, place in enumerate(order):
        assert shuffled[position] == together[place]


@pytest.mark.parametrize("architecture", ["granite", "gemma2"])
def test_models_that_transform_their_logits_are_refused(tmp_path: Path, architecture: str) -> None:
    folder = save_tiny(tmp_path, architecture)
    with pytest.raises(UserError, match="its logits are not its hidden states times"):
        TransformersPolicy(Policy(model=folder))
    with pytest.raises(UserError, match=r"its logits are not its hidden states times|cannot be loaded"):
        TransformersVerifier(MathShepherd(kind="math-shepherd", model=folder))


def test_requests_that_draw_alike_share_the_work(tiny: str) -> None:
    """At a low temperature samples begin alike: the same texts, from fewer tokens computed."""
    requests = [
        replace(request, temperature=0.02 if place % 3 else 0.0) for place, request in enumerate(sampled(12))
    ]
    policy, alone = (
        TransformersPolicy(Policy(model=tiny)),
        TransformersPolicy(Policy(model=tiny), batch_size=1),
    )
    for shared, single in zip(policy.generate(requests), alone.generate(requests), strict=True):
        assert (shared.text, shared.finish, shared.pieces) == (single.text, single.finish, single.pieces)
        assert shared.logprob == single.logprob
    assert alone.computed > 2 * policy.computed


@pytest.mark.parametrize("name", [None, "policy-0.1M", "policy-0.9M"])
def test_rounding_stays_well_inside_the_margins(tiny: str, name: str | None) -> None:
    """Those within which choices are settled in float64 are ample for float32's rounding."""
    folder = tiny if name is None else f"resources/models/{name}"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    exact = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).double()
    moved, shifted = [0.0], [0.0]
    with torch.inference_mode():
        for prompt in PROMPTS:
            ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
            logits, true = model(ids).logits[0].double(), exact(ids).logits[0]
            single, double = (torch.softmax(one, -1).cumsum(-1)[:, :-1] for one in (logits, true))
            apart = (single - double).abs()
            spread = (true.amax(-1) - true.amin(-1))[:, None]
            # Beyond 1e-9 it is float64's own sums that differ.
            odds = apart / (double * (1 - double)).clamp(min=1e-9)
            moved.append(float((odds / spread).max()))
            shifted.append(float(apart.max()))
    assert 0 < max(moved) < ROUNDING / 3
    assert 0 < max(shifted) < CLOSE / 3


@pytest.mark.parametrize("name", ["policy-0.1M", "policy-0.9M"])
def test_shipped_models_write_equal_completions_in_every_batch(name: str) -> None:
    """Log-probabilities included, of whole texts and of what continues them."""
    requests = [
        GenerationRequest(prompt, seed=100 * place + sample, max_tokens=60, temperature=1.0 + 0.2 * sample)
        for place, prompt in enumerate(PROMPTS[:2])
        for sample in range(6)
    ]
    policies = [
        TransformersPolicy(Policy(model=f"resources/models/{name}"), batch_size=size) for size in (512, 24, 1)
    ]
    completions = [policy.generate(requests) for policy in policies]
    assert completions[0] == completions[1] == completions[2]
    steps = [
        replace(request, seed=request.seed + 7, written=completion.tokens[:9], separator="\n")
        for request, completion in zip(requests, completions[0], strict=True)
    ]
    continued = [policy.generate(steps) for policy in policies]
    assert continued[0] == continued[1] == continued[2]


@pytest.mark.parametrize("name", ["policy-0.1M", "policy-0.9M"])
def test_rounding_of_log_probabilities_stays_well_inside_the_margin(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = TransformersPolicy(Policy(model=f"resources/models/{name}"))
    errors = []

    def compared(branch: Branch, token: int, computed: float) -> float:
        written = [*branch.tokens, token]
        exact = policy._exact.logprobs(branch, written).sum()
        errors.append(abs(computed - float(exact)) / len(written))
        return computed

    monkeypatch.setattr(policy, "_logprob", compared)
    policy.generate(
        [GenerationRequest(p, seed, 100, temperature=1.5) for p in PROMPTS[:3] for seed in range(8)]
    )
    assert len(errors) >= 12
    assert 0 < max(errors) < ROUNDING_PER_TOKEN / 4


def test_close_choices_are_read_on_from_where_they_were_read_before(tiny: str) -> None:
    """Whatever is read beside a text, and whatever is kept of it, its logits in float64 are the same."""
    policy = TransformersPolicy(Policy(model=tiny))
    ids = AutoTokenizer.from_pretrained(tiny)(PROMPTS[:3])["input_ids"]
    texts = [(tuple(prompt), list(prompt[:place])) for prompt in ids for place in (0, 1, 4, 30)]
    plain = AutoModelForCausalLM.from_pretrained(tiny).double()
    with torch.inference_mode():
        expected = [plain(torch.tensor([[*prompt, *tokens]])).logits[0, -1] for prompt, tokens in texts]
        reader = ExactReader(policy._model)
        branches = [Branch(prompt, []) for prompt, _ in texts]
        for count in (0, 3, 30):
            for branch, (_, tokens) in zip(branches, texts, strict=True):
                branch.tokens[:] = tokens[:count]
            logits = reader.after(branches)
        again = reader.after([branches[3]])
        forgetful = ExactReader(policy._model)
        forgetful._store = SegmentStore(1)
        forgotten = [forgetful.after(branches[place : place + 2]) for place in range(0, len(branches), 2)]
    for found in (logits, torch.cat(forgotten)):
        assert torch.allclose(found, torch.stack(expected), rtol=0, atol=1e-11)
    assert torch.allclose(again[0], expected[3], rtol=0, atol=1e-11)


def test_with_every_choice_close_texts_are_the_same(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = sampled(4)
    policy = TransformersPolicy(Policy(model=tiny))
    plain = policy.generate(requests)
    monkeypatch.setattr(hf_policy, "ROUNDING", 1e9)
    monkeypatch.setattr(choice_module, "CLOSE", 1.0)
    settling = TransformersPolicy(Policy(model=tiny), batch_size=7)
    assert settling.generate(requests) == plain
    tokens = sum(len(completion.pieces) for completion in plain)
    assert settling.settled > 0.9 * tokens > 20 * policy.settled


def test_a_doubtful_log_probability_is_read_again_and_shared(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every text doubtful, all come from float64: once for requests that have written the same."""
    requests = [request for request in sampled(1) for _ in range(3)]
    plain = TransformersPolicy(Policy(model=tiny)).generate(requests)
    monkeypatch.setattr(hf_policy, "settle_logprob", lambda value, tokens: (value, True))
    policy = TransformersPolicy(Policy(model=tiny))
    exact = policy.generate(requests)
    assert policy.reread == len(PROMPTS)
    for one, other in zip(plain, exact, strict=True):
        assert settle_logprob(other.logprob, len(other.pieces))[0] == one.logprob


def test_log_probability_and_finish(tiny: str) -> None:
    requests = sampled(3, max_tokens=100)
    completions = TransformersPolicy(Policy(model=tiny)).generate(requests)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model = AutoModelForCausalLM.from_pretrained(tiny)
    assert {completion.finish for completion in completions} == {"stop", "length"}
    checked = 0
    for request, completion in zip(requests, completions, strict=True):
        prompt = tokenizer(request.prompt)["input_ids"]
        written = tokenizer(completion.text, add_special_tokens=False)["input_ids"]
        if completion.finish == "stop":
            written.append(tokenizer.eos_token_id)
        else:
            assert len(completion.pieces) == request.max_tokens
        # Random tokens need not survive decoding: a digit that begins a line has two of them.
        ambiguous = re.search(r"(?m)^\d", completion.text) or tokenizer.unk_token_id in written
        if ambiguous or len(written) != len(completion.pieces):
            continue
        checked += 1
        with torch.inference_mode():
            logprobs = torch.log_softmax(model(torch.tensor([prompt + written])).logits[0].double(), -1)
        expected = sum(float(logprobs[len(prompt) - 1 + place, token]) for place, token in enumerate(written))
        assert completion.logprob == pytest.approx(expected, abs=3e-4 * max(len(written), 8))
    assert checked >= 5


def test_first_tokens_are_distributed_as_the_model_says(tiny: str) -> None:
    draws = 3000
    requests = [GenerationRequest(PROMPTS[0], seed, 1) for seed in range(draws)]
    completions = TransformersPolicy(Policy(model=tiny)).generate(requests)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    with torch.inference_mode():
        logits = AutoModelForCausalLM.from_pretrained(tiny)(
            **tokenizer(PROMPTS[0], return_tensors="pt")
        ).logits
    expected = torch.softmax(logits[0, -1].double(), -1).numpy()
    likely = np.argsort(-expected)[:5]
    texts = [tokenizer.decode([token], skip_special_tokens=True) for token in likely]
    assert all(texts)
    counts = np.array([sum(completion.text == text for completion in completions) for text in texts])
    rest = draws - counts.sum()
    observed, wanted = [*counts, rest], [*expected[likely], 1 - expected[likely].sum()]
    assert chisquare(observed, np.array(wanted) * draws).pvalue > 1e-4


def test_a_prompt_that_cannot_fit_is_refused_before_any_work(tiny: str) -> None:
    with pytest.raises(UserError, match="512 positions"):
        TransformersPolicy(Policy(model=tiny)).generate([GenerationRequest(PROMPTS[0], 0, 500)])


def test_missing_models_and_engines_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        load_policy("transformers", entry=Policy(model=str(tmp_path / "nowhere")))
    with pytest.raises(UserError, match="llamacpp"):
        load_policy("llamacpp", entry=Policy(model="x"))


def test_large_models_are_exact_only_where_asked(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where a float32 model is not, its notes say so."""
    monkeypatch.setattr(exact_module, "EXACT_PARAMETERS", 1000)
    monkeypatch.setattr(hf_policy, "ROUNDING", 1e9)
    requests = sampled(1)
    policies = {
        (dtype, exact): TransformersPolicy(Policy(model=tiny, dtype=dtype, exact=exact))
        for dtype in ("float32", "bfloat16")
        for exact in ("auto", True, False)
    }
    for policy in policies.values():
        policy.generate(requests)
    assert {key for key, policy in policies.items() if policy.settled} == {("float32", True)}
    noted = {key: note for key, policy in policies.items() for note in policy.notes}
    assert noted.keys() == {("float32", "auto"), ("float32", False)}
    assert "exact: auto" in noted["float32", "auto"]
    assert tiny in noted["float32", False]
