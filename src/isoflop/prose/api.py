"""The reference page of the package's faces: every name with its signature and the first line about it."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from isoflop._lazy import homes
from isoflop.files import write_text

PAGE = Path("docs/reference/api.md")
PACKAGE = Path(__file__).parents[1]

_INTRODUCTION = """\
<!-- Written by `isoflop docs` from the faces of src/isoflop/*/__init__.py; edit the docstrings instead. -->
# The library

What a notebook or another program imports: `from isoflop.selection import accuracy_at_k`. Importing a room
loads none of its modules; a name loads its own when first asked for. What is not listed may change at any
time. [A notebook-sized example](../tutorial/notebook.md) uses it.

`Floats`, `Ints` and `Bools` are NumPy arrays of float64, int64 and bool; docstrings have their axes in
brackets: [problems, budgets].
"""

_Definition = ast.FunctionDef | ast.ClassDef


def api_page() -> str:
    """The page, from the sources alone: nothing is imported."""
    return "\n".join([_INTRODUCTION, *_rooms()])


def write_api(root: Path) -> None:
    """Write the page under `root`."""
    write_text(root / PAGE, api_page())


def _rooms() -> Iterator[str]:
    for file in sorted(PACKAGE.glob("*/__init__.py")):
        declared = homes(file)
        if declared:
            yield f"## isoflop.{file.parent.name}\n\n{_first_line(_tree(file))}\n"
            for name, home in sorted(declared.items(), key=lambda one: one[0].lower()):
                yield _entry(_definitions(_source(home))[name])
            yield ""


def _entry(node: _Definition) -> str:
    signature = node.name
    if isinstance(node, ast.FunctionDef):
        result = "" if node.returns is None else f" -> {_text(node.returns)}"
        signature += f"({_text(node.args)}){result}"
    else:
        signature = f"class {signature}"
    return f"- `{signature}`  \n  {_first_line(node)}"


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def _first_line(node: ast.Module | _Definition) -> str:
    return (ast.get_docstring(node) or "").split("\n", 1)[0]


def _source(module: str) -> Path:
    return PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")


def _definitions(file: Path) -> dict[str, _Definition]:
    return {node.name: node for node in _tree(file).body if isinstance(node, _Definition)}


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())
