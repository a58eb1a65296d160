"""Foreign rows under the names of a format: columns mapped, rows filtered, what nobody reads named.

A path names a column, or leads into it: `response.body.usage.completion_tokens`, `choices.0.message.content`
(an element of a list, -1 for the last), `samples.*.text` (of every element).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from isoflop.data.foreign_schemas import advice, flow, recognised
from isoflop.data.rows import Row
from isoflop.errors import UserError
from isoflop.messages import suggest
from isoflop.registries import FormatTraits

# Where a mapped row has the scores of several verifiers, by name, and what its steps end with.
VERIFIERS, STEP_SEPARATOR = "verifiers", "step separator"
_EVERY = "*"
# Columns that tell whose solution a row is: rows of several models are not one model's.
_WRITERS = ("model", "model_name", "model_id", "model_path", "policy", "generator_model")
_MOST_SHOWN = 8
_EXACT = 2**53  # whole numbers from here on are rounded as floats


@dataclass(frozen=True)
class Layout:
    """How rows are laid out.

    `columns`: the path of each of the format's columns that is called otherwise. `where`: values that a path
    may have in the rows that are kept. `verifiers`: the path of each verifier's scores. `ignore`: columns
    that are left unread (`*`: all that are not known). `step_separator`: what steps of a text end with.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    verifiers: Mapping[str, str] = field(default_factory=dict)
    ignore: Sequence[str] = ()
    step_separator: str | None = None


@dataclass
class Reading:
    """What became of a file's rows: how many were kept, and which columns nobody read."""

    rows: int = 0
    kept: int = 0
    unread: dict[str, None] = field(default_factory=dict)


def laid_out(rows: Iterable[Row], traits: FormatTraits, layout: Layout, reading: Reading) -> Iterator[Row]:
    """The rows that are kept, under the format's names; counts in `reading`.

    Raises UserError naming the row: a path that leads nowhere, a column that is not known while one that the
    format reads is missing, rows of another schema or of several models, and where no row is kept.
    """
    known: dict[tuple[str, ...], bool] = {}
    writers: dict[str, str] = {}
    seen: dict[str, dict[str, None]] = {path: {} for path in layout.where}
    for place, values in rows:
        reading.rows += 1
        if reading.rows == 1:
            _check_schema(values, traits, layout, place)
        if not _is_wanted(values, layout.where, seen):
            continue
        reading.kept += 1
        _check_writers(values, layout, writers, place)
        mapped = _mapped(values, layout, place)
        names = tuple(values)
        if traits.reads and not known.get(names, False):
            _check_names(values, mapped, traits, layout, reading, place)
            known[names] = True
        yield place, mapped
    if reading.rows and not reading.kept:
        found = "; ".join(
            f"{path} is {', '.join(list(values)[:_MOST_SHOWN]) or 'in no row'}"
            for path, values in seen.items()
        )
        raise UserError(f"where: keeps none of {reading.rows} rows; {found}")


def value_at(values: object, path: str) -> object:
    """What a path leads to; raises KeyError with the part that is not there."""
    if isinstance(values, Mapping) and path in values:
        return values[path]
    head, _, rest = path.partition(".")
    if isinstance(values, Mapping):
        if head not in values:
            raise KeyError(head)
        found: object = values[head]
    elif isinstance(values, list) and head == _EVERY:
        return [value_at(one, rest) if rest else one for one in values]
    elif isinstance(values, list) and head.removeprefix("-").isdecimal() and len(head) < _MOST_SHOWN:
        if not -len(values) <= int(head) < len(values):
            raise KeyError(head)
        found = values[int(head)]
    else:
        raise KeyError(head)
    return value_at(found, rest) if rest else found


def as_written(value: object) -> str:
    """A value as text, to be compared with what a config says: numbers and truth values as JSON has them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return str(value)


def ways_to_write(value: object) -> tuple[str, ...]:
    """A value as text, and a number also as it was written: 1.0 is `1` and `1.0`."""
    return tuple(dict.fromkeys((as_written(value), *([str(value)] if isinstance(value, float) else []))))


def written(values: str | int | bool | Sequence[str | int | bool]) -> tuple[str, ...]:
    """The values that a config allows, one or several, as text."""
    return (as_written(values),) if isinstance(values, str | int) else tuple(map(as_written, values))


def _top(path: str, values: Mapping[str, object]) -> str:
    """The column that a path begins with."""
    return path if path in values else path.partition(".")[0]


def _mapped(values: Mapping[str, object], layout: Layout, place: str) -> dict[str, object]:
    used = {_top(path, values) for path in (*layout.columns.values(), *layout.verifiers.values())}
    result = {name: value for name, value in values.items() if name not in used and name not in layout.ignore}
    for name, path in layout.columns.items():
        result[name] = _found(values, path, f"columns.{name}", place)
    if layout.verifiers:
        result[VERIFIERS] = {
            name: _found(values, path, f"verifiers.{name}", place) for name, path in layout.verifiers.items()
        }
    if layout.step_separator is not None:
        result[STEP_SEPARATOR] = layout.step_separator
    return result


def _found(values: Mapping[str, object], path: str, key: str, place: str) -> object:
    try:
        return value_at(values, path)
    except KeyError as error:
        raise UserError(
            f"{place}: {key} is {path!r}, but there is no {error.args[0]!r}"
            f"{suggest(str(error.args[0]), list(values))}; the row has {', '.join(values)}"
        ) from error


def _is_wanted(
    values: Mapping[str, object], where: Mapping[str, Sequence[str]], seen: Mapping[str, dict[str, None]]
) -> bool:
    """Whether a row has what is wanted; one without the field, such as a header of a log, has not."""
    wanted = True
    for path, allowed in where.items():
        try:
            texts = ways_to_write(value_at(values, path))
        except KeyError:
            wanted = False
            continue
        if len(seen[path]) <= _MOST_SHOWN:
            seen[path].setdefault(f"{texts[0]:.60}")
        wanted = wanted and any(text in allowed for text in texts)
    return wanted


def _check_writers(values: Mapping[str, object], layout: Layout, writers: dict[str, str], place: str) -> None:
    for name in _WRITERS:
        if name not in values or name in map(_head, layout.where):
            continue
        text = str(values[name])
        first = writers.setdefault(name, text)
        if text != first:
            raise UserError(
                f"{place}: {name} is '{text:.60}', and '{first:.60}' in the rows before; "
                f"choose the policy's own rows, for example with `where: {flow({name: first[:60]})}`"
            )


def _head(path: str) -> str:
    return path.partition(".")[0]


def _check_schema(values: Mapping[str, object], traits: FormatTraits, layout: Layout, place: str) -> None:
    """Another schema is refused with the mapping to write."""
    if layout.columns:
        return
    schema = recognised(values)
    if schema is not None and (schema.mapping or schema.format != traits.name):
        raise UserError(
            f"{place}: looks like {schema.name}, not format {traits.name}; {schema.config(values)}"
        )


def _check_names(
    values: Mapping[str, object],
    mapped: Mapping[str, object],
    traits: FormatTraits,
    layout: Layout,
    reading: Reading,
    place: str,
) -> None:
    """An unknown column may be a missing one under another name; where none is missing, it is only named."""
    used = {_top(path, values) for path in (*layout.columns.values(), *layout.verifiers.values())}
    named = {*used, *map(_head, layout.where), *layout.ignore, *traits.columns}
    unknown = [
        name
        for name in values
        if name not in named and not any(fnmatchcase(name, pattern) for pattern in traits.knows)
    ]
    reading.unread.update(dict.fromkeys(unknown))
    if not unknown or _EVERY in layout.ignore:
        return
    absent = [names for names in traits.reads if not any(name in mapped for name in names)]
    if absent:
        raise UserError(
            f"{place}: columns that format {traits.name} does not know: {', '.join(unknown)}"
            f"{advice(unknown, [name for names in absent for name in names])}; say what they are in "
            f"`columns`, or leave them unread with `ignore: {flow(unknown)}`"
        )
