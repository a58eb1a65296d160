"""A study that grows, through Snakemake: what runs again takes up what is there, and makes the same bytes."""

import shutil
from pathlib import Path

import pytest
from growing import assert_same
from workspace import Run, copy_workflow, planned, snakemake

from isoflop.rehearsal.tiny_models import save_tiny

CONFIG = """\
experiment: tiny
seed: 1
datasets:
  words: {source: wordproblems, split: test, size: 4}
policies:
  small: {model: models/small}
verifiers:
  prm: {kind: math-shepherd, model: models/prm}
generators:
  sampling: {kind: sampling, samples: 4, temperature: 1.0, max_tokens: 24}
budgets: [1, 2, 4]
selectors: [majority, weighted]
step_aggregations: [last]
headline: {selector: weighted}
"""
GROWN = CONFIG.replace("size: 4", "size: 5").replace("samples: 4", "samples: 8")
TABLES = {
    "sample": "results/tiny/sample/words/small/sampling.parquet",
    "score": "results/tiny/score/words/small/sampling/prm.parquet",
}


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workflow") / "copy"
    folder.mkdir()
    copy_workflow(folder)
    save_tiny(folder / "models/small", scale=1.0)
    save_tiny(folder / "models/prm", seed=7)
    return folder


def run(folder: Path, config: str, *arguments: str) -> Run:
    """Snakemake on the tables of samples and scores."""
    (folder / "tiny.yaml").write_text(config, encoding="utf-8")
    return snakemake(folder, "--configfile", "tiny.yaml", "--cores", "1", *arguments, "--", *TABLES.values())


def finished(folder: Path, config: str) -> None:
    """Run it to its end."""
    done = run(folder, config)
    assert done.code == 0, done.output


def test_a_study_grows_to_the_bytes_of_one_from_nothing(workflow: Path, tmp_path: Path) -> None:
    grown, alone = tmp_path / "grown", tmp_path / "alone"
    for folder in (grown, alone):
        shutil.copytree(workflow, folder, symlinks=True)
    finished(grown, CONFIG)
    before = {path: (grown / path).read_bytes() for path in TABLES.values()}

    # A job that fails leaves the table that it was to replace: no prompt is so short.
    failed = run(grown, CONFIG.replace("max_tokens: 24", "max_tokens: 510"))
    assert failed.code == 1
    assert "exceed the model's 512 positions" in failed.output
    assert {path: (grown / path).read_bytes() for path in TABLES.values()} == before

    assert planned(run(grown, GROWN, "-n")) == {"problems": 1, "sample": 1, "score": 1}
    finished(grown, GROWN)
    for stage in TABLES:
        [log] = (grown / "logs/tiny" / stage).rglob("*.log")
        told = log.read_text(encoding="utf-8")
        assert "16 taken up from results/tiny" in told
        assert "24/24" in told
    finished(alone, GROWN)
    for path in TABLES.values():
        assert_same(grown / path, alone / path)
    assert planned(run(grown, GROWN, "-n")) == {}
    assert not list((grown / "results").rglob(".*"))
