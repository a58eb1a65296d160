"""Searches without models: a script says what every step is and how it scores."""

from collections.abc import Callable, Sequence

from isoflop.search.tree import ROOT, Grow, Limits, Look, Question, Search, Step, Tree

# What is written as child `child` of the node whose steps are `path`, and its score.
Script = Callable[[tuple[str, ...], int], tuple[str, bool, float]]
# The score of what follows a path.
Ahead = Callable[[tuple[str, ...], int], float]


def tree(depth: int = 40, tokens: int = 1000, step_tokens: int = 100) -> Tree:
    return Tree(Limits(depth, tokens, step_tokens))


def texts(grown: Tree, node: int) -> tuple[str, ...]:
    return tuple(one.step.text for one in grown.path(node))


def play(
    grown: Tree, search: Search, script: Script, ahead: Ahead | None = None
) -> tuple[list[int], list[list[Question]]]:
    """Run a search to its end: its candidates, and all questions round by round."""
    rounds: list[list[Question]] = []
    try:
        questions: Sequence[Question] = next(search)
        while True:
            rounds.append(list(questions))
            answers: list[float] = []
            for question in questions:
                if isinstance(question, Look):
                    assert ahead is not None
                    answers.append(ahead(texts(grown, question.node), question.steps))
                    continue
                assert grown.room(question.parent) > 0
                before = () if question.parent == ROOT else texts(grown, question.parent)
                text, ended, score = script(before, question.child)
                node = grown.add(question.parent, Step(text, (len(text),), max(1, len(text)), ended))
                node.score = node.value = score
                answers.append(node.number)
            questions = search.send(answers)
    except StopIteration as end:
        return end.value, rounds


def children(rounds: list[list[Question]]) -> list[list[int]]:
    """The parents asked about, round by round."""
    return [[one.parent for one in questions if isinstance(one, Grow)] for questions in rounds]
