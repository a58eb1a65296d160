"""The one input of all cost models: what was done, in counts, and by whom."""

from dataclasses import dataclass, field

import numpy as np

from isoflop.arrays import Floats
from isoflop.costs.shape import ModelShape, Terms

_NONE: Floats = np.zeros(())


@dataclass(frozen=True)
class Party:
    """A policy or a verifier as costs know it.

    Attributes
    ----------
    shape
        None where nobody knows it, as of a hosted model.
    terms
        What its work is charged by besides.
    """

    shape: ModelShape | None
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True)
class Usage:
    """What one model's work on all candidates took.

    Attributes
    ----------
    model
        Its shape; None where that is not known.
    seconds
        In all; nan where nobody measured them.
    tokens
        [candidates]: generated ones of the policy, read ones of a verifier.
    terms
        What its work is charged by besides.
    """

    model: ModelShape | None
    seconds: float
    tokens: Floats
    terms: Terms = field(default_factory=Terms)

    @property
    def party(self) -> Party:
        """Who did it."""
        return Party(self.model, self.terms)


@dataclass(frozen=True)
class Work:
    """What was done, in counts of shapes that broadcast.

    Attributes
    ----------
    policy
        Who wrote.
    verifier
        Who read; None where none is used.
    prompt, prompt_attended
        Tokens of prompts that the policy reads, and the sum of the positions that they attend to, themselves
        included.
    kept
        Tokens of prompts that it need not read, since the same prompt was read before (its keys and values
        are kept). Of what the first candidate of a problem takes beyond every further one, `kept` is
        negative: it reads the prompt that the others find read.
    generated, attended
        Tokens that the policy writes, thinking included, and the sum of their positions.
    read, read_attended
        The same of the tokens that the verifier reads.
    seconds
        Measured, of both; nan where nobody did.
    """

    policy: Party
    verifier: Party | None = None
    prompt: Floats = field(default_factory=lambda: _NONE)
    prompt_attended: Floats = field(default_factory=lambda: _NONE)
    kept: Floats = field(default_factory=lambda: _NONE)
    generated: Floats = field(default_factory=lambda: _NONE)
    attended: Floats = field(default_factory=lambda: _NONE)
    read: Floats = field(default_factory=lambda: _NONE)
    read_attended: Floats = field(default_factory=lambda: _NONE)
    seconds: Floats = field(default_factory=lambda: _NONE)


def attended_after(before: Floats, tokens: Floats) -> Floats:
    """The sum of the positions that tokens attend to, themselves included.

    Parameters
    ----------
    before
        How many tokens lie before the first of them.
    tokens
        How many there are, of a shape that broadcasts.

    Notes
    -----
    tokens * before + tokens (tokens + 1) / 2.
    """
    positions: Floats = tokens * before + tokens * (tokens + 1.0) / 2.0
    return positions
