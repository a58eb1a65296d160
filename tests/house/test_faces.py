"""The faces of the rooms: every name is there, nothing heavy comes with it, and the reference lists it."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from isoflop._lazy import homes
from isoflop.prose.api import PACKAGE, PAGE, api_page

ROOT = Path(__file__).parents[2]
FACES = sorted(file.parent.name for file in PACKAGE.glob("*/__init__.py") if homes(file))
WITH_TORCH = {"engines", "verifiers", "training"}


def test_the_rooms_that_one_can_use_have_faces() -> None:
    assert FACES == [
        "allocation", "claims", "config", "costs", "data", "engines", "fits", "forecast", "grading",
        "pipeline", "report", "search", "selection", "training", "verdicts", "verifiers",
    ]  # fmt: skip


@pytest.mark.parametrize("room", FACES)
def test_every_name_of_a_face_is_there(room: str) -> None:
    face = import_module(f"isoflop.{room}")
    declared = homes(PACKAGE / room / "__init__.py")
    assert sorted(face.__all__) == sorted(declared)
    for name, home in declared.items():
        found = getattr(face, name)
        assert found is getattr(import_module(home), name)
        assert (found.__module__, found.__name__) == (home, name)
        assert name in dir(face)
    with pytest.raises(AttributeError, match=f"module 'isoflop.{room}' has no attribute 'nothing'"):
        _ = face.nothing


def test_a_module_does_not_hide_the_name_it_is_called_by() -> None:
    code = (
        "import isoflop.selection.best_of_k, isoflop.verdicts.judge\n"
        "from isoflop.selection import best_of_k\nfrom isoflop.verdicts import judge\n"
        "assert callable(best_of_k) and callable(judge)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_a_room_loads_none_of_its_modules() -> None:
    rooms = ", ".join(f"isoflop.{room}" for room in FACES)
    code = f"import sys, {rooms}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in run.stdout.split() if name.startswith("isoflop.")}
    assert loaded == {*(f"isoflop.{room}" for room in FACES), "isoflop._lazy"}


def test_faces_of_analysis_load_no_torch() -> None:
    rooms = [room for room in FACES if room not in WITH_TORCH]
    code = (
        "import sys\n"
        + "\n".join(f"from isoflop.{room} import *" for room in rooms)
        + "\nprint(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "vllm"} & set(run.stdout.split())


def test_the_reference_is_that_of_the_faces() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == api_page(), "run `isoflop docs`"
