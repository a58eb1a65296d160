"""Writes chains of revisions: each answer after the first is conditioned on the latest ones before it.

All chains share the policy's batch: as soon as one has its answer it asks for the next. What a request gets
depends on its own seed alone, so neither the batch nor the other chains change an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from isoflop.config.generators import ChainWriting
from isoflop.engines.registry import Completion, GenerationRequest, Policy, Progress
from isoflop.search.revision_texts import with_attempts
from isoflop.seeds import derive_seed

# In how many parts the prompts of one round of revisions are read.
_READINGS = 8


@dataclass
class Chain:
    """One chain of answers.

    Attributes
    ----------
    problem
        Its text.
    length
        How many answers it is to have.
    key
        What its randomness is derived from.
    answers
        Those that it was given here, in order.
    known
        Texts of the answers before these, which an earlier run has written.
    """

    problem: str
    length: int
    key: tuple[str | int, ...]
    answers: list[Completion] = field(default_factory=list)
    known: list[str] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """What has been answered, the earliest first."""
        return [*self.known, *(answer.text for answer in self.answers)]


def write_chains(
    policy: Policy,
    prompt: str,
    writing: ChainWriting,
    chains: Sequence[Chain],
    progress: Progress | None = None,
) -> None:
    """Give every chain its answers.

    Parameters
    ----------
    policy
        Who writes.
    prompt
        The policy's template.
    writing
        How attempts are shown and answers drawn.
    chains
        Those to write; their answers are filled in.
    progress
        Is told of every answer, and of every token.

    Raises
    ------
    UserError
        Where a prompt with its attempts and an answer does not fit the policy.
    """
    asked = [place for place, chain in enumerate(chains) if len(chain.texts) < chain.length]
    waiting: list[int] = []
    # Prompts are read together: one by one they would cost a pass over the model each.
    enough = -(-len(asked) // _READINGS)

    def more(finished: Sequence[tuple[int, Completion]], in_flight: int) -> list[GenerationRequest]:
        for index, completion in finished:
            chain = chains[asked[index]]
            chain.answers.append(completion)
            if len(chain.texts) < chain.length:
                waiting.append(asked[index])
        if in_flight and len(waiting) < enough:
            return []
        asked.extend(waiting)
        following = [_next_request(prompt, writing, chains[place]) for place in waiting]
        waiting.clear()
        return following

    first = [_next_request(prompt, writing, chains[place]) for place in asked]
    policy.generate(first, progress, more)


def _next_request(prompt: str, writing: ChainWriting, chain: Chain) -> GenerationRequest:
    attempts = chain.texts
    return GenerationRequest(
        prompt=prompt.format(problem=with_attempts(writing, chain.problem, attempts, writing.history)),
        seed=derive_seed("revise", *chain.key, len(attempts)),
        max_tokens=writing.max_tokens,
        **writing.drawing(),
    )
