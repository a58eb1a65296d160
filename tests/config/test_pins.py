"""One file of pins: the conda environments and the package's requirements agree with it."""

import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("update", ROOT / "envs" / "update.py")
assert SPEC is not None
assert SPEC.loader is not None
update = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(update)
PINS = update.pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(update.ENVIRONMENTS))
def test_environments_are_up_to_date(name: str) -> None:
    text = (ROOT / "envs" / f"{name}.yaml").read_text(encoding="utf-8")
    assert text == update.environment(name, PINS), "run: python envs/update.py"
    packages = yaml.safe_load(text)["dependencies"][-1]["pip"]
    assert all("==" in package or package.startswith("--") for package in packages)


def _required(project: dict[str, Any]) -> list[str]:
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *extras["dev"], *extras["slurm"]]


def test_every_requirement_is_pinned_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in _required(project):
        name, least = re.fullmatch(r"([\w-]+)(?:>=([\d.]+))?", requirement).groups()
        pinned = PINS.get(name.lower()) or PINS.get(name.lower().replace("-", "_"))
        assert pinned, f"{name} is not in constraints.txt"
        if least:
            version = [int(part) for part in re.findall(r"\d+", pinned)]
            assert version >= [int(part) for part in least.split(".")]
