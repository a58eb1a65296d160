"""The config entries for revisions (Snell et al. 2024): chains of answers, and what models learn of them."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from isoflop.config.base import Count, Entry, Name, Reach, Scored, template_fields


def _template(*wanted: str) -> Callable[[str], str]:
    """A check that a template has these fields, each once."""

    def check(template: str) -> str:
        if sorted(template_fields(template)) != sorted(wanted):
            named = " and ".join(f"{{{field}}}" for field in wanted)
            raise ValueError(f"must contain {named}, each once, and nothing else in single braces")
        return template

    return check


Asked = Annotated[str, AfterValidator(_template("problem", "attempts"))]
Attempt = Annotated[str, AfterValidator(_template("attempt"))]


class AttemptTexts(Entry):
    """How earlier attempts are shown: as they were when the model was trained."""

    asked: Asked = "{problem}\n{attempts}"
    """What takes the problem's place in the prompt of the policy or verifier once there are `{attempts}`."""
    attempt: Attempt = "\n{attempt}\n"
    """How each of them is written, without the white space at its ends; the earliest comes first."""


class ChainWriting(AttemptTexts):
    """How a chain is written: an answer, then revisions of it."""

    length: Count
    """Answers per chain: the first, by the policy's own prompt, and its revisions."""
    history: Count = 4
    """How many of the latest answers a revision is shown."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Token temperature."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling: the smallest set of tokens with at least this probability."""
    max_tokens: Count
    """Longest answer, in tokens; longer ones are cut and marked `length`."""


class Revisions(Scored, ChainWriting):
    """Chains of revisions, in parallel: every ratio of sequential to parallel answers at each budget.

    The chains of length S are a generator of their own, NAME/S, in the tables and in
    `compute_optimal.families`; its budget N is N / S chains. NAME/1 is parallel sampling.
    """

    kind: Literal["revisions"]
    """Chains of revisions."""
    chains: Count
    """Chains per problem; each is as long as it takes."""
    lengths: tuple[Count, ...] = ()
    """Lengths S to compare, strictly increasing, from 1 to `length`; the powers of two and `length` if left
    out."""
    largest: Count | None = None
    """Most answers to spend in all: of `chains`, no more than `largest` / S are continued to length S."""
    only: Reach | None = None
    """Policies and data sets it is limited to; everything if left out. `largest` limits budgets here."""

    @model_validator(mode="after")
    def _comparable(self) -> "Revisions":
        lengths = self.lengths
        if lengths and (lengths[0] != 1 or lengths[-1] != self.length or sorted(set(lengths)) != [*lengths]):
            raise ValueError(
                f"lengths: {list(lengths)} must be strictly increasing, from 1 to length {self.length}"
            )
        if self.largest is not None and self.largest < self.length:
            raise ValueError(f"largest: {self.largest} is less than one chain of length {self.length}")
        return self

    @property
    def compared(self) -> tuple[int, ...]:
        """The lengths of the chains that are compared."""
        powers = (2**power for power in range(self.length.bit_length()))
        return self.lengths or tuple(sorted({*powers, self.length}))

    def parallel(self, length: int) -> int:
        """How many chains reach `length`."""
        return self.chains if self.largest is None else min(self.chains, self.largest // length)

    def budgets(self, length: int) -> tuple[int, ...]:
        """Numbers of answers that chains of this length are measured at: 1, 2, 4, ... chains."""
        return tuple(length * 2**power for power in range(self.parallel(length).bit_length()))

    @property
    def chain_lengths(self) -> tuple[int, ...]:
        """The length of each chain."""
        return tuple(
            max(length for length in self.compared if chain < self.parallel(length))
            for chain in range(self.parallel(1))
        )


class TrajectoryConfig(AttemptTexts):
    """What a revision model learns: earlier attempts, by default wrong ones, then a right answer."""

    problems: Name
    """An entry of `datasets`."""
    policy: Name
    """The entry of `policies` that writes the answers."""
    samples_per_problem: Count
    """Answers per problem (Snell et al. 2024: 64)."""
    wrong: Annotated[int, Field(ge=0)] = 4
    """Most wrong answers before the right one; their number is uniform from 0, as far as there are any."""
    as_sampled: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the trajectories whose attempts are any other samples, right ones too, as a chain will really
    show. 0 is Snell et al. 2024, whose model turns two right answers of five wrong, never having seen one."""
    most_per_problem: Count | None = None
    """Most right answers of a problem to learn, drawn at random; all of them if left out."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Token temperature."""
    max_tokens: Count
    """Longest answer, in tokens; those that are cut are not learnt from."""


class ChainLabelConfig(ChainWriting):
    """What an outcome verifier of chains learns: answers of a revision model, right or wrong.

    An entry of `labels` in all but how it comes about: one step per answer, the whole of it.
    """

    problems: Name
    """An entry of `datasets`."""
    policy: Name
    """The entry of `policies` that writes the chains."""
    chains: Count
    """Chains per problem."""
