"""What goes by a name in the config and may come from any package: searches, verifiers, graders, costs.

A registry finds its members by itself: those of isoflop are the modules of one of its packages, those of
other packages their entry points of the registry's group. A new one is one new file. Nothing is imported
before a name is looked up, so that the config, below the rooms that compute, can check names against it.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from isoflop.errors import UserError
from isoflop.messages import suggest

# What curves.csv calls so, since before other costs were in it.
_PER_PROBLEM = ("tokens", "seconds")
# Members that do not say where they belong in reports come after those that do.
LAST = 1000
# How many answers a problem of multiple choice offers at most, where the config does not say.
DEFAULT_CHOICES = 10


@dataclass(frozen=True, kw_only=True)
class Registered:
    """What every member of a registry has.

    `name`: in the config and in tables, small letters, digits and underscores (of a kind of entry, hyphens
    too: `spelt` is the pattern, and says so in words). `order`: place in lists and reports, rising; ties by
    name.
    """

    name: str
    order: int = LAST
    spelt: ClassVar[tuple[str, str]] = (r"[a-z][a-z0-9_]*", "small letters, digits and underscores")


@dataclass(frozen=True, kw_only=True)
class EntryKind(Registered):
    """A kind of entry of the config, which names it by the key `kind`.

    `entry`: its keys. Raises UserError where they are those of another kind.
    """

    entry: type[BaseModel]
    spelt: ClassVar[tuple[str, str]] = (r"[a-z][a-z0-9_-]*", "small letters, digits, - and _")

    def __post_init__(self) -> None:
        field = self.entry.model_fields.get("kind")
        if field is None or get_args(field.annotation) != (self.name,):
            raise UserError(f"{self.entry.__name__}: give it the key `kind: Literal[{self.name!r}]`")


@dataclass(frozen=True, kw_only=True)
class VerifierTraits(EntryKind):
    """What the config and rehearsals know of a kind of verifier.

    `learnt_here`: whether a model of stage train is of this kind. `vllm_task`: what vLLM's pooling is asked
    for; None where it runs no such model.
    """

    learnt_here: bool = False
    vllm_task: Literal["token_embed", "token_classify", "classify"] | None = None


@dataclass(frozen=True, kw_only=True)
class SelectorTraits(Registered):
    """What the config, the plan and the report know of a selector.

    `label`: the name in a sentence; `short`: in the layout of Wu et al. 2024, Table 4. `reads`: what it
    scores solutions by. `votes`: whether solutions with the same answer add up, so that there is a limit for
    infinitely many. `oracle`: whether it knows the reference answer, which nobody has in practice.
    """

    label: str
    short: str
    reads: Literal["nothing", "verifier", "logprob"] = "nothing"
    votes: bool = False
    oracle: bool = False

    @property
    def needs_verifier(self) -> bool:
        """Whether it picks by a verifier's scores, under a step aggregation."""
        return self.reads == "verifier"

    @property
    def needs_logprob(self) -> bool:
        """Whether it picks by the policy's log-probabilities of its own solutions."""
        return self.reads == "logprob"


@dataclass(frozen=True, kw_only=True)
class FormatTraits(Registered):
    """What the config and the plan know of a format of published work.

    `reads`: the columns it reads, those that can stand for one another together; none where it does not say.
    `knows`: others that its files have, as patterns (`pred_*`). `maps_rows`: a row is one or more solutions
    in columns that others may be mapped to, with the scores of several verifiers and budgets. `counted`:
    a row counts samples and right ones of a problem, without any texts.
    """

    reads: tuple[tuple[str, ...], ...] = ()
    knows: tuple[str, ...] = ()
    maps_rows: bool = False
    counted: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that it reads."""
        return tuple(name for names in self.reads for name in names)

    @property
    def opens(self) -> bool:
        """Whether it opens the files itself, which then have no rows that a config could lay out."""
        return False


@dataclass(frozen=True, kw_only=True)
class GraderTraits(Registered):
    """What the config, the plan and rehearsals know of a grader.

    `tests`: whether a reference is a program of tests, not an answer. `lettered`: whether it reads letters of
    so many `choices`. `slow`: whether comparing keeps several processes busy. `examples`: three references
    that differ, which rehearsals invent and have boxed.
    """

    tests: bool = False
    lettered: bool = False
    slow: bool = False
    examples: tuple[str, str, str] = ("1", "2", "3")


@dataclass(frozen=True, kw_only=True)
class CostTraits(Registered):
    """What the config, the tables and the report know of a cost model.

    `column`: in tables of credits, small letters, digits and underscores. `unit`: of what is counted
    ("FLOPs"). `label`: what is counted, in parentheses beside an axis. `of_tokens`: whether it rests on
    numbers of tokens, which may be an estimate. `needs`: what must be known for it besides them.
    """

    column: str
    unit: str
    label: str
    of_tokens: bool = True
    needs: str = "the sizes of all models"

    @property
    def curves_column(self) -> str:
        """The column of `curves.csv`, where everything is per problem."""
        return curves_column(self.column)


def curves_column(column: str) -> str:
    """The column of `curves.csv` of a column of costs."""
    return f"{column}_per_problem" if column in _PER_PROBLEM else column


_Member = TypeVar("_Member", bound=Registered)


class Registry(Generic[_Member]):
    """Members of one kind by name, in their order.

    `noun`: what one is called in messages. `group`: of other packages' entry points, which refer to a member
    and have its name. `package`: whose modules each have a member of this one as `attribute`.
    """

    def __init__(self, noun: str, group: str, package: str, attribute: str, kind: type[_Member]) -> None:
        self.noun, self.group = noun, group
        self._package, self._attribute, self._kind = package, attribute, kind

    @property
    def names(self) -> tuple[str, ...]:
        """All names in the order of reports."""
        return tuple(self.members)

    def __contains__(self, name: object) -> bool:
        return name in self.members

    def __getitem__(self, name: str) -> _Member:
        """A member by name. Raises UserError for a name that nothing has."""
        if name not in self.members:
            raise UserError(f"{self.noun} {not_among(name, self.names)}")
        return self.members[name]

    @cached_property
    def members(self) -> Mapping[str, _Member]:
        """All members by name. Raises UserError for an entry point that is none, or a name given twice."""
        found = {member.name: member for member in self._shipped()}
        for name, entry in self._entry_points.items():
            if name in found:
                raise UserError(f"{self._called(entry)}: the name is taken; give it another one")
            found[name] = self._load(entry)
        ranked = sorted(found.values(), key=lambda member: (member.order, member.name))
        return MappingProxyType({member.name: member for member in ranked})

    def source(self, name: str) -> Path | None:
        """The file that defines a member of another package; None for one of isoflop."""
        entry = self._entry_points.get(name)
        return None if entry is None else Path(inspect.getfile(importlib.import_module(entry.module)))

    def _shipped(self) -> list[_Member]:
        folder = importlib.import_module(self._package).__path__
        names = [f"{self._package}.{info.name}" for info in pkgutil.iter_modules(folder)]
        return [getattr(importlib.import_module(name), self._attribute) for name in names]

    @cached_property
    def _entry_points(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for entry in entry_points(group=self.group):
            other = found.setdefault(entry.name, entry).value
            if other != entry.value:
                raise UserError(f"{self._called(entry)}: {other} has this name too; remove one")
        return found

    def _called(self, entry: EntryPoint) -> str:
        return f"{self.noun} {entry.name!r} (entry point {entry.value} of group {self.group})"

    def _load(self, entry: EntryPoint) -> _Member:
        try:
            member = entry.load()
        # What a plugin does when it is imported is its own.
        except Exception as error:
            raise UserError(
                f"{self._called(entry)}: cannot be loaded ({error}); repair or remove its package"
            ) from error
        if not isinstance(member, self._kind):
            raise UserError(
                f"{self._called(entry)}: is no {self._kind.__name__}; repair or remove its package"
            )
        pattern, words = member.spelt
        if member.name != entry.name or not re.fullmatch(pattern, member.name):
            raise UserError(
                f"{self._called(entry)}: calls itself {member.name!r}; give it the name of its entry point, "
                f"in {words}"
            )
        return member


SELECTORS = Registry(
    "selector", "isoflop.selectors", "isoflop.selection.selectors", "SELECTOR", SelectorTraits
)
STEP_AGGREGATIONS = Registry(
    "step aggregation",
    "isoflop.step_aggregations",
    "isoflop.selection.aggregations",
    "AGGREGATION",
    Registered,
)
IMPORT_FORMATS = Registry(
    "import format", "isoflop.import_formats", "isoflop.data.formats", "FORMAT", FormatTraits
)
SEARCHES = Registry("search", "isoflop.searches", "isoflop.search.algorithms", "SEARCH", EntryKind)
VERIFIERS = Registry(
    "kind of verifier", "isoflop.verifiers", "isoflop.verifiers.kinds", "VERIFIER", VerifierTraits
)


def entries(
    registry: Registry[Any], base: type[BaseModel], *beside: type[BaseModel]
) -> tuple[type[BaseModel], ...]:
    """The keys of all kinds of a registry, in their order.

    `beside`: the entries of further kinds, which stand in the same place of a config. Raises UserError for
    keys that are no `base`, and for a name that one of these has.
    """
    taken = {name for entry in beside for name in get_args(entry.model_fields["kind"].annotation)}
    for name, kind in registry.members.items():
        if not issubclass(kind.entry, base):
            raise UserError(f"{registry.noun} {name!r}: its entry is no {base.__name__}; make it one")
        if name in taken:
            raise UserError(f"{registry.noun} {name!r}: the name is taken; give it another one")
    return tuple(kind.entry for kind in registry.members.values())


COST_MODELS = Registry("cost model", "isoflop.cost_models", "isoflop.costs.models", "COST_MODEL", CostTraits)

# The cost models that curves of every study are fitted against, and those its claims are tested under.
FITTED_COSTS = ("wu2024", "kaplan", "total")
CLAIM_COSTS = ("wu2024", "total")
# What every table of credits has, in the order of its columns.
_MEASURED_COSTS = ("tokens", *FITTED_COSTS)


def fitted_costs(asked: Iterable[str] = ()) -> tuple[str, ...]:
    """The cost models of a study that asks for some besides those of every study."""
    return tuple(dict.fromkeys((*FITTED_COSTS, *asked)))


def measured_costs(asked: Iterable[str] = ()) -> tuple[str, ...]:
    """The cost models that the tables of such a study have columns of."""
    return tuple(dict.fromkeys((*_MEASURED_COSTS, *asked)))


def cost_columns(names: Iterable[str]) -> tuple[str, ...]:
    """The columns of cost models in tables of credits."""
    return tuple(COST_MODELS[name].column for name in names)


GRADERS = Registry("grader", "isoflop.graders", "isoflop.grading.graders", "GRADER", GraderTraits)


def not_among(name: str, allowed: Sequence[str]) -> str:
    """`'x' is not allowed; did you mean 'y'? (allowed: y, z)`."""
    return f"{name!r} is not allowed{suggest(name, allowed)} (allowed: {', '.join(allowed)})"


@dataclass(frozen=True)
class _Among:
    """For pydantic: text that is one of the names there are when it is read."""

    allowed: Callable[[], Sequence[str]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.allowed())}

    def _check(self, name: str) -> str:
        allowed = self.allowed()
        if name not in allowed:
            raise ValueError(not_among(name, allowed))
        return name


def practical_selectors() -> tuple[str, ...]:
    """The selectors that need no reference answer, in the order of reports."""
    return tuple(name for name, traits in SELECTORS.members.items() if not traits.oracle)


SelectorName = Annotated[str, _Among(lambda: SELECTORS.names)]
"""A selector, checked when it is read."""
ImportFormatName = Annotated[str, _Among(lambda: IMPORT_FORMATS.names)]
"""A format of published solutions."""
GraderName = Annotated[str, _Among(lambda: GRADERS.names)]
"""A grader."""
CostModelName = Annotated[str, _Among(lambda: COST_MODELS.names)]
"""A cost model."""
StepAggregationName = Annotated[str, _Among(lambda: STEP_AGGREGATIONS.names)]
"""A step aggregation."""
