"""A study has the bytes of a run in a clone in another folder, as a module, in a storage, in a container."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake_runs import ROOT, Run, snakemake
from workspace import copy_workflow

CONFIG: dict[str, Any] = {
    "experiment": "small",
    "seed": 1,
    "datasets": {"words": {"source": "wordproblems", "split": "test", "size": 4}},
    "policies": {"small": {"model": "resources/models/policy-0.1M"}},
    "verifiers": {
        "prm": {"kind": "math-shepherd", "model": "resources/models/prm-1.7M", "prompt": "{problem}\n"}
    },
    "generators": {
        "sampling": {"kind": "sampling", "samples": 4, "max_tokens": 224},
        "rebase": {"kind": "rebase", "budgets": [2], "max_tokens": 224, "max_step_tokens": 64},
    },
    "budgets": [1, 2, 4],
    "selectors": ["majority", "weighted"],
    "step_aggregations": ["last"],
    "headline": {"selector": "weighted"},
    "bootstrap": {"draws": 100},
    "engine_settings": {"chunk_problems": 2},
}
TABLES = 20


def run(folder: Path, environment: Mapping[str, str], *options: str, config: str = "config.yaml") -> Run:
    """Snakemake in the folder, with the config there where nothing else says which."""
    path = folder / config
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(CONFIG, sort_keys=False), encoding="utf-8")
    done = snakemake(folder, "--cores", "2", *options, environment=environment)
    assert done.code == 0, done.output[-5000:]
    return done


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, warmed: Mapping[str, str]) -> Path:
    """The results of a run in a clone."""
    folder = tmp_path_factory.mktemp("clone")
    copy_workflow(folder)
    run(folder, warmed)
    return folder / "results"


def files(folder: Path) -> Iterator[Path]:
    """All files that are not hidden or in a hidden folder."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            yield name


def assert_same(found: Path, expected: Path) -> None:
    """The same files of the same bytes, but for what a clock measured, which no two runs share."""
    names, others = (sorted(files(folder)) for folder in (expected, found))
    assert others == names
    timed = {"times", "seconds"}
    timeless = [one for one in names if not (timed & {*one.parts} or one.name.endswith(".times.json"))]
    assert len(timeless) > TABLES
    assert [str(one) for one in timeless if (found / one).read_bytes() != (expected / one).read_bytes()] == []


def test_in_another_folder(plain: Path, tmp_path: Path, warmed: Mapping[str, str]) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    options = ("--snakefile", str(ROOT / "workflow/Snakefile"), "--directory", str(folder))
    run(tmp_path, warmed, *options, "--configfile", "mine.yaml", config="mine.yaml")
    assert_same(folder / "results", plain)
    # The names in it are those of the config, wherever the files are.
    assert str(ROOT) not in (folder / "results/small/report.html").read_text(encoding="utf-8")


MODULE = """
configfile: "config/config.yaml"


module isoflop:
    snakefile:
        {snakefile!r}
    config:
        config


use rule * from isoflop
"""


def test_as_a_module(plain: Path, tmp_path: Path, warmed: Mapping[str, str]) -> None:
    snakefile = tmp_path / "workflow/Snakefile"
    snakefile.parent.mkdir()
    snakefile.write_text(MODULE.format(snakefile=str(ROOT / "workflow/Snakefile")), encoding="utf-8")
    run(tmp_path, warmed, config="config/config.yaml")
    assert_same(tmp_path / "results", plain)


def test_as_a_module_below_a_prefix(plain: Path, tmp_path: Path, warmed: Mapping[str, str]) -> None:
    text = MODULE.replace("use rule", '    prefix:\n        "below"\n\n\nuse rule')
    snakefile = str(ROOT / "Snakefile")
    (tmp_path / "Snakefile").write_text(
        text.format(snakefile=snakefile).replace("from isoflop", "from isoflop as study_*"), encoding="utf-8"
    )
    run(tmp_path, warmed, config="config/config.yaml")
    assert_same(tmp_path / "below/results", plain)
    assert not (tmp_path / "results").exists()


@pytest.mark.skipif(shutil.which("rsync") is None, reason="the storage plugin fs needs rsync")
def test_in_a_storage(plain: Path, tmp_path: Path, warmed: Mapping[str, str]) -> None:
    pytest.importorskip("snakemake_storage_plugin_fs")
    store = tmp_path / "store"
    options = (
        "--snakefile", str(ROOT / "Snakefile"), "--config", "shards=2",
        "--default-storage-provider", "fs", "--default-storage-prefix", str(store),
        "--shared-fs-usage", "none",
    )  # fmt: skip
    folder = tmp_path / "work"
    run(folder, warmed, *options)
    assert_same(store / "results", plain)
    assert list(files(folder / "results")) == []
    # What is in the storage is done, parts that are gone among it.
    again = run(folder, warmed, *options, "--dry-run")
    assert "Nothing to be done" in again.output


# What Snakemake asks of apptainer, with this machine's files for the image's: but for the clone, unless it is
# bound, and with another PATH.
APPTAINER = """#!/usr/bin/env bash
if [ "$1" = --version ]; then echo "apptainer version 1.4.0"; exit; fi
while [ "$1" != exec ]; do shift; done
shift
binds=()
while true; do
    case $1 in
        --home) home=$2 ;;
        --bind)
            IFS=: read -r from to mode <<< "$2"
            if [ "$mode" = ro ]; then binds+=(--ro-bind); else binds+=(--bind); fi
            binds+=("$from" "${{to:-$from}}") ;;
        *) break ;;
    esac
    shift 2
done
[ "$(cat "$1")" = "an image" ] || exit 3
shift
exec bwrap --bind / / --dev /dev --tmpfs {root} --ro-bind {environment} /opt/venv "${{binds[@]}}" \\
    --bind "$home" "$home" --chdir "$home" --setenv PATH /opt/venv/bin:/usr/bin:/bin --unsetenv PYTHONPATH \\
    --setenv IN_A_CONTAINER 1 "$@"
"""


def test_in_a_container(plain: Path, tmp_path: Path) -> None:
    bwrap = ["bwrap", "--bind", "/", "/", "--dev", "/dev", "true"]
    if shutil.which("bwrap") is None or subprocess.run(bwrap, check=False, capture_output=True).returncode:
        pytest.skip("the stand-in for apptainer needs bubblewrap")
    programs = tmp_path / "programs"
    programs.mkdir()
    stand_in = programs / "apptainer"
    stand_in.write_text(APPTAINER.format(root=ROOT, environment=Path(sys.prefix).resolve()), encoding="utf-8")
    stand_in.chmod(0o755)
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "isoflop.sif").write_text("an image", encoding="utf-8")
    options = ("--snakefile", str(ROOT / "Snakefile"), "--sdm", "apptainer", "--printshellcmds")
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    # Of every kind of model a table, and what is picked from them: jobs start cold in a container.
    target = "results/small/select/words/small/sampling.parquet"
    settings = ("--config", "engine_settings={container: isoflop.sif}")
    done = run(folder, path, *options, *settings, "--", target)
    assert "Activating singularity image" in done.output
    made = sorted(files(folder / "results"))
    for name in made:
        if "seconds" not in name.parts and not name.name.endswith(".times.json"):
            assert (folder / "results" / name).read_bytes() == (plain / name).read_bytes(), name
    assert {"problems", "sample", "score", "grade", "select"} <= {name.parts[1] for name in made}
