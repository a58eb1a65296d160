"""What writing and judging chains of revisions takes: a prompt holds the latest attempts before it.

Attempts are as long as answers are on average; the words around them in the prompt are not counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from isoflop.config.planning import Planning
from isoflop.costs import flops_kaplan, flops_total
from isoflop.forecast.searches import Lengths
from isoflop.forecast.time import Placed, batch, read_seconds, write_seconds


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

    The problem's own prompt is read once for its first answers, and the prompt of every revision anew.
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
