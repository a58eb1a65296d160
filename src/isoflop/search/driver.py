"""Runs many tree searches at once: all their questions go to the policy in one stream, and to the verifier.

No problem waits for another: as soon as a search has its answers it asks on, and its requests join the batch
that is in flight. What a search is answered depends on its own seeds alone, so neither the batch nor the
other searches change its tree.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from isoflop.engines.registry import Completion, GenerationRequest, Policy, Progress, ScoreRequest, Verifier
from isoflop.engines.step_tags import untagged_text, with_words
from isoflop.engines.steps import split_steps
from isoflop.errors import UserError
from isoflop.search.tree import ROOT, Grow, Look, Question, Search, Step, Tree
from isoflop.seeds import derive_seed


@dataclass(frozen=True)
class Texts:
    """What the models are told: prompts with the problem filled in, what ends a step, how tokens are drawn.

    Attributes
    ----------
    policy_prompt, verifier_prompt
        With the problem in them.
    separator
        What ends a step.
    tag
        What the policy writes after every step; it goes on from it, and the verifier does not see it.
    temperature, top_p, top_k, min_p, stop
        As in a GenerationRequest.
    """

    policy_prompt: str
    verifier_prompt: str
    separator: str
    temperature: float
    tag: str | None = None
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    stop: tuple[str, ...] = ()


@dataclass
class Usage:
    """What one search took, in tokens.

    Attributes
    ----------
    prompt
        The problem's prompt, read once by the policy.
    generated, attended
        Tokens of every node once, and the sum of their positions, for attention.
    read_again
        What the policy's requests would read were nothing kept between them.
    looked
        Generated ahead and thrown away; part of `generated`.
    scored, scored_attended
        What the verifier reads with paths kept, the prompt counted for each first step.
    scored_again
        What it would read with whole paths read each time.
    """

    prompt: int = 0
    generated: int = 0
    attended: int = 0
    read_again: int = 0
    looked: int = 0
    scored: int = 0
    scored_attended: int = 0
    scored_again: int = 0


@dataclass
class Task:
    """One search.

    Attributes
    ----------
    key
        What its randomness is derived from.
    texts
        What the models are told.
    tree
        Its tree; empty before it is run.
    search
        What asks.
    usage
        What it took.
    candidates
        Nodes that solutions end with, once it is done.
    """

    key: tuple[str | int, ...]
    texts: Texts
    tree: Tree
    search: Search
    usage: Usage = field(default_factory=Usage)
    candidates: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _Path:
    """What the questions after one node have in common: its steps as the verifier reads them, and all tokens
    that the policy wrote."""

    texts: tuple[str, ...]
    tokens: tuple[int, ...]


@dataclass
class _Round:
    """The questions that a search waits for; an answer is a step and its score. `paths`: by node."""

    questions: Sequence[Question]
    paths: dict[int, _Path]
    steps: list[Step | None]
    scores: list[float | None]
    missing: int


@dataclass(frozen=True)
class _Asked:
    """Whose question a request is."""

    task: int
    place: int


class Driver:
    """Asks the engines what searches ask."""

    def __init__(
        self, policy: Policy, verifier: Verifier, seed: int, score_batch: int = 256, window: int = 256
    ) -> None:
        """Hold the engines.

        `score_batch`: steps that are scored together at least, while others go on. `window`: searches that
        are in flight at most; each one that ends lets the next begin. No result depends on either.
        """
        self._policy, self._verifier, self._seed = policy, verifier, seed
        self._score_batch, self._window = score_batch, window
        # Seconds in the verifier, and in the driver itself.
        self.scoring_seconds = 0.0
        self.own_seconds = 0.0
        self._progress: Progress | None = None
        self._tasks: Sequence[Task] = ()
        self._rounds: dict[int, _Round] = {}
        self._begun = 0
        self._asked: list[_Asked] = []
        self._unscored: list[tuple[_Asked, Step]] = []

    def run(self, tasks: Sequence[Task], progress: Progress | None = None) -> None:
        """Run all searches to their end.

        Parameters
        ----------
        tasks
            The searches; their trees, usage and candidates are filled in.
        progress
            Is told of every one that ends, and of every token.

        Raises
        ------
        UserError
            Where a solution does not fit a model.
        """
        self._tasks, self._asked, self._unscored = tasks, [], []
        self._progress = progress
        begun = time.perf_counter()
        self._rounds, self._begun = {}, 0
        requests = self._begin()
        self.own_seconds += time.perf_counter() - begun
        self._policy.generate(requests, self._count_tokens, self._more)

    def _count_tokens(self, _: int, tokens: int) -> None:
        if self._progress is not None:
            self._progress(0, tokens)

    def _more(self, finished: Sequence[tuple[int, Completion]], in_flight: int) -> list[GenerationRequest]:
        begun, scoring = time.perf_counter(), self.scoring_seconds
        requests: list[GenerationRequest] = []
        for index, completion in finished:
            requests += self._written(self._asked[index], completion)
        if len(self._unscored) >= self._score_batch or (self._unscored and not in_flight and not requests):
            requests += self._score()
        self.own_seconds += time.perf_counter() - begun - (self.scoring_seconds - scoring)
        return requests

    def _begin(self) -> list[GenerationRequest]:
        """The first requests of as many further searches as the window has room for."""
        requests: list[GenerationRequest] = []
        while self._begun < len(self._tasks) and len(self._rounds) < self._window:
            place = self._begun
            self._begun += 1
            try:
                requests += self._open(place, next(self._tasks[place].search))
            except StopIteration as end:
                self._end(place, end.value)
        return requests

    def _end(self, place: int, candidates: list[int]) -> None:
        self._tasks[place].candidates = candidates
        self._rounds.pop(place, None)
        if self._progress is not None:
            self._progress(1, 0)

    def _open(self, place: int, questions: Sequence[Question]) -> list[GenerationRequest]:
        """Requests for a search's questions."""
        if not questions:
            raise ValueError("a search asks for nothing and does not end")
        count, task = len(questions), self._tasks[place]
        paths = {}
        for start in {_start(question) for question in questions}:
            steps = [node.step for node in task.tree.path(start)]
            tokens = tuple(token for step in steps for token in step.tokens)
            texts = with_words([step.text for step in steps], task.texts.tag, more=True)
            paths[start] = _Path(tuple(texts), tokens)
        self._rounds[place] = _Round(questions, paths, [None] * count, [None] * count, count)
        self._asked += [_Asked(place, number) for number in range(count)]
        return [self._request(task, question, paths[_start(question)].tokens) for question in questions]

    def _request(self, task: Task, question: Question, written: tuple[int, ...]) -> GenerationRequest:
        tree, texts, usage = task.tree, task.texts, task.usage
        if isinstance(question, Grow):
            start, steps, temperature = question.parent, 1, texts.temperature
            seed = derive_seed("search", self._seed, *task.key, question.parent, question.child)
            room = tree.room(start)
            if question.whole and room:
                room = tree.limits.tokens - tree.count(start)
        else:
            start, steps, temperature, seed = question.node, question.steps, 0.0, 0
            room = min(steps * tree.limits.step_tokens, tree.limits.tokens - tree.count(start))
        if room < 1:
            raise ValueError(f"a search asks for a step after node {start}, which can have none")
        usage.read_again += len(written)
        return GenerationRequest(
            prompt=texts.policy_prompt,
            seed=seed,
            max_tokens=room,
            temperature=temperature,
            written=written,
            separator=None if isinstance(question, Grow) and question.whole else texts.separator,
            steps=steps,
            top_p=texts.top_p,
            top_k=texts.top_k,
            min_p=texts.min_p,
            stop=texts.stop,
        )

    def _written(self, asked: _Asked, completion: Completion) -> list[GenerationRequest]:
        """Take up what the policy wrote; requests follow only where nothing is left to score."""
        task, waiting = self._tasks[asked.task], self._rounds[asked.task]
        question = waiting.questions[asked.place]
        step = Step(
            completion.text,
            completion.tokens,
            len(completion.pieces),
            completion.finish == "stop",
            completion.logprob,
        )
        usage, before = task.usage, completion.prompt_tokens
        start = _start(question)
        own_prompt = before - len(waiting.paths[start].tokens)
        usage.prompt = own_prompt
        usage.read_again += own_prompt
        usage.generated += step.count
        usage.attended += _positions(before, step.count)
        if isinstance(question, Look):
            usage.looked += step.count
        waiting.steps[asked.place] = step
        bare = task.texts.tag is not None and not untagged_text(step.text, task.texts.tag).strip()
        if (step.empty or bare) and start != ROOT:
            # Nothing was added to what has a score.
            return self._answer(asked, task.tree.nodes[start].score)
        self._unscored.append((asked, step))
        return []

    def _score(self) -> list[GenerationRequest]:
        """Score all steps that wait, and let the searches that have all their answers go on."""
        waiting, self._unscored = self._unscored, []
        requests = [self._score_request(asked, step) for asked, step in waiting]
        begun = time.perf_counter()
        answers = self._verifier.score(requests)
        self.scoring_seconds += time.perf_counter() - begun
        follow: list[GenerationRequest] = []
        for (asked, _), request, answer in zip(waiting, requests, answers, strict=True):
            if len(answer.scores) != len(request.steps):
                raise UserError(
                    f"the verifier gave {len(answer.scores)} scores for {len(request.steps)} steps: "
                    f"{request.prompt[:60]!r}"
                )
            self._count_reading(asked, answer.step_ends)
            follow += self._answer(asked, answer.scores[-1])
        return follow

    def _score_request(self, asked: _Asked, step: Step) -> ScoreRequest:
        texts, waiting = self._tasks[asked.task].texts, self._rounds[asked.task]
        question = waiting.questions[asked.place]
        ahead = [step.text] if isinstance(question, Grow) else split_steps(step.text, texts.separator)
        told = with_words(ahead, texts.tag)
        return ScoreRequest(texts.verifier_prompt, (*waiting.paths[_start(question)].texts, *told))

    def _count_reading(self, asked: _Asked, step_ends: Sequence[int]) -> None:
        """`step_ends`: tokens read up to the end of each step, the prompt and all tags included."""
        usage, waiting = self._tasks[asked.task].usage, self._rounds[asked.task]
        known = len(waiting.paths[_start(waiting.questions[asked.place])].texts)
        before = step_ends[known - 1] if known else 0
        usage.scored += step_ends[-1] - before
        usage.scored_attended += _positions(before, step_ends[-1] - before)
        usage.scored_again += step_ends[-1]

    def _answer(self, asked: _Asked, score: float) -> list[GenerationRequest]:
        """Note one answer; with the last of them the search goes on."""
        task, waiting = self._tasks[asked.task], self._rounds[asked.task]
        waiting.scores[asked.place] = score
        waiting.missing -= 1
        if waiting.missing:
            return []
        answers: list[float] = []
        for question, step, value in zip(waiting.questions, waiting.steps, waiting.scores, strict=True):
            assert step is not None
            assert value is not None
            if isinstance(question, Grow):
                node = task.tree.add(question.parent, step)
                node.score = node.value = value
                answers.append(node.number)
            else:
                answers.append(value)
        try:
            return self._open(asked.task, task.search.send(answers))
        except StopIteration as end:
            self._end(asked.task, end.value)
            return self._begin()


def _start(question: Question) -> int:
    """The node that a question goes on from."""
    return question.parent if isinstance(question, Grow) else question.node


def _positions(before: int, count: int) -> int:
    """The sum of before + 1 ... before + count: what `count` tokens attend to after `before` others."""
    return count * before + count * (count + 1) // 2
