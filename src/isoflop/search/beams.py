"""Beam search, diverse verifier tree search and lookahead search (Snell et al. 2024, section 5.2).

All are one thing: groups of beams. A group with a quota of N solutions starts with N first steps. In each
round its solutions that have ended are set aside, the best of the open nodes go on, as many as the rest of
the quota divided by the beam width M, and each has M children (the last one what is left of the quota).
So a group never spends more than its quota, and ends with N solutions.

Beam search is one group of N; DVTS is N / M groups of M, so that each keeps one; in lookahead search a node's
value is the score after k more steps at temperature 0.
"""

import math
from typing import Literal, Self

from pydantic import model_validator

from isoflop.config.base import Count
from isoflop.config.generators import TreeSearch
from isoflop.search.tree import ROOT, Grow, Look, Search, Tree, best_first


class BeamEntry(TreeSearch):
    """What searches that keep N / M beams have in common in the config."""

    beam_width: Count | Literal["sqrt"] = 4
    """M: children of every beam that is kept; N / M are kept. `sqrt` is the square root of the budget."""

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        for budget in self.budgets:
            if self.beam_width == "sqrt" and math.isqrt(budget) ** 2 != budget:
                raise ValueError(f"budgets: {budget} is not a square number, which beam_width: sqrt needs")
            if budget % self.width(budget):
                raise ValueError(
                    f"budgets: {budget} beams cannot be cut to {budget} / {self.beam_width}; give multiples "
                    "of beam_width"
                )
        return self

    def width(self, budget: int) -> int:
        """M at a budget.

        Parameters
        ----------
        budget
            N, the number of beams.

        Returns
        -------
        The children of every beam that is kept.
        """
        return math.isqrt(budget) if self.beam_width == "sqrt" else self.beam_width


def rehearsed_at(entry: BeamEntry) -> tuple[int, ...]:
    """The least budget of which more than one beam is kept.

    Parameters
    ----------
    entry
        The search's keys.

    Returns
    -------
    That budget alone.
    """
    return (4,) if entry.beam_width == "sqrt" else (2 * entry.beam_width,)


def beam_search(tree: Tree, width: int, beam_width: int, groups: int = 1, lookahead: int = 0) -> Search:
    """Beam search, DVTS or lookahead search, by `groups` and `lookahead`.

    Parameters
    ----------
    tree
        An empty tree with its limits; its depth is the number of rounds.
    width
        N, beams in all, a multiple of `groups`.
    beam_width
        M, children per beam.
    groups
        Of equal size; 1 for beam search, N / M for DVTS.
    lookahead
        k, steps written at temperature 0 before a node is valued; 0 for none.

    Yields
    ------
    Questions for the driver; it sends back the new nodes' numbers, or the values of nodes looked ahead from.

    Returns
    -------
    The numbers of the candidate nodes. Solutions at a limit of the tree are among them, unfinished.

    References
    ----------
    Snell et al. 2024, Scaling LLM Test-Time Compute Optimally. doi:10.48550/arXiv.2408.03314
    """
    quota = [width // groups] * groups
    candidates: list[int] = []
    questions = [tree.grow(ROOT, count) for count in quota]
    while any(questions):
        answers = yield [question for group in questions for question in group]
        new = iter([int(node) for node in answers])
        layers = [[next(new) for _ in group] for group in questions]
        if lookahead:
            looked = [node for layer in layers for node in layer if tree.is_open(node)]
            values = (yield [Look(node, lookahead) for node in looked]) if looked else []
            for node, value in zip(looked, values, strict=True):
                tree.nodes[node].value = value
        for group, layer in enumerate(layers):
            closed = [node for node in layer if not tree.is_open(node)]
            candidates += closed
            quota[group] -= len(closed)
            going = [node for node in layer if tree.is_open(node)]
            questions[group] = _children(tree, going, quota[group], beam_width)
    return candidates


def _children(tree: Tree, nodes: list[int], quota: int, beam_width: int) -> list[Grow]:
    """Questions for the children of the best nodes, `quota` in all."""
    kept = best_first(tree, nodes)[: math.ceil(quota / beam_width)]
    questions: list[Grow] = []
    for node in kept:
        questions += tree.grow(node, min(beam_width, quota - len(questions)))
    return questions
