"""Selection over chains against brute force, in fractions: every subset, every way to break a tie."""

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.costs import ModelShape, Usage
from isoflop.selection import chain_votes
from isoflop.selection.chains import ChainPool, arrange_chains
from isoflop.selection.pool import Candidates, SelectSpec, StepScores
from isoflop.selection.registry import Chains, selector
from isoflop.selection.samples import SamplePool

unhurried = settings(deadline=None)

SELECTORS = ("pass", "majority", "weighted", "best_of_n")
# An answer: its class, whether it is right, and its score in eighths (None: it has none).
Answer = tuple[int, bool, Fraction | None]


def _chains(draw: st.DrawFn, longest: int = 3, most: int = 4, scored: bool = False) -> list[list[Answer]]:
    length, count = draw(st.integers(1, longest)), draw(st.integers(1, most))
    right = draw(st.lists(st.booleans(), min_size=4, max_size=4))
    score = st.integers(0, 8).map(lambda eighths: Fraction(eighths, 8))
    if not scored:
        score = st.one_of(st.none(), score, score)
    answer = st.tuples(st.integers(-1, 3), score).map(
        lambda drawn: (drawn[0], drawn[0] >= 0 and right[drawn[0]], drawn[1])
    )
    return draw(st.lists(st.lists(answer, min_size=length, max_size=length), min_size=count, max_size=count))


chains_of_any_kind = st.composite(_chains)()
single_answers = st.composite(_chains)(longest=1, most=6, scored=True)


def arrays(chains: list[list[Answer]]) -> Chains:
    return Chains(
        np.array([[label for label, _, _ in chain] for chain in chains], dtype=np.int64),
        np.array([[right for _, right, _ in chain] for chain in chains]),
        np.array([[math.nan if s is None else float(s) for *_, s in chain] for chain in chains]),
    )


def vote(voters: list[tuple[int, bool, Fraction]]) -> list[tuple[int, bool]]:
    """The classes with the largest sum of weights, those of no vote left out."""
    sums: dict[int, Fraction] = {}
    right = {}
    for label, good, weight in voters:
        sums[label] = sums.get(label, Fraction(0)) + weight
        right[label] = good
    return [(label, right[label]) for label in sums if sums[label] == max(sums.values())]


def hierarchical(chains: list[list[Answer]]) -> Fraction:
    """The credit of chosen chains: their representatives vote, each way of tied ones alike."""
    ways: list[list[tuple[int, bool, Fraction]]] = [[]]
    for chain in chains:
        voters = [(label, good, score) for label, good, score in chain if label >= 0 and score is not None]
        if not voters:
            continue
        options = [
            (label, good, max(score for other, _, score in voters if other == label))
            for label, good in vote(voters)
        ]
        # As many copies of each way as keep their shares alike.
        ways = [[*way, option] for way in ways for option in options]
    total = Fraction(0)
    for way in ways:
        winners = vote(way) if way else []
        total += Fraction(sum(good for _, good in winners), max(len(winners), 1))
    return total / len(ways)


def credit(name: str, chains: list[list[Answer]]) -> Fraction:
    answers = [answer for chain in chains for answer in chain]
    if name == "pass":
        return Fraction(any(good for _, good, _ in answers))
    if name == "majority":
        winners = vote([(label, good, Fraction(1)) for label, good, _ in answers if label >= 0])
        return Fraction(sum(good for _, good in winners), max(len(winners), 1))
    if name == "weighted":
        return hierarchical(chains)
    found = []
    for chain in chains:
        known = [(score, good) for _, good, score in chain if score is not None]
        best = max((score for score, _ in known), default=None)
        if best is not None:
            top = [good for score, good in known if score == best]
            found.append((best, Fraction(sum(top), len(top))))
    if not found:
        return Fraction(0)
    shares = [share for score, share in found if score == max(found)[0]]
    return sum(shares, Fraction(0)) / len(shares)


@unhurried
@given(chains_of_any_kind)
def test_every_selector_is_the_mean_over_all_subsets_of_chains(chains: list[list[Answer]]) -> None:
    parallel = list(range(1, len(chains) + 1))
    for name in SELECTORS:
        found, error = selector(name).over_chains(arrays(chains), parallel, 300, np.random.default_rng(0))
        for size in parallel:
            subsets = [credit(name, list(subset)) for subset in combinations(chains, size)]
            mean = float(sum(subsets, Fraction(0)) / len(subsets))
            assert found[size - 1] == pytest.approx(mean, abs=1e-9), (name, size)
        assert not error.any()


@unhurried
@given(chains_of_any_kind, st.randoms(use_true_random=False))
def test_the_order_of_chains_changes_nothing(chains: list[list[Answer]], chance: object) -> None:
    shuffled = list(chains)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    for name in SELECTORS:
        one, other = (
            selector(name).over_chains(arrays(order), range(1, len(order) + 1), 300, np.random.default_rng(3))
            for order in (chains, shuffled)
        )
        assert np.allclose(one[0], other[0], atol=1e-12), name


SPEC = {"selectors": SELECTORS, "step_aggregations": ("last",), "verifiers": ("orm",), "seed": 3, "code": "0"}


@unhurried
@given(st.lists(single_answers, min_size=1, max_size=3).filter(lambda all_: len({len(c) for c in all_}) == 1))
def test_chains_of_one_answer_are_plain_samples(problems: list[list[list[Answer]]]) -> None:
    count = len(problems[0])
    answers = [answer for chains in problems for chain in chains for answer in chain]
    sizes = np.full(len(problems), count)
    candidates = Candidates(
        [f"p{number}" for number in range(len(problems))],
        sizes,
        np.array([label for label, _, _ in answers], dtype=np.int64),
        np.array([good for _, good, _ in answers]),
    )
    scores = {"orm": StepScores(np.array([float(s) for *_, s in answers]), np.ones(len(answers), dtype=int))}
    budgets = tuple(range(1, count + 1))
    rows = arrange_chains(
        candidates.problem_ids, sizes, list(range(count)) * len(problems), [1] * len(answers), length=1
    )
    shape = ModelShape(parameters=1, embedding_parameters=0, layers=1, attention_width=1)
    usage = Usage(shape, 0.0, np.ones(len(answers)))
    samples = SamplePool(candidates, scores, np.ones(len(answers)), usage, {"orm": usage})
    chains = ChainPool(samples, rows).credits(
        SelectSpec(**SPEC, budgets=budgets, generator_kind="revisions", length=1)
    )
    plain = samples.credits(SelectSpec(**SPEC, budgets=budgets, generator_kind="sampling"))
    assert [one.picking for one in chains] == [one.picking for one in plain]
    for one, other in zip(chains, plain, strict=True):
        # Voting has the limit besides.
        assert one.budgets == other.budgets[: len(budgets)]
        assert np.array_equal(one.credit, other.credit[: len(budgets)]), one.picking
        assert np.array_equal(one.standard_error, other.standard_error[: len(budgets)])


def drawn_pool(count: int, length: int, scores: int) -> Chains:
    generator = np.random.default_rng(5)
    labels = generator.choice(5, p=[0.3, 0.3, 0.2, 0.1, 0.1], size=(count, length))
    return Chains(labels, labels == 1, generator.integers(1, 1 + scores, labels.shape) / 8)


def test_more_subsets_than_are_listed_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    chains, parallel = drawn_pool(14, 3, 8), [2, 4, 8]
    exact, none = selector("majority").over_chains(chains, parallel, 300, np.random.default_rng(0))
    assert not none.any()
    monkeypatch.setattr(chain_votes, "MOST_SUBSETS", 10)
    drawn, error = selector("majority").over_chains(chains, parallel, 4000, np.random.default_rng(0))
    assert np.all((error > 0) & (error < 0.01))
    assert np.all(np.abs(drawn - exact) < 4 * error)


def test_more_ways_to_break_ties_than_are_looked_at_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    chains, parallel = drawn_pool(7, 2, 1), [1, 3, 5]
    monkeypatch.setattr(chain_votes, "MOST_WAYS", 2**7)
    exact, none = selector("weighted").over_chains(chains, parallel, 300, np.random.default_rng(0))
    assert not none.any()
    monkeypatch.setattr(chain_votes, "MOST_WAYS", 2)
    drawn, error = selector("weighted").over_chains(chains, parallel, 4000, np.random.default_rng(0))
    assert np.all((error > 0) & (error < 0.01))
    assert np.all(np.abs(drawn - exact) < 4 * error)


def test_a_chain_stands_for_its_best_solution_with_the_answer_that_wins() -> None:
    """By hand: the first chain's 0.5 + 0.375 for class 1 beats the single 0.75 for class 0."""
    chains = Chains(
        np.array([[0, 1, 1], [0, 0, 2]]),
        np.array([[False, True, True], [False, False, False]]),
        np.array([[0.75, 0.5, 0.375], [0.25, 0.125, 0.25]]),
    )
    generator = np.random.default_rng(0)
    credit, _ = selector("weighted").over_chains(chains, [1, 2], 300, generator)
    # Alone: the first chain is right, the second wrong. Together 0.5 for class 1 against 0.25 for class 0.
    assert credit.tolist() == [0.5, 1.0]
    # Pooled majority: class 0 has three votes, class 1 two.
    assert selector("majority").over_chains(chains, [1, 2], 300, generator)[0].tolist() == [0.5, 0.0]
    # The highest score of all is wrong.
    assert selector("best_of_n").over_chains(chains, [1, 2], 300, generator)[0].tolist() == [0.0, 0.0]
