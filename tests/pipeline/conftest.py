"""A small study, its folder, and what is planned of it."""

from pathlib import Path
from typing import Any

import pytest
from planned_study import demo_study

from isoflop.config.loading import build_config
from isoflop.pipeline.plan import Plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models/small").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "README.md", ".cache"):
        (tmp_path / "models/small" / name).write_text("{}")
    (tmp_path / "own.csv").write_text("q,a\n1+1,2\n")
    return tmp_path


@pytest.fixture
def raw() -> dict[str, Any]:
    return demo_study()


@pytest.fixture
def plan(raw: dict[str, Any], folder: Path) -> Plan:
    return Plan(build_config(raw, "demo.yaml", folder), folder)
