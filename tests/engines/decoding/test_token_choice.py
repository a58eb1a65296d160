"""Choosing tokens: the right distribution, close calls reported, and the same as by brute force."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from isoflop.engines.decoding.choice import Choice, choose, filtered
from isoflop.engines.registry import GenerationRequest
from isoflop.engines.token_sampling import Draws, uniforms

PLAIN = GenerationRequest("", 0, 1)


def draws_of(*requests: GenerationRequest) -> Draws:
    return Draws.of(requests, torch.float64, torch.device("cpu"))


def each(logits: torch.Tensor, uniform: torch.Tensor, drawing: Draws, rounding: float) -> Choice:
    """A choice of each row's own."""
    return choose(logits, torch.arange(len(logits)), uniform.double(), drawing, rounding)


def draw(logits: list[float], draws: int, temperature: float = 1.0, top_p: float = 1.0) -> np.ndarray:
    uniform = torch.from_numpy(uniforms(np.arange(draws, dtype=np.uint64), np.zeros(draws, dtype=np.uint64)))
    first = torch.zeros(draws, dtype=torch.long)
    same = draws_of(replace(PLAIN, temperature=temperature, top_p=top_p))
    choice = choose(torch.tensor([logits], dtype=torch.float64), first, uniform, same[first], 1e-7)
    return np.bincount(choice.tokens.numpy(), minlength=len(logits))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_follow_the_softmax(temperature: float) -> None:
    logits = [1.0, -0.5, 0.3, 2.0]
    counts = draw(logits, 20_000, temperature)
    expected = torch.softmax(torch.tensor(logits, dtype=torch.float64) / temperature, -1).numpy()
    assert chisquare(counts, expected * counts.sum()).pvalue > 1e-4


def test_nucleus_keeps_the_smallest_sufficient_set() -> None:
    logits = np.log([0.5, 0.3, 0.15, 0.05]).tolist()
    counts = draw(logits, 8_000, top_p=0.7)
    assert counts[2] == counts[3] == 0
    assert chisquare(counts[:2], np.array([0.625, 0.375]) * 8_000).pvalue > 1e-4


def test_greedy_takes_the_largest_and_reports_near_ties() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, 2.0 + 1e-7, 0.0]], dtype=torch.float64)
    choice = each(logits, torch.tensor([0.99, 0.0]), draws_of(*[replace(PLAIN, temperature=0.0)] * 2), 1e-5)
    assert choice.tokens.tolist() == [1, 1]
    assert choice.close.tolist() == [False, True]
    assert choice.logprobs[0] == pytest.approx(float(torch.log_softmax(logits[0], -1)[1]))


def test_a_choice_that_rounding_could_change_is_close() -> None:
    probabilities = torch.tensor([0.25, 0.25, 0.5], dtype=torch.float64)
    logits = probabilities.log().expand(4, -1)
    uniform = torch.tensor([0.25 - 1e-7, 0.25 + 1e-7, 0.4, 0.75], dtype=torch.float64)
    choice = each(logits, uniform, draws_of(*[PLAIN] * 4), 1e-5)
    assert choice.tokens.tolist() == [0, 1, 1, 2]
    assert choice.close.tolist() == [True, True, False, False]


def test_perturbing_logits_changes_only_close_rows() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4000, 50, generator=generator, dtype=torch.float64) * 3
    noise = torch.randn(4000, 50, generator=generator, dtype=torch.float64) * 1e-6
    uniform = torch.rand(4000, generator=generator, dtype=torch.float64)
    drawing = draws_of(
        *(
            replace(
                PLAIN,
                temperature=0.0 if row % 4 == 0 else 0.7 if row % 5 == 0 else 1.0,
                top_p=0.9 if row % 2 == 0 else 1.0,
                top_k=(0, 5, 20)[row % 3],
                min_p=0.05 if row % 7 < 3 else 0.0,
            )
            for row in range(4000)
        )
    )
    first = each(logits, uniform, drawing, 1e-5)
    second = each(logits + noise, uniform, drawing, 1e-5)
    settled = ~(first.close | second.close)
    assert torch.equal(first.tokens[settled], second.tokens[settled])
    assert settled.float().mean() > 0.95


# Weights that are powers of two: sums and products are exact in float64, and ties are ties.
WEIGHTS = st.lists(st.integers(0, 6), min_size=1, max_size=8)
FILTERS = st.tuples(
    st.integers(0, 9),
    st.sampled_from([Fraction(0), Fraction(1, 8), Fraction(1, 4), Fraction(1, 2), Fraction(1)]),
    st.sampled_from([Fraction(1, 8), Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), Fraction(1)]),
)


def kept_by_hand(powers: list[int], top_k: int, min_p: Fraction, top_p: Fraction) -> dict[int, Fraction]:
    """What may be drawn and how often: every filter by its definition, on what the one before has left."""
    left = {token: Fraction(2**power) for token, power in enumerate(powers)}
    largest = max(left.values())
    left = {token: weight for token, weight in left.items() if weight >= min_p * largest}
    if top_k:
        kth = sorted(left.values(), reverse=True)[:top_k][-1]
        left = {token: weight for token, weight in left.items() if weight >= kth}
    nucleus: dict[int, Fraction] = {}
    for token in sorted(left, key=lambda token: (-left[token], token)):
        if sum(nucleus.values()) < top_p * sum(left.values()):
            nucleus[token] = left[token]
    return {token: weight / sum(nucleus.values()) for token, weight in nucleus.items()}


@given(WEIGHTS, FILTERS)
def test_filters_keep_what_their_definitions_say_ties_included(
    powers: list[int], filters: tuple[int, Fraction, Fraction]
) -> None:
    top_k, min_p, top_p = filters
    expected = kept_by_hand(powers, top_k, min_p, top_p)
    request = replace(PLAIN, top_k=top_k, min_p=float(min_p), top_p=float(top_p))
    weights = 2.0 ** torch.tensor([powers], dtype=torch.float64)
    left, close = filtered(weights, draws_of(request), 0.0, torch.zeros(1, dtype=torch.float64))
    assert not close
    assert left[0].nonzero().flatten().tolist() == sorted(expected)
    assert left[0].tolist() == pytest.approx([float(expected.get(one, 0)) for one in range(len(powers))])


@given(WEIGHTS, FILTERS, st.floats(0, 1, exclude_max=True))
def test_a_tie_that_rounding_could_break_is_close(
    powers: list[int], filters: tuple[int, Fraction, Fraction], uniform: float
) -> None:
    """Logits moved a little: the token is the same, or the row was close."""
    top_k, min_p, top_p = filters
    request = replace(PLAIN, top_k=top_k, min_p=float(min_p), top_p=float(top_p))
    logits = (1 + torch.tensor([powers], dtype=torch.float64)) * np.log(2.0)
    noise = torch.tensor([[(-1) ** token * 1e-7 * (token % 3) for token in range(len(powers))]])
    target = torch.tensor([uniform], dtype=torch.float64)
    exact = each(logits, target, draws_of(request), 1e-5)
    moved = each(logits + noise, target, draws_of(request), 1e-5)
    assert bool(exact.close) or exact.tokens.tolist() == moved.tokens.tolist()


def test_rows_of_one_batch_have_filters_of_their_own() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64).log()
    requests = [
        PLAIN,
        replace(PLAIN, top_k=2),
        replace(PLAIN, min_p=0.25),
        replace(PLAIN, top_k=3, top_p=0.8),
        replace(PLAIN, temperature=0.0, top_k=1),
        replace(PLAIN, top_k=9),
    ]
    choice = each(logits.expand(6, -1), torch.full((6,), 0.999), draws_of(*requests), 1e-9)
    # Of 0.5, 0.3 and 0.15, 0.8 is reached by the first two: 0.5 + 0.3 is 0.84 of what top_k left.
    assert choice.tokens.tolist() == [3, 1, 2, 1, 0, 3]


def by_hand(
    logits: torch.Tensor, row_of: torch.Tensor, uniform: torch.Tensor, temperatures: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and log-probabilities from whole float64 softmaxes, by counting what does not exceed."""
    rows = logits.double()[row_of]
    plain = torch.where(temperatures == 0, 1.0, temperatures)
    cumulative = torch.softmax(rows / plain[:, None], -1).cumsum(-1)
    drawn = (cumulative <= (uniform * cumulative[:, -1])[:, None]).sum(-1)
    tokens = torch.where(temperatures == 0, rows.argmax(-1), drawn)
    return tokens, torch.log_softmax(rows, -1).gather(1, tokens[:, None]).squeeze(1)


@given(
    st.integers(1, 700),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    st.floats(0.01, 30.0),
    st.integers(0, 2**32),
)
def test_blocks_choose_what_brute_force_does(words: int, dtype: torch.dtype, scale: float, seed: int) -> None:
    """For any vocabulary, peaked or flat, with rows that several requests share and others that none has."""
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(5, words, generator=generator) * scale).to(dtype)
    row_of = torch.randint(0, 5, (40,), generator=generator)
    uniform = torch.rand(40, generator=generator, dtype=torch.float64)
    temperatures = torch.tensor([0.0, 0.6, 1.0, 1.7], dtype=torch.float64)[
        torch.randint(0, 4, (40,), generator=generator)
    ]
    drawing = draws_of(*(replace(PLAIN, temperature=float(one)) for one in temperatures))
    choice = choose(logits, row_of, uniform, drawing)
    tokens, logprobs = by_hand(logits, row_of, uniform, temperatures)
    settled = ~choice.close
    assert torch.equal(choice.tokens[settled], tokens[settled])
    same = choice.tokens == tokens
    tolerance = 1e-5 if dtype != torch.float64 else 1e-10
    assert torch.allclose(choice.logprobs[same], logprobs[same], rtol=1e-6, atol=tolerance)
    if dtype == torch.float64:
        assert torch.equal(choose(logits, row_of, uniform, drawing, 0.0).tokens, tokens)


def test_rows_in_several_parts_come_out_as_alone() -> None:
    """More words than fit in the cache at once, and rows out of order."""
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(70, 20_000, generator=generator) * 3
    row_of = torch.randint(0, 70, (150,), generator=generator)
    uniform = torch.rand(150, generator=generator, dtype=torch.float64)
    for temperature in (0.0, 1.0, 1.3):
        drawing = draws_of(*[replace(PLAIN, temperature=temperature)] * 150)
        choice = choose(logits, row_of, uniform, drawing)
        tokens, _ = by_hand(logits, row_of, uniform, drawing.temperature)
        assert torch.equal(choice.tokens[~choice.close], tokens[~choice.close])
        assert (~choice.close).sum() > 75
        for place in range(0, 150, 29):
            mine = torch.tensor([place])
            alone = choose(logits[row_of[mine]], torch.tensor([0]), uniform[mine], drawing[mine])
            assert alone.tokens[0] == choice.tokens[place]
            assert torch.equal(alone.logprobs[0], choice.logprobs[place])


@given(st.integers(2, 600), st.floats(0.05, 25.0), st.floats(0.3, 2.0), st.integers(0, 2**32))
def test_logits_moved_as_far_as_rounding_may_change_close_rows_only(
    words: int, scale: float, temperature: float, seed: int
) -> None:
    """The worst movement that is allowed: all words up to the chosen one up, all others down, and back."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(30, words, generator=generator, dtype=torch.float64) * scale
    uniform = torch.rand(30, generator=generator, dtype=torch.float64)
    drawing = draws_of(*[replace(PLAIN, temperature=temperature)] * 30)
    rounding = 1e-6
    choice = each(logits, uniform, drawing, rounding)
    half = rounding / 2 * torch.maximum(logits.amax(-1) - logits.amin(-1), logits.abs().amax(-1))[:, None]
    for last in (choice.tokens[:, None], choice.tokens[:, None] - 1):
        below = torch.arange(words)[None] <= last
        for sign in (1.0, -1.0):
            moved = logits + torch.where(below, sign, -sign) * half
            tokens = each(moved, uniform, drawing, 0.0).tokens
            assert torch.equal(tokens[~choice.close], choice.tokens[~choice.close])


def test_tails_are_not_close() -> None:
    """The margin shrinks with c (1 - c): rare words are told apart where 3e-5 would have covered them."""
    logits = torch.tensor([[0.0, 30.0, 18.0, 17.5]], dtype=torch.float64)
    probabilities = torch.softmax(logits[0], -1)
    middle = 1 - float(probabilities[3]) - float(probabilities[2]) / 2
    choice = choose(logits, torch.tensor([0]), torch.tensor([middle], dtype=torch.float64), draws_of(PLAIN))
    assert probabilities[2] < 1e-5
    assert choice.tokens.tolist() == [2]
    assert not choice.close


@pytest.mark.parametrize("temperature", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_what_float32_does_to_logits_changes_close_rows_only(temperature: float, top_p: float) -> None:
    """The lower the temperature the further a movement of logits moves c; uniform numbers near boundaries."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2000, 40, generator=generator, dtype=torch.float64) * 4
    logits[:, 1] = logits.amax(-1) - 0.1 * temperature
    drawing = draws_of(*[replace(PLAIN, temperature=temperature, top_p=top_p)] * 2000)
    cumulative = torch.softmax(logits / temperature, -1).cumsum(-1)[:, 1]
    away = torch.randn(2000, generator=generator, dtype=torch.float64) * 1e-4
    uniform = (cumulative + away).clamp(0, 1 - 2.0**-53)
    choice = choose(logits, torch.arange(2000), uniform, drawing)
    noise = 2.5e-6 * logits.abs().amax(-1, keepdim=True) * torch.tensor([[1.0, 1.0, *[-1.0] * 38]]) / 2
    for moved in (logits + noise, logits - noise):
        tokens = each(moved, uniform, drawing, 0.0).tokens
        assert torch.equal(tokens[~choice.close], choice.tokens[~choice.close])
    assert 0 < choice.close.sum() < 2000


@pytest.mark.parametrize("words", [7, 128, 129, 1000])
@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0, 10.0])
def test_words_of_no_weight_are_never_chosen(words: int, temperature: float) -> None:
    """Neither by 0 nor by the number next to 1, before which the sums of all words may end."""
    generator = torch.Generator().manual_seed(words)
    logits = torch.randn(200, words, generator=generator) * 4
    logits[:, torch.rand(words, generator=generator) < 0.5] = -torch.inf
    logits[:, [0, -1]] = -torch.inf
    logits[:, 3] = 1.0
    drawing = draws_of(*[replace(PLAIN, temperature=temperature)] * 200)
    for uniform in (0.0, 0.5, 1 - 2.0**-53):
        choice = each(logits, torch.full((200,), uniform, dtype=torch.float64), drawing, 0.0)
        assert torch.isfinite(choice.logprobs).all()
