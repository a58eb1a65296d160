"""Every rule of every search, on scripted steps and scores; the defects of other tools by name."""

import math
from collections import Counter

import pytest
from scripted import children, play, texts, tree

from isoflop.search.algorithms.beam import Beam
from isoflop.search.algorithms.dvts import Dvts
from isoflop.search.algorithms.mcts import mcts
from isoflop.search.algorithms.rebase import allocate_round, allocate_sequential, balance, rebase
from isoflop.search.beams import beam_search
from isoflop.search.registry import new_tree, start
from isoflop.search.tree import ROOT, Grow, Look, Step, best_first


def counted(limit, score=lambda path, child: 0.5):
    """Steps named by their place, solutions of `limit` steps."""
    return lambda path, child: (f"{len(path)}.{child}", len(path) + 1 == limit, score(path, child))


@pytest.mark.parametrize(
    ("budget", "rewards", "temperature", "sequential", "rounded"),
    [
        (8, [0.9, 0.8, 0.6, 0.3], 0.2, [5, 3, 0, 0], [4, 3, 1, 0]),
        (8, [0.5] * 16, 0.1, [1] * 8 + [0] * 8, [1] * 16),
        (7, [0.5] * 16, 0.1, [1] * 7 + [0] * 9, [0] * 16),
        (4, [0.3, 0.9], 0.1, [0, 4], [0, 4]),
        (6, [0.5, 0.5, 0.5], 0.1, [2, 2, 2], [2, 2, 2]),
        (1, [0.2, 0.2], 0.1, [1, 0], [1, 1]),
        (0, [0.2, 0.9], 0.1, [0, 0], [0, 0]),
        (5, [1.0], 0.1, [5], [5]),
        (3, [1000.0, 0.0], 0.1, [3, 0], [3, 0]),
        (3, [0.0, -1000.0], 0.1, [3, 0], [3, 0]),
    ],
)
def test_allocations_by_hand(budget, rewards, temperature, sequential, rounded):
    assert allocate_sequential(budget, rewards, temperature) == sequential
    assert allocate_round(budget, rewards, temperature) == rounded


def test_weights_do_not_overflow_and_keep_their_ratios():
    assert balance([1e6, 1e6 - 0.1], 0.1) == pytest.approx([1.0, math.exp(-1)])
    assert balance([0.9, 0.8], 0.1)[1] == pytest.approx(math.exp(-1))


def test_rebase_spends_its_width_and_takes_ended_solutions_from_it():
    # Of 8 first steps, numbers 0 and 1 end; 6 are left for the six open ones, which weigh alike.
    def script(path, child):
        return f"{len(path)}.{child}", len(path) == 2 or (not path and child < 2), 0.5

    grown = tree()
    candidates, rounds = play(grown, rebase(grown, 8, 0.1, "sequential"), script)
    assert [len(questions) for questions in rounds] == [8, 6, 6]
    assert len(candidates) == 8
    assert all(grown.finish(node) == "stop" for node in candidates)


def test_rebase_gives_the_better_node_more_children():
    def score(path, child):
        return [0.9, 0.8, 0.6, 0.3][child] if not path else 0.5

    grown = tree()
    _, rounds = play(grown, rebase(grown, 4, 0.2, "sequential"), counted(2, score))
    assert Counter(children(rounds)[1]) == {0: 3, 1: 1}


def test_rebase_with_one_iteration_shares_once_and_then_writes_solutions_to_their_end():
    # The first step of the better node ends nothing; what follows comes as one node, which ends.
    def script(path, child):
        return f"{len(path)}.{child}", len(path) == 1, 0.9 if child == 0 else 0.5

    grown = tree()
    candidates, rounds = play(grown, rebase(grown, 4, 0.2, "sequential", 1), script)
    assert [[question.whole for question in questions] for questions in rounds] == [[False] * 4, [True] * 4]
    assert Counter(children(rounds)[1])[0] >= 2
    assert (len(candidates), {grown.finish(node) for node in candidates}) == (4, {"stop"})
    unlimited = tree()
    _, rounds = play(unlimited, rebase(unlimited, 4, 0.2, "sequential"), script)
    assert not any(question.whole for questions in rounds for question in questions)


@pytest.mark.parametrize(
    ("budget", "width", "kept"), [(4, "sqrt", 2), (16, "sqrt", 4), (9, "sqrt", 3), (16, 4, 4)]
)
def test_the_beam_width_may_be_the_square_root_of_the_budget(budget, width, kept):
    limits = {"max_tokens": 1000, "max_step_tokens": 100, "budgets": (budget,), "beam_width": width}
    entry = Beam(kind="beam", **limits)
    grown = new_tree(entry)
    _, rounds = play(grown, start(entry, budget, grown), counted(3))
    assert len(set(children(rounds)[1])) == budget // kept
    assert set(Counter(children(rounds)[1]).values()) == {kept}
    groups = Dvts(kind="dvts", **limits)
    grown = new_tree(groups)
    _, rounds = play(grown, start(groups, budget, grown), counted(3))
    assert len(set(children(rounds)[1])) == budget // kept


def test_rebase_by_rounding_may_end_with_nothing_and_says_so():
    grown = tree()
    candidates, rounds = play(grown, rebase(grown, 1, 0.1, "round"), counted(3))
    assert (len(rounds), len(candidates)) == (3, 1)
    # Sixteen alike and a budget of 7 after nine have ended.
    grown = tree()

    def script(path, child):
        return f"{child}", not path and child < 9, 0.5

    candidates, rounds = play(grown, rebase(grown, 25, 0.1, "round"), script)
    assert len(rounds[1]) == 16  # each share is 1 of 16
    grown = tree()
    candidates, rounds = play(
        grown, rebase(grown, 3, 0.1, "round"), lambda path, child: ("x", child == 0 and not path, 0.5)
    )
    assert Counter(map(grown.finish, candidates))["stop"] == 1


def test_no_defect_unscored_or_unfinished_nodes_are_dropped_silently():
    """Nodes at a limit stay candidates, marked, and take their share of the width."""
    grown = tree(depth=2)
    candidates, _ = play(grown, rebase(grown, 4, 0.1, "sequential"), counted(5))
    assert [grown.finish(node) for node in candidates] == ["unfinished"] * 4
    grown = tree(tokens=7, step_tokens=3)  # steps of three characters, one token each
    candidates, _ = play(grown, rebase(grown, 2, 0.1, "sequential"), counted(5))
    assert all(grown.count(node) >= 7 for node in candidates)


def test_no_defect_a_token_budget_that_leaves_out_the_parents():
    """Room for a step is what the whole path leaves."""
    grown = tree(tokens=10, step_tokens=6)
    first = grown.add(ROOT, Step("a", (1,), 6, ended=False))
    assert grown.room(ROOT) == 6
    assert grown.room(first.number) == 4
    second = grown.add(first.number, Step("b", (2,), 4, ended=False))
    assert not grown.is_open(second.number)
    assert grown.finish(second.number) == "unfinished"


def test_no_defect_children_that_share_their_randomness():
    grown = tree()
    assert [one.child for one in [*grown.grow(ROOT, 2), *grown.grow(ROOT, 2), *grown.grow(0, 1)]] == [
        0,
        1,
        2,
        3,
        0,
    ]


def test_no_defect_an_empty_last_step():
    """The end of the solution alone is no step: nothing of its own is scored or voted with."""
    grown = tree()
    first = grown.add(ROOT, Step("a\n", (1,), 2, ended=False))
    last = grown.add(first.number, Step("", (), 1, ended=True))
    assert [one.step.text for one in grown.steps(last.number)] == ["a\n"]
    assert grown.count(last.number) == 3
    alone = grown.add(ROOT, Step("", (), 1, ended=True))
    assert [one.step.text for one in grown.steps(alone.number)] == [""]


def test_beam_search_keeps_n_over_m_and_spends_n_a_round():
    def score(path, child):
        return child / 10

    grown = tree()
    candidates, rounds = play(grown, beam_search(grown, 8, 4), counted(3, score))
    assert [len(questions) for questions in rounds] == [8, 8, 8]
    # The two best of the eight first steps, four children each; then the two best of all eight.
    assert Counter(children(rounds)[1]) == {7: 4, 6: 4}
    assert Counter(children(rounds)[2]) == {11: 4, 15: 4}
    assert len(candidates) == 8


def test_no_defect_beam_search_with_n_and_m_inverted():
    """N beams of width M: 4 beams, each step has 2 x 2, not 4 x 2."""
    grown = tree()
    _, rounds = play(grown, beam_search(grown, 4, 2), counted(2))
    assert [len(questions) for questions in rounds] == [4, 4]
    assert len(set(children(rounds)[1])) == 2


def test_no_defect_no_pruning_when_n_is_less_than_m():
    """N below M keeps one beam, never all: the config refuses it, the search itself too keeps its quota."""
    grown = tree()
    _, rounds = play(grown, beam_search(grown, 2, 4), counted(3))
    assert [len(set(parents)) for parents in children(rounds)[1:]] == [1, 1]


def test_beam_search_with_m_equal_to_n_keeps_one():
    grown = tree()
    _, rounds = play(grown, beam_search(grown, 4, 4), counted(4, lambda path, child: child))
    assert [len(set(parents)) for parents in children(rounds)[1:]] == [1, 1, 1]


def test_no_defect_finished_beams_cloned():
    """A solution that ended votes once, is never grown, and its place in the quota is spent."""

    def script(path, child):
        return f"{len(path)}.{child}", child == 0 or len(path) == 3, 0.5

    grown = tree()
    candidates, rounds = play(grown, beam_search(grown, 8, 4), script)
    assert len(candidates) == len(set(candidates)) == 8
    assert not any(
        grown.nodes[parent].step.ended for parents in children(rounds) for parent in parents if parent != ROOT
    )
    # One of 8 ended: 7 left, two beams of 4 and 3.
    assert sorted(Counter(children(rounds)[1]).values()) == [3, 4]


def test_no_defect_length_truncated_taken_as_finished():
    grown = tree(depth=1)
    candidates, _ = play(grown, beam_search(grown, 4, 2), counted(9))
    assert {grown.finish(node) for node in candidates} == {"unfinished"}


def test_dvts_searches_each_subtree_alone():
    """Two subtrees of M = 2: each keeps the best of its own, though both best are in one."""

    def score(path, child):
        return child if len(path) == 0 else 0.5

    grown = tree()
    candidates, rounds = play(grown, beam_search(grown, 4, 2, groups=2), counted(3, score))
    assert children(rounds)[1] == [1, 1, 3, 3]
    beam = tree()
    _, together = play(beam, beam_search(beam, 4, 2), counted(3, score))
    assert children(together)[1] == [3, 3, 2, 2]
    assert len(candidates) == 4


def test_dvts_with_one_subtree_is_beam_search_keeping_one():
    def score(path, child):
        return (7 * child + 3 * len(path)) % 5 / 5

    one, other = tree(), tree()
    assert play(one, beam_search(one, 4, 4, groups=1), counted(4, score)) == play(
        other, beam_search(other, 4, 4), counted(4, score)
    )


def test_no_defect_lookahead_scores_the_text_without_what_was_looked_at():
    """Nodes go by the score after the rollout; their own score stays what they vote with."""
    grown = tree()
    candidates, rounds = play(
        grown,
        beam_search(grown, 4, 2, lookahead=2),
        counted(2, lambda path, child: child / 10),
        ahead=lambda path, steps: 1 - int(path[-1].split(".")[1]) / 10,
    )
    assert [type(questions[0]) for questions in rounds] == [Grow, Look, Grow]
    assert all(isinstance(one, Look) and one.steps == 2 for one in rounds[1])
    # By their own scores it would be 3 and 2.
    assert sorted(set(children(rounds)[2])) == [0, 1]
    assert [grown.nodes[node].score for node in (0, 1, 2, 3)] == [0.0, 0.1, 0.2, 0.3]
    assert len(candidates) == 4


def test_lookahead_of_no_steps_is_beam_search():
    one, other = tree(), tree()
    assert play(one, beam_search(one, 8, 2, lookahead=0), counted(4)) == play(
        other, beam_search(other, 8, 2), counted(4)
    )


def test_lookahead_does_not_look_past_solutions_that_ended():
    grown = tree()
    _, rounds = play(grown, beam_search(grown, 2, 2, lookahead=3), counted(1), ahead=lambda path, steps: 0.0)
    assert [type(one) for questions in rounds for one in questions] == [Grow, Grow]


def test_mcts_follows_uct():
    """Worked: values .9 and .5, C = 1. After the root's expansion N = 2; both have N = 1, so .9 wins; its two
    children of .1 lower its Q to .3667 with N = 3, and UCT .3667 + sqrt(ln 4 / 3) = 1.046 is below
    .5 + sqrt(ln 4 / 1) = 1.677."""
    scores = {(): [0.9, 0.5], ("0.0",): [0.1, 0.1], ("0.1",): [0.2, 0.2]}

    def script(path, child):
        return f"{len(path)}.{child}", False, scores[path][child]

    grown = tree()
    candidates, rounds = play(grown, mcts(grown, 3, 2, 2, 1.0), script)
    assert children(rounds) == [[ROOT, ROOT], [0, 0], [1, 1]]
    assert grown.nodes[0].visits == 3
    assert grown.nodes[0].value == pytest.approx((0.9 + 0.1 + 0.1) / 3)
    assert grown.nodes[1].value == pytest.approx((0.5 + 0.2 + 0.2) / 3)
    assert [texts(grown, node) for node in candidates] == [
        ("0.0", "1.0"), ("0.0", "1.1"), ("0.1", "1.0"), ("0.1", "1.1"),
    ]  # fmt: skip
    assert {grown.finish(node) for node in candidates} == {"unfinished"}


def test_mcts_counts_visits_to_ended_solutions_and_stops_when_all_have_ended():
    grown = tree()
    candidates, rounds = play(grown, mcts(grown, 50, 4, 2, 1.0), counted(1))
    assert children(rounds) == [[ROOT] * 4]
    assert len(candidates) == 4
    # One ended solution with a high score is visited again and again, which writes nothing.
    grown = tree()

    def script(path, child):
        return f"{len(path)}.{child}", child == 0, 0.9 if child == 0 else 0.0

    _, rounds = play(grown, mcts(grown, 4, 2, 2, 0.1), script)
    assert len(rounds) == 1
    assert grown.nodes[0].visits == 4


def test_ties_go_to_the_node_born_first():
    grown = tree()
    for number in range(4):
        grown.add(ROOT, Step(str(number), (1,), 1, ended=False)).value = number % 2
    assert best_first(grown, [3, 2, 1, 0]) == [1, 3, 0, 2]
