"""Rows are told apart by the weights of their models, wherever a run has these."""

from pathlib import Path

import pytest

from isoflop.config.generators import Sampling
from isoflop.config.models import Policy
from isoflop.growth.wanted import sample_rows
from isoflop.specs import SampleSpec
from isoflop.stages.shared.grown import placed

TRAINED = "results/study/train/m"
SHIPPED = "resources/models/policy-0.1M"


def identity(model: str, out: str) -> str:
    generator = Sampling(kind="sampling", samples=2, max_tokens=8)
    spec = SampleSpec(policy=Policy(model=model), generator=generator, seed=1, version=1)
    return placed(sample_rows(spec), out).identity


def test_a_trained_model_is_read_beside_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, weights in (("", "a"), ("below/", "a"), ("other/", "b")):
        model = tmp_path / folder / TRAINED
        model.mkdir(parents=True)
        (model / "model.safetensors").write_text(weights, encoding="utf-8")
    plain, below, other = (
        identity(TRAINED, f"{folder}results/study/sample/words/m/s.parquet")
        for folder in ("", "below/", "other/")
    )
    assert plain == below
    assert plain != other


def test_a_shipped_model_is_the_same_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    here = identity(SHIPPED, "results/study/sample/words/m/s.parquet")
    monkeypatch.chdir(tmp_path)
    assert identity(SHIPPED, "results/study/sample/words/m/s.parquet") == here
    assert identity("resources/models/policy-0.3M", "results/study/sample/words/m/s.parquet") != here
