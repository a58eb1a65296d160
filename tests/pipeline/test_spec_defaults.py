"""Defaults are in no specification, so those of expensive stages are pinned."""

from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel

from isoflop.config.loading import build_config
from isoflop.config.models import Server
from isoflop.pipeline.plan import Plan
from isoflop.specs import (
    ChainLabelsSpec,
    ProblemsSpec,
    ReviseSpec,
    SampleSpec,
    ScoreSpec,
    SearchSpec,
    StepLabelsSpec,
    TrainSpec,
    TrajectoriesSpec,
)


def _defaults(model: type[BaseModel]) -> dict[str, dict[str, str]]:
    """The defaults of `model` and of all models in its fields, by name; of Server none is ever in one."""
    found: dict[str, dict[str, str]] = {Server.__name__: {}}
    waiting: list[object] = [model]
    while waiting:
        kind = waiting.pop()
        waiting += get_args(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__name__ not in found:
            fields = kind.model_fields
            waiting += [field.annotation for field in fields.values()]
            found[kind.__name__] = {
                name: repr(field.get_default(call_default_factory=True))
                for name, field in fields.items()
                if not field.is_required()
            }
    return {name: defaults for name, defaults in sorted(found.items()) if defaults}


def test_defaults_that_expensive_stages_rely_on_are_as_they_were() -> None:
    """They are not in the specification: where one changes, raise the stage's version, then this file."""
    pinned = yaml.safe_load((Path(__file__).parents[1] / "cases" / "spec_defaults.yaml").read_text())
    found = {
        model.__name__: _defaults(model)
        for model in (
            ProblemsSpec,
            SampleSpec,
            SearchSpec,
            ScoreSpec,
            TrainSpec,
            StepLabelsSpec,
            ReviseSpec,
            TrajectoriesSpec,
            ChainLabelsSpec,
        )
    }
    assert found == pinned


def test_a_new_key_with_its_default_changes_no_specification(
    plan: Plan, raw: dict[str, Any], folder: Path
) -> None:
    raw["policies"]["small"] |= {"assumed": False, "dtype": "float32"}
    assert Plan(build_config(raw, "demo.yaml", folder), folder).sample("small", "sampling") == plan.sample(
        "small", "sampling"
    )
    assert "assumed" not in plan.sample("small", "sampling")
