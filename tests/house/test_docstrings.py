"""What can be imported from the rooms of formulas says what it takes: numpydoc sections that name everything.

A function with parameters has a section `Parameters` that names each, a class with fields a section
`Attributes`. A method that overrides one may say "See `Class`" instead, where that one is described.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "isoflop"
ROOMS = ("selection", "fits", "allocation", "search", "costs")
MODULES = sorted(
    file for room in ROOMS for file in (PACKAGE / room).rglob("*.py") if file.name != "__init__.py"
)


@pytest.mark.parametrize("module", MODULES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_public_docstrings_name_what_is_given(module: Path) -> None:
    assert list(_omissions(ast.parse(module.read_text(encoding="utf-8")), _methods(module))) == []


TAKES = 'def f({}):\n    """F.\n\n    Parameters\n    ----------\n    {}\n        Numbers.\n    """'
HAS = 'class C:\n    """C.\n\n    Attributes\n    ----------\n    x\n        A number.\n    """\n'


@pytest.mark.parametrize(
    ("source", "omissions"),
    [
        (TAKES.format("x, *, y=1", "x, y"), []),
        (TAKES.format("x, y", "x"), ["f: y"]),
        ('def f(x):\n    """F of `x`."""', ["f: x"]),
        ('def f():\n    """F."""', []),
        ('def _f(x):\n    """F."""', []),
        (HAS + "    x: int\n    _y: int", []),
        (HAS + '    x: int\n    y: int\n    def f(self, z):\n        """F."""', ["C: y", "C.f: z"]),
        ('class C:\n    """C."""\n    x: int\n    """A number."""\n    y: int', ["C: y"]),
        ('class C(B):\n    """C."""\n    def f(self, x):\n        """See `B`."""', []),
        ('class C(B):\n    """C."""\n    def f(self, x):\n        """See `C`."""', ["C.f: x"]),
        ('class C(B):\n    """C."""\n    def g(self, x):\n        """See `B`."""', ["C.g: x"]),
    ],
)
def test_what_is_left_out_is_found(source: str, omissions: list[str]) -> None:
    assert list(_omissions(ast.parse(source), {"B.f", "C.f"})) == omissions


def _omissions(tree: ast.Module | ast.ClassDef, described: set[str], prefix: str = "") -> Iterator[str]:
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        text = ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef):
            yield from _left_out(f"{prefix}{node.name}", _fields(node), _named(text, "Attributes"))
            yield from _omissions(node, described, f"{node.name}.")
        elif not {f"{name}.{node.name}" for name in re.findall(r"^See `(\w+)`", text)} & (
            described - {f"{prefix}{node.name}"}
        ):
            yield from _left_out(f"{prefix}{node.name}", _parameters(node), _named(text, "Parameters"))


def _left_out(name: str, given: list[str], named: set[str]) -> list[str]:
    return [f"{name}: {one}" for one in given if one not in named]


def _parameters(node: ast.FunctionDef) -> list[str]:
    arguments = node.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    names += [one.arg for one in (arguments.vararg, arguments.kwarg) if one is not None]
    return [name for name in names if name not in ("self", "cls")]


def _fields(node: ast.ClassDef) -> list[str]:
    """The fields of a class, without those that a text right after them describes, as keys of the config."""
    followed = zip(node.body, [*node.body[1:], None], strict=True)
    targets = [
        one.target for one, after in followed if isinstance(one, ast.AnnAssign) and not _is_text(after)
    ]
    return [one.id for one in targets if isinstance(one, ast.Name) and not one.id.startswith("_")]


def _is_text(node: ast.stmt | None) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _named(docstring: str, section: str) -> set[str]:
    """The names that a section of a docstring describes: those at its margin."""
    _, _, rest = docstring.partition(f"{section}\n{'-' * len(section)}\n")
    body = re.split(r"\n\n?[A-Z]\w+\n-{3,}\n", rest)[0]
    lines = [line for line in body.splitlines() if line and not line.startswith(" ")]
    return {name for line in lines for name in line.split(", ")}


def _methods(module: Path) -> set[str]:
    """The methods of the public classes of a module's room, as `Class.method`."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in module.parent.glob("*.py")]
    classes = [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    return {
        f"{node.name}.{method.name}"
        for node in classes
        for method in node.body
        if isinstance(method, ast.FunctionDef)
    }
