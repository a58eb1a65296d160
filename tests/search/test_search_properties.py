"""Properties of allocations and searches, whatever the scores and the steps."""

import random
from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import children, play, tree

from isoflop.search.algorithms.mcts import mcts
from isoflop.search.algorithms.rebase import allocate_round, allocate_sequential, rebase
from isoflop.search.beams import beam_search
from isoflop.search.tree import ROOT

REWARDS = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def world(seed, ends=0.3, score=None):
    """Steps that end at random and score at random, fixed by the path."""

    def script(path, child):
        own = random.Random(f"{seed}{path}{child}")
        value = own.random() if score is None else score
        return f"{child}.{own.random():.3f}", own.random() < ends, value

    return script


@given(st.integers(0, 300), REWARDS, st.floats(0.01, 10))
def test_sequential_allocation_spends_exactly_the_budget(budget, rewards, temperature):
    children_of = allocate_sequential(budget, rewards, temperature)
    assert sum(children_of) == budget
    assert min(children_of) >= 0
    # A better node has no fewer, but for the one that rounding up may leave over.
    order = sorted(range(len(rewards)), key=lambda place: (-rewards[place], place))
    ranked = [children_of[place] for place in order]
    assert all(worse <= better + 1 for better, worse in pairwise(ranked))


@given(st.integers(1, 300), REWARDS)
def test_a_hot_balance_spreads_evenly_and_a_cold_one_follows_the_best(budget, rewards):
    for allocate in (allocate_sequential, allocate_round):
        even = allocate(budget, rewards, 1e12)
        assert max(even) - min(even) <= 1
    best = max(rewards)
    if sum(reward > best - 1e-3 for reward in rewards) == 1:
        for allocate in (allocate_sequential, allocate_round):
            cold = allocate(budget, rewards, 1e-6)
            assert cold == [budget if reward == best else 0 for reward in rewards]


@given(st.integers(1, 100), REWARDS, st.floats(0.05, 2), st.randoms())
def test_allocations_do_not_depend_on_the_order_of_nodes(budget, rewards, temperature, shuffler):
    order = list(range(len(rewards)))
    shuffler.shuffle(order)
    for allocate in (allocate_sequential, allocate_round):
        straight, mixed = (
            allocate(budget, rewards, temperature),
            allocate(budget, [rewards[i] for i in order], temperature),
        )
        pairs = Counter(zip(rewards, straight, strict=True))
        assert Counter(zip((rewards[i] for i in order), mixed, strict=True)) == pairs


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 24), st.floats(0.05, 1), st.floats(0.02, 0.9))
def test_rebase_ends_with_as_many_solutions_as_its_width(seed, width, temperature, ends):
    grown = tree(depth=6)
    candidates, rounds = play(grown, rebase(grown, width, temperature, "sequential"), world(seed, ends))
    assert len(candidates) == len(set(candidates)) == width
    closed = 0
    for questions, after in zip(rounds, [*rounds[1:], None], strict=True):
        first = sum(len(one) for one in rounds[: rounds.index(questions)])
        layer = range(first, first + len(questions))
        closed += sum(not grown.is_open(node) for node in layer)
        assert after is None or len(after) == width - closed


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 5), st.floats(0.02, 0.9))
def test_beams_end_with_n_solutions_and_never_spend_more(seed, kept, beam_width, ends):
    width = kept * beam_width
    for groups in (1, kept):
        grown = tree(depth=6)
        candidates, rounds = play(grown, beam_search(grown, width, beam_width, groups), world(seed, ends))
        assert len(candidates) == len(set(candidates)) == width
        for parents in children(rounds)[1:]:
            assert len(parents) <= width
            assert max(Counter(parents).values()) <= beam_width
    one, other = tree(depth=6), tree(depth=6)
    assert play(one, beam_search(one, width, width, 1), world(seed, ends)) == play(
        other, beam_search(other, width, width), world(seed, ends)
    )


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 8), st.floats(0.02, 0.9))
def test_mcts_keeps_its_books(seed, expansions, root_children, ends):
    grown = tree(depth=5)
    candidates, rounds = play(grown, mcts(grown, expansions, root_children, 2, 1.0), world(seed, ends))
    assert len(rounds) <= expansions
    assert sum(map(len, rounds)) == len(grown.nodes)
    assert sorted(candidates) == [node.number for node in grown.nodes if not node.children]
    for node in grown.nodes:
        below = sum(grown.nodes[child].visits for child in node.children)
        assert node.visits >= 1 + below if node.children else node.visits >= 1
        assert 0 <= node.value <= 1


def test_with_a_constant_verifier_no_search_beats_sampling():
    """300 problems of three steps, each right with chance .8; searching by a constant changes no share."""

    def tossed(problem):
        def script(path, child):
            own = random.Random(f"{problem}{path}{child}")
            return ("+" if own.random() < 0.8 else "-"), len(path) == 2, 0.5

        return script

    shares: dict[str, list[float]] = {}
    for problem in range(300):
        for name, search in {
            "sampling": lambda grown: rebase(grown, 8, 1e9, "sequential"),
            "rebase": lambda grown: rebase(grown, 8, 0.1, "sequential"),
            "beam": lambda grown: beam_search(grown, 8, 4),
            "dvts": lambda grown: beam_search(grown, 8, 4, 2),
            "mcts": lambda grown: mcts(grown, 16, 4, 2, 1.0),
        }.items():
            grown = tree()
            candidates, _ = play(grown, search(grown), tossed(problem))
            ended = [node for node in candidates if grown.finish(node) == "stop"]
            right = [all(one.step.text == "+" for one in grown.path(node)) for node in ended]
            shares.setdefault(name, []).append(float(np.mean(right)) if right else 0.5)
    for name, values in shares.items():
        error = np.std(values) / np.sqrt(len(values))
        assert abs(np.mean(values) - 0.8**3) < 4 * error, name


def test_the_root_is_no_node():
    assert tree().path(ROOT) == []
