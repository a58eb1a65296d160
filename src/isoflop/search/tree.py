"""The tree that a search grows over the steps of one problem's solutions, and what a search asks for.

A search is a Python generator: it yields questions (`Grow`, `Look`), is sent their answers (numbers of nodes,
scores) in the same order, and returns the nodes that are its candidates. No engine is involved, so every
search can be tested by hand; isoflop.search.driver asks the engines.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

ROOT = -1  # the problem itself, before any step

STOP, UNFINISHED = "stop", "unfinished"


@dataclass(frozen=True)
class Step:
    """A step that a policy wrote.

    Attributes
    ----------
    text
        What it says, its separator included.
    tokens
        The model's token ids, for the steps that follow.
    count
        Generated tokens, the end token included.
    ended
        Whether the model ended the solution with it.
    logprob
        Of its tokens, at temperature 1.
    """

    text: str
    tokens: tuple[int, ...]
    count: int
    ended: bool
    logprob: float = 0.0

    @property
    def empty(self) -> bool:
        """Nothing but the end of the solution: the step before it was the last."""
        return self.ended and not self.text.strip()


@dataclass
class Node:
    """A step in the tree.

    Attributes
    ----------
    number
        In order of birth, from 0.
    parent
        Another node's number, or ROOT.
    depth
        Steps on the path to it, itself included.
    total
        Generated tokens on that path.
    step
        What was written.
    score
        The verifier's.
    value
        What a search goes by: the score, or that of what may follow.
    visits
        How often MCTS came through.
    children
        Their numbers.
    """

    number: int
    parent: int
    depth: int
    total: int
    step: Step
    score: float = 0.0
    value: float = 0.0
    visits: int = 0
    children: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Limits:
    """How large solutions may get.

    Attributes
    ----------
    depth
        Steps in a path.
    tokens
        Tokens in a path.
    step_tokens
        Tokens in a step.
    """

    depth: int
    tokens: int
    step_tokens: int


@dataclass(frozen=True)
class Grow:
    """Ask for one more step after a node. The answer is the new node's number; it has its score.

    Attributes
    ----------
    parent
        The node, or ROOT.
    child
        How many children were asked of it before, so that no two share their randomness.
    whole
        Not one step but all that follow, as one node.
    """

    parent: int
    child: int
    whole: bool = False


@dataclass(frozen=True)
class Look:
    """Ask what follows a node at temperature 0. The answer is the score there.

    Attributes
    ----------
    node
        Its number.
    steps
        How many may follow.
    """

    node: int
    steps: int


Question = Grow | Look
Search = Generator[Sequence[Question], Sequence[float], list[int]]


class Tree:
    """The nodes of one problem's search."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.nodes: list[Node] = []
        self.root_children: list[int] = []
        self._asked: dict[int, int] = {}

    def path(self, node: int) -> list[Node]:
        """The nodes from the first step to a node; none for the root.

        Parameters
        ----------
        node
            Its number, or ROOT.
        """
        path = []
        while node != ROOT:
            path.append(self.nodes[node])
            node = self.nodes[node].parent
        return path[::-1]

    def steps(self, node: int) -> list[Node]:
        """The path without an empty last step: the solution's steps.

        Parameters
        ----------
        node
            Its number, or ROOT.
        """
        path = self.path(node)
        return path[:-1] if len(path) > 1 and path[-1].step.empty else path

    def count(self, node: int) -> int:
        """Generated tokens on the path to a node.

        Parameters
        ----------
        node
            Its number, or ROOT.
        """
        return 0 if node == ROOT else self.nodes[node].total

    def room(self, node: int) -> int:
        """Tokens that the next step after a node may have; 0 where there can be none.

        Parameters
        ----------
        node
            Its number, or ROOT.
        """
        if node != ROOT and (self.nodes[node].step.ended or self.nodes[node].depth >= self.limits.depth):
            return 0
        return max(0, min(self.limits.step_tokens, self.limits.tokens - self.count(node)))

    def is_open(self, node: int) -> bool:
        """Whether there may be a step after a node.

        Parameters
        ----------
        node
            Its number, or ROOT.
        """
        return self.room(node) > 0

    def finish(self, node: int) -> str:
        """`stop` where the model ended the solution, else `unfinished`.

        Parameters
        ----------
        node
            Its number, or ROOT.
        """
        return STOP if self.nodes[node].step.ended else UNFINISHED

    def grow(self, parent: int, count: int, *, whole: bool = False) -> list[Grow]:
        """Questions for more children of a node.

        Parameters
        ----------
        parent
            The node, or ROOT.
        count
            How many.
        whole
            Whether each is all that follows.
        """
        first = self._asked.get(parent, 0)
        self._asked[parent] = first + count
        return [Grow(parent, first + child, whole) for child in range(count)]

    def add(self, parent: int, step: Step) -> Node:
        """A new node.

        Parameters
        ----------
        parent
            The node that it follows, or ROOT.
        step
            What was written.
        """
        depth = 1 if parent == ROOT else self.nodes[parent].depth + 1
        node = Node(len(self.nodes), parent, depth, self.count(parent) + step.count, step)
        self.nodes.append(node)
        (self.root_children if parent == ROOT else self.nodes[parent].children).append(node.number)
        return node


def best_first(tree: Tree, nodes: Sequence[int]) -> list[int]:
    """Nodes by falling value; those with the same value in order of birth.

    Parameters
    ----------
    tree
        Theirs.
    nodes
        Their numbers.
    """
    return sorted(nodes, key=lambda node: (-tree.nodes[node].value, node))
