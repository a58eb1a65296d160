"""What a tree search and chains of revisions are expected to take.

The search itself is played, on steps of an assumed length. The scores are random, which decides who has
children and not how many there are; so a few games suffice. Tokens are counted as isoflop.search.driver
counts them: a step is written once and read once.

In chains of revisions a prompt holds the latest attempts before it. Attempts are as long as answers are on
average; the words around them in the prompt are not counted.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache

from isoflop.config.generators import TreeSearch
from isoflop.config.planning import Planning
from isoflop.costs.flops import flops_kaplan, flops_total
from isoflop.forecast.time import Placed, batch, read_seconds, write_seconds
from isoflop.search.registry import new_tree, start
from isoflop.search.tree import ROOT, Grow, Question, Step, Tree

_GAMES = 4


@dataclass(frozen=True)
class Lengths:
    """Tokens of a prompt and of a solution, the end token included, and its steps; `measured` in a run?"""

    prompt: float
    solution: float
    steps: float
    measured: bool = False

    def scaled(self, factor: float) -> "Lengths":
        """With solutions longer by a factor, unless they were measured."""
        if self.measured:
            return self
        return replace(self, solution=self.solution * factor, steps=self.steps * factor)


@dataclass(frozen=True)
class SearchUse:
    """What one search of one problem takes on average; tokens and positions as in search_driver.Usage.

    `requests`: steps and looks ahead asked of the policy, in so many `rounds`. `nodes`: steps of the tree.
    """

    requests: float
    rounds: float
    nodes: float
    candidates: float
    generated: float
    attended: float
    looked: float
    scored: float
    scored_attended: float


@cache
def expected_use(entry: TreeSearch, budget: int, lengths: Lengths, mark_tokens: float) -> SearchUse:
    """The mean over a few games; `mark_tokens` is what a verifier reads beside each step."""
    games = [_play(entry, budget, lengths, mark_tokens, random.Random(seed)) for seed in range(_GAMES)]
    means = {
        field.name: sum(getattr(game, field.name) for game in games) / _GAMES for field in fields(SearchUse)
    }
    return SearchUse(**means)


def step_ends(lengths: Lengths) -> tuple[int, ...]:
    """Where the steps of a solution end, in whole tokens: steps of one length, the last at the end."""
    total = max(1, round(lengths.solution))
    steps = min(total, max(1, round(lengths.steps)))
    return tuple(round(total * (step + 1) / steps) for step in range(steps))


def _play(
    entry: TreeSearch, budget: int, lengths: Lengths, mark_tokens: float, chance: random.Random
) -> SearchUse:
    game = _Game(new_tree(entry), step_ends(lengths), lengths.prompt, mark_tokens, chance)
    search = start(entry, budget, game.tree)
    try:
        questions: Sequence[Question] = next(search)
        while True:
            game.rounds += 1
            questions = search.send([game.answer(question) for question in questions])
    except StopIteration as end:
        return game.use(len(end.value))


class _Game:
    """One search's tree and tallies."""

    def __init__(
        self, tree: Tree, ends: tuple[int, ...], prompt: float, mark_tokens: float, chance: random.Random
    ) -> None:
        self.tree = tree
        self.rounds = 0
        self._ends, self._prompt, self._mark, self._chance = ends, prompt, mark_tokens, chance
        self._requests = 0
        self._generated = self._attended = self._looked = self._scored = self._scored_attended = 0.0

    def answer(self, question: Question) -> float:
        """The number of a new node, or the score of what follows one."""
        self._requests += 1
        if isinstance(question, Grow):
            before = self.tree.count(question.parent)
            count = min(self._written(before, 1), self.tree.room(question.parent))
            step = Step("step", (), count, ended=before + count >= self._ends[-1])
            self._count(question.parent, count, marks=1)
            node = self.tree.add(question.parent, step)
            node.score = node.value = self._chance.random()
            return node.number
        before, limits = self.tree.count(question.node), self.tree.limits
        room = min(question.steps * limits.step_tokens, limits.tokens - before)
        count = min(self._written(before, question.steps), room)
        self._looked += count
        self._count(question.node, count, marks=1 + sum(before < end < before + count for end in self._ends))
        return self._chance.random()

    def _written(self, before: int, steps: int) -> int:
        """Tokens of up to `steps` steps after the first `before` ones."""
        ahead = [end for end in self._ends if end > before][:steps]
        return ahead[-1] - before if ahead else 1

    def _count(self, start: int, count: int, marks: int) -> None:
        before = self.tree.count(start)
        depth = 0 if start == ROOT else self.tree.nodes[start].depth
        self._generated += count
        self._attended += _positions(self._prompt + before, count)
        # A first step is read with the problem before it.
        known = 0.0 if start == ROOT else self._prompt + before + self._mark * depth
        read = self._prompt + before + count + self._mark * (depth + marks) - known
        self._scored += read
        self._scored_attended += _positions(known, read)

    def use(self, candidates: int) -> SearchUse:
        """What it took."""
        return SearchUse(
            requests=self._requests,
            rounds=self.rounds,
            nodes=len(self.tree.nodes),
            candidates=candidates,
            generated=self._generated,
            attended=self._attended,
            looked=self._looked,
            scored=self._scored,
            scored_attended=self._scored_attended,
        )


def _positions(before: float, count: float) -> float:
    """The sum of before + 1 ... before + count."""
    return count * before + count * (count + 1) / 2


@dataclass(frozen=True)
class Place:
    """A place in the chains of one problem: how many answers stand there, and how many attempts they see."""

    count: int
    shown: int


@dataclass(frozen=True)
class ChainWork:
    """What the chains of all problems take; tokens, FLOPs under `total`, and seconds on the clock."""

    requests: float
    read: float
    written: float
    flops: float
    seconds: float


def places(chain_lengths: Sequence[int], history: int) -> list[Place]:
    """The places of a problem's chains, `chain_lengths` answers each, from the first on."""
    return [
        Place(sum(length > before for length in chain_lengths), min(before, history))
        for before in range(max(chain_lengths))
    ]


def chain_work(
    model: Placed,
    planning: Planning,
    lengths: Lengths,
    standing: Sequence[Place],
    *,
    max_tokens: int,
    problems: int,
    at_once: int,
) -> ChainWork:
    """Chains are written place by place, those of `at_once` problems together.

    The problem's own prompt is read once for its first answers, and the prompt of every revision again.
    """
    answer = min(lengths.solution, max_tokens)
    requests = read = flops = seconds = 0.0
    for number, place in enumerate(standing):
        answers, prompt = problems * place.count, lengths.prompt + place.shown * answer
        prompts = problems if number == 0 else answers
        all_of_it = answers * float(flops_total(model.shape, prompt, answer, prompts / answers))
        writing = answers * float(flops_kaplan(model.shape, prompt, answer))
        side_by_side = batch(model, planning, min(at_once, problems) * place.count, prompt + answer)
        requests += answers
        read += prompts * prompt
        flops += all_of_it
        seconds += read_seconds(model, planning, all_of_it - writing, prompts * prompt) + write_seconds(
            model,
            planning,
            planning.computed.policy * writing,
            answers * answer,
            side_by_side,
            prompt + answer / 2,
        )
    return ChainWork(requests, read, requests * answer, flops, seconds)


def judged_texts(
    lengths: Lengths, standing: Sequence[Place], *, max_tokens: int, problems: int, history: int, marks: float
) -> list[tuple[float, float]]:
    """Answers and the tokens of each that a verifier reads, which sees up to `history` attempts, by place."""
    answer = min(lengths.solution, max_tokens)
    return [
        (
            float(problems * place.count),
            lengths.prompt + min(number, history) * answer + answer + marks,
        )
        for number, place in enumerate(standing)
    ]
