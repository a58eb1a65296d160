"""Faces of rooms: names that a room's `__init__` declares, each imported when first asked for.

The declarations are the imports under `if TYPE_CHECKING`, which type checkers read too. So importing a room
loads none of its modules.
"""

import ast
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any


class _Face(ModuleType):
    """A room with a face; a module that is called like a name of the face (`best_of_k`) does not hide it."""

    def __getattr__(self, name: str) -> Any:
        if name not in self.__dict__["_homes"]:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(import_module(self._homes[name]), name)

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in self._homes):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._homes})


def face(room: str) -> None:
    """Give the room's package its face; called at the end of its `__init__`."""
    module = sys.modules[room]
    module.__dict__["_homes"] = homes(Path(str(module.__file__)))
    module.__class__ = _Face


def homes(file: Path) -> dict[str, str]:
    """The module of every name that an `__init__` declares."""
    return {
        alias.name: str(node.module)
        for block in ast.parse(file.read_bytes()).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
