"""A study that grows, through Snakemake: what runs again takes up what is there, and makes the same bytes."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from growing import assert_same
from snakemake_runs import Run, planned, snakemake
from workspace import copy_workflow

from isoflop import cli

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "grow.md").read_text(encoding="utf-8")
CONFIG, COMMANDS, PRINTED, _ = re.findall(r"^```(?:yaml)?\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
TABLES = {
    "sample": "results/growing/sample/words/small/sampling.parquet",
    "score": "results/growing/score/words/small/sampling/prm.parquet",
}


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workflow") / "copy"
    folder.mkdir()
    copy_workflow(folder)
    (folder / "study.yaml").write_text(CONFIG, encoding="utf-8")
    _, edit, _ = COMMANDS.splitlines()
    subprocess.run(edit, shell=True, cwd=folder, check=True)
    return folder


def run(folder: Path, config: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Run:
    """Snakemake on the tables of samples and scores."""
    options = ("--configfile", config, "--cores", "1", *arguments, "--", *TABLES.values())
    return snakemake(folder, *options, environment=environment)


def finished(folder: Path, config: str, warmed: Mapping[str, str]) -> None:
    """Run it to its end; stages start warm, for the copy's code is the repository's."""
    done = run(folder, config, environment=warmed)
    assert done.code == 0, done.output


def test_a_study_grows_to_the_bytes_of_one_from_nothing(
    workflow: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    warmed: Mapping[str, str],
) -> None:
    grown, alone = tmp_path / "grown", tmp_path / "alone"
    for folder in (grown, alone):
        shutil.copytree(workflow, folder, symlinks=True)
    finished(grown, "study.yaml", warmed)

    # A job that fails has lost its output, but nothing of what was in it.
    code = grown / "src/isoflop/stages/shared/grown.py"
    whole = code.read_text(encoding="utf-8")
    code.write_text(whole.replace("    worker.line.close()", "    raise SystemExit(3)"), encoding="utf-8")
    assert run(grown, "larger.yaml").code == 1
    code.write_text(whole, encoding="utf-8")
    assert not (grown / TABLES["sample"]).exists()
    shutil.rmtree(next((grown / "results").rglob(".*.chunks")))

    assert planned(run(grown, "larger.yaml", "-n")) == {"sample": 1, "score": 1}
    monkeypatch.chdir(grown)
    cli.main(COMMANDS.splitlines()[-1].split()[1:])
    assert capsys.readouterr().out == PRINTED
    finished(grown, "larger.yaml", warmed)
    for stage in TABLES:
        [log] = (grown / "logs/growing" / stage).rglob("*.log")
        told = log.read_text(encoding="utf-8")
        assert "taken up from results/growing" in told
        assert "24/24" in told or stage == "score"
    finished(alone, "larger.yaml", warmed)
    for path in TABLES.values():
        assert_same(grown / path, alone / path)
    assert planned(run(grown, "larger.yaml", "-n")) == {}
    assert not list((grown / "results").rglob(".*.chunks"))
