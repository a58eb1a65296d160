"""The rows that a specification asks for: what tells them apart, and what a table of them says of itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import pyarrow as pa
from pydantic import BaseModel

from isoflop.config.generators import Sampling
from isoflop.files import Problem
from isoflop.growth.identity import problem_digest, table_identity
from isoflop.growth.rows import Key
from isoflop.growth.tables import CHAINS, SAMPLES, SCORED, SEARCHED, Label, RowKind
from isoflop.specs import ReviseSpec, SampleSpec, ScoreSpec, SearchSpec
from isoflop.tables import CANDIDATES, SCORES

T_contra = TypeVar("T_contra", contravariant=True)
_HERE = Path()


@dataclass(frozen=True)
class Rows(Generic[T_contra]):
    """How the rows of a growing table are told apart.

    Attributes
    ----------
    kind
        Of the table.
    spec
        The specification of the table.
    root
        The folder under which local checkpoints lie.
    stage
        The folder of such tables in an experiment.
    wanted
        The keys of an item's rows, in their order.
    digests
        Of an item, or of each of its rows, as the label has them.
    limit
        Most tokens of a row, where rows are judged by that.
    numbered
        The table of some items with the columns set that number its rows.
    """

    kind: RowKind
    spec: BaseModel
    root: Path
    stage: str
    wanted: Callable[[T_contra], Sequence[Key]]
    digests: Callable[[T_contra], Sequence[str]]
    limit: int | None = None
    numbered: Callable[[pa.Table, Sequence[T_contra]], pa.Table] = lambda table, _: table

    @cached_property
    def identity(self) -> str:
        """What decides the rows. Found when it is asked for, since it reads the weights of local models."""
        return table_identity(self.spec, self.root)

    def label(self, items: Sequence[T_contra]) -> Label:
        """What the table of these items says of its rows."""
        return Label(self.identity, [one for item in items for one in self.digests(item)], self.limit)


class Judged(Protocol):
    """A problem's candidates for a verifier."""

    @property
    def rows(self) -> Sequence[dict[str, Any]]:
        """Theirs in CANDIDATES."""
        ...

    @property
    def digests(self) -> Sequence[str]:
        """Of what each is scored for."""
        ...


def per_problem(spec: SampleSpec) -> int:
    """How many candidates a problem has."""
    return spec.generator.samples if isinstance(spec.generator, Sampling) else 1


def sample_rows(spec: SampleSpec, root: Path = _HERE) -> Rows[Problem]:
    """Samples: a problem's by their numbers. `root`: where local checkpoints lie."""

    def digests(problem: Problem) -> list[str]:
        problem_id, text = problem
        return [problem_digest(problem_id, spec.policy.prompt.format(problem=text))]

    return Rows(
        kind=SAMPLES,
        spec=spec,
        root=root,
        stage="sample",
        wanted=lambda problem: list(product(digests(problem), range(per_problem(spec)))),
        digests=digests,
        limit=spec.generator.max_tokens,
    )


def chain_rows(spec: ReviseSpec, root: Path = _HERE) -> Rows[Problem]:
    """Answers in chains: a problem's by their chain and their place in it. `root`: as above."""
    places = [
        (run, place)
        for run, length in enumerate(spec.generator.chain_lengths)
        for place in range(1, length + 1)
    ]

    def wanted(problem: Problem) -> list[Key]:
        told = problem_digest(*problem)
        return [(told, run, place) for run, place in places]

    def numbered(candidates: pa.Table, problems: Sequence[Problem]) -> pa.Table:
        numbers = list(range(len(places))) * len(problems)
        return _with(candidates, CANDIDATES.field("candidate"), numbers)

    return Rows(
        kind=CHAINS,
        spec=spec,
        root=root,
        stage="sample",
        wanted=wanted,
        digests=lambda problem: [problem_digest(*problem)],
        limit=spec.generator.max_tokens,
        numbered=numbered,
    )


def tree_rows(spec: SearchSpec, root: Path = _HERE) -> Rows[Problem]:
    """Searches: a problem's by their runs. `root`: as above."""

    def digests(problem: Problem) -> list[str]:
        problem_id, text = problem
        prompts = (spec.policy.prompt.format(problem=text), spec.verifier.prompt.format(problem=text))
        return [problem_digest(problem_id, *prompts)]

    return Rows(
        kind=SEARCHED,
        spec=spec,
        root=root,
        stage="search",
        wanted=lambda problem: list(product(digests(problem), range(spec.generator.runs))),
        digests=digests,
    )


def score_rows(spec: ScoreSpec, root: Path = _HERE) -> Rows[Judged]:
    """Scores: by what was told and what was judged, whoever's it is. `root`: as above."""

    def numbered(scores: pa.Table, judged: Sequence[Judged]) -> pa.Table:
        rows = [row for one in judged for row in one.rows]
        for name in ("problem_id", "candidate"):
            scores = _with(scores, SCORES.field(name), [row[name] for row in rows])
        return scores

    return Rows(
        kind=SCORED,
        spec=spec,
        root=root,
        stage="score",
        wanted=lambda judged: [(one,) for one in judged.digests],
        digests=lambda judged: judged.digests,
        numbered=numbered,
    )


def _with(table: pa.Table, field: pa.Field, values: Sequence[Any]) -> pa.Table:
    """The table with other values in a column."""
    place = table.schema.get_field_index(field.name)
    return table.set_column(place, field, pa.array(values, field.type))
