"""The package as a house: short modules in small rooms, no torch in analysis; imports are `make lint`'s."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "isoflop"
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted({module.parent for module in MODULES})
# A stage is a module, so that room grows with the workflow.
MOST_MODULES = {"stages": 25}
ANALYSIS = (
    "config", "grading", "data", "search", "selection", "fits", "verdicts", "allocation", "claims", "report",
    "pipeline", "planted", "growth",
)  # fmt: skip


def test_no_module_is_long() -> None:
    lines = {module: len(module.read_text(encoding="utf-8").splitlines()) for module in MODULES}
    assert [str(module.relative_to(PACKAGE)) for module, count in lines.items() if count > 400] == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(PACKAGE.parent).as_posix())
def test_a_room_is_seen_at_a_glance(room: Path) -> None:
    modules = [module for module in room.glob("*.py") if module.name != "__init__.py"]
    assert len(modules) <= MOST_MODULES.get(room.name, 16)


def test_every_public_module_says_what_it_is() -> None:
    public = [one for one in MODULES if not one.name.startswith("_") or one.name == "__init__.py"]
    silent = [one for one in public if not ast.get_docstring(ast.parse(one.read_text(encoding="utf-8")))]
    assert [str(module.relative_to(PACKAGE)) for module in silent] == []


def test_analysis_is_imported_without_torch() -> None:
    """In one process, a module after the other: the first that brings it is named."""
    names = [
        ".".join(module.relative_to(PACKAGE.parent).with_suffix("").parts)
        for room in ANALYSIS
        for module in sorted((PACKAGE / room).rglob("*.py"))
        if module.name != "__init__.py"
    ]
    code = (
        f"import importlib, sys\nfor name in {names!r}:\n    importlib.import_module(name)\n"
        "    if {'torch', 'transformers', 'vllm'} & sys.modules.keys(): sys.exit(name)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
