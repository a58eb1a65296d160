"""Digests of a stage's code: its own module and every module of the package that it imports."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from isoflop.registries import Registry

PACKAGE = "isoflop"
ROOT = Path(__file__).parents[1]

# These describe what is asked for, which is all in the specification itself, or what a job may use, which
# decides nothing. So a new key or a better message must not count as a change of every stage.
DESCRIPTIONS = (
    f"{PACKAGE}.config",
    f"{PACKAGE}.specs",
    f"{PACKAGE}.messages",
    f"{PACKAGE}.stages.shared.runtime",
)

# Modules that look others up by name: the packages whose modules these are. The config loads searches and
# verifiers too, for their keys; they count only where a stage looks one up to run it.
LOOKED_UP = {
    f"{PACKAGE}.selection.registry": (f"{PACKAGE}.selection.selectors",),
    f"{PACKAGE}.selection.aggregation": (f"{PACKAGE}.selection.aggregations",),
    f"{PACKAGE}.grading.grader": (f"{PACKAGE}.grading.graders",),
    f"{PACKAGE}.data.format": (f"{PACKAGE}.data.formats",),
    f"{PACKAGE}.search.registry": (f"{PACKAGE}.search.algorithms",),
    f"{PACKAGE}.verifiers.registry": (f"{PACKAGE}.verifiers.kinds",),
    f"{PACKAGE}.costs.registry": (f"{PACKAGE}.costs.models",),
}


def describes(module: str) -> bool:
    """Whether a module only describes what is asked for, or what a job may use."""
    return any(module == name or module.startswith(f"{name}.") for name in DESCRIPTIONS)


@cache
def code_digest(module: str, *data: str) -> str:
    """SHA-256 over the sources of `module`'s import closure inside the package, and over `data` folders.

    `module` is a dotted name; `data` are folders of the package whose files the code reads, such as
    templates. The imports are read from the sources, so nothing is executed and nothing outside counts.
    Raises ValueError for a module that does not exist.
    """
    digest = hashlib.sha256()
    files = [module_file(name) for name in import_closure(module)]
    for folder in data:
        files += sorted(path for path in (ROOT / folder).rglob("*") if path.is_file())
    for path in files:
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of one file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def import_closure(module: str) -> tuple[str, ...]:
    """`module` and the package's modules it imports or looks up, at any depth, sorted.

    Descriptions are left out.
    """
    closure: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in closure and not describes(name):
            closure.add(name)
            waiting += _imports(name)
            waiting += [inner for package in LOOKED_UP.get(name, ()) for inner in _modules_of(package)]
    return tuple(sorted(closure))


def module_file(module: str) -> Path:
    """The source of a module of the package. Raises ValueError if there is none."""
    path = _find(module)
    if path is None:
        raise ValueError(f"{module} is not a module of {PACKAGE}")
    return path


def _find(module: str) -> Path | None:
    first, *parts = module.split(".")
    if first != PACKAGE:
        return None
    path = ROOT.joinpath(*parts)
    for candidate in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _modules_of(package: str) -> list[str]:
    return [f"{package}.{path.stem}" for path in module_file(package).parent.glob("[!_]*.py")]


@cache
def _imports(module: str) -> tuple[str, ...]:
    tree = ast.parse(module_file(module).read_bytes())
    return tuple(sorted({name for node in ast.walk(tree) for name in _named(node) if _find(name)}))


def _named(node: ast.AST) -> Iterator[str]:
    """The modules that an import statement of the package may mean."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            # `from isoflop import voting` imports the module, not the package's own name.
            yield inner if _find(inner) else node.module


def plugins(*asked: tuple[Registry[Any], Iterable[str]]) -> dict[str, str]:
    """Digests of the files that define what is asked for and comes from other packages, by its name.

    Where two things of different registries have one name, the later one's is said with what it is.
    """
    digests: dict[str, str] = {}
    for registry, names in asked:
        for name in dict.fromkeys(names):
            path = registry.source(name)
            if path is not None:
                digests[f"{registry.noun} {name}" if name in digests else name] = file_digest(path)
    return digests
