"""Trees as figures: where nodes stand, and which tree is drawn."""

from hypothesis import given
from hypothesis import strategies as st

from isoflop.report.figures import style as figure_style
from isoflop.report.figures.trees import DrawnTree, draw_trees, places, worth_drawing


def test_places_by_hand() -> None:
    #  0 - 2 - 4
    #    \ 3
    #  1
    depths, heights = places([-1, -1, 0, 0, 2])
    assert depths == [1, 1, 2, 2, 3]
    assert heights[4] == 0.0
    assert heights[3] == -1.0
    assert heights[1] == -2.0
    assert heights[2] == heights[4]
    assert heights[0] == (heights[2] + heights[3]) / 2


@given(st.lists(st.integers(0, 10**6), max_size=60))
def test_leaves_have_rows_of_their_own_and_subtrees_do_not_mix(draws: list[int]) -> None:
    parents = [-1, *(draw % (place + 2) - 1 for place, draw in enumerate(draws))]
    depths, heights = places(parents)
    leaves = [node for node in range(len(parents)) if node not in parents]
    assert sorted(-heights[leaf] for leaf in leaves) == list(range(len(leaves)))
    for node, parent in enumerate(parents):
        assert depths[node] == (1 if parent < 0 else depths[parent] + 1)
        below = [heights[child] for child, one in enumerate(parents) if one == node]
        assert not below or min(below) <= heights[node] <= max(below)


def test_a_tree_with_right_and_wrong_solutions_is_preferred() -> None:
    alike = DrawnTree("alike", [-1], [0.5], {0: True})
    mixed = DrawnTree("mixed", [-1, -1], [0.5, 0.1], {0: True, 1: False})
    large = DrawnTree("large", [-1] * 500, [0.5] * 500, {0: True, 1: False})
    assert worth_drawing([large, alike, mixed]) is mixed
    assert worth_drawing([large, alike]) is alike
    assert worth_drawing([large]) is None


def test_every_node_and_solution_is_drawn() -> None:
    tree = DrawnTree("t", [-1, -1, 0], [0.5, 0.1, 0.9], {1: None, 2: True})
    with figure_style.style():
        figure = draw_trees([tree, tree])
        nothing = draw_trees([])
    assert len([axes for axes in figure.axes if axes.get_title(loc="left") == "t"]) == 2
    assert sum(len(one.get_offsets()) for one in figure.axes[0].collections) == 3 + 1 + 2
    assert "small enough" in nothing.axes[0].texts[0].get_text()
