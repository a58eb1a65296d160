"""The default experiment, reduced, as jobs of a real SLURM on this machine: `make test-slurm` runs it.

One job is stopped until its time limit ends it, another is killed: both are submitted again, and the tables
are those of a local run in one piece.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]
SET_UP = ROOT / "tests" / "slurm" / "cluster.sh"
POLICIES = ("policy-0.1M", "policy-0.3M")

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("ISOFLOP_TEST_SLURM") != "1",
        reason="sets up a SLURM on this machine, as root: make test-slurm does it",
    ),
    pytest.mark.timeout(3000),
]


def reduced() -> dict[str, Any]:
    """The default experiment with two policies, fewer problems and samples, one search, nothing greedy."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config["policies"] = {name: config["policies"][name] for name in POLICIES}
    config["datasets"]["wordproblems"]["size"] = 24
    # What needs other policies, or a greedy solution.
    del config["generators"]["greedy"], config["exchange"]
    config["generators"]["sampling"]["samples"] = 8
    config["generators"]["rebase"]["budgets"] = [4]
    config["budgets"] = [1, 2, 4, 8]
    config["bootstrap"]["draws"] = 100
    config["engine_settings"] = {"chunk_problems": 3}
    return config


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a SLURM that is up; its clients find it by SLURM_CONF."""
    folder = tmp_path_factory.mktemp("slurm")
    try:
        up = subprocess.run([SET_UP, "up", folder], capture_output=True, text=True, check=False, timeout=300)
        if up.returncode:
            pytest.skip(f"there can be no SLURM here: {up.stderr.strip()}")
        yield folder
    finally:
        subprocess.run([SET_UP, "down", folder], check=True, timeout=60)


def snakemake(folder: Path, *options: str) -> list[str]:
    config = folder / "reduced.yaml"
    config.write_text(yaml.safe_dump(reduced(), sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    return [*command, "--directory", str(folder), "--configfile", str(config), *options]


def on_slurm(slurm: Path, folder: Path) -> tuple[list[str], dict[str, str]]:
    """The command, and the environment: no interpreter is on the PATH that knows isoflop."""
    options = (
        "--profile", str(ROOT / "profiles" / "slurm"),
        "--config", "shards=2",
        "--slurm-init-seconds-before-status-checks", "1",
        # The limit that ends the stopped job, in minutes; every other attempt has more.
        "--set-resources", f"search:runtime=attempt if wildcards.policy == '{POLICIES[1]}' else 30",
        "search:mem_mb=2000*attempt",
        "sample:mem_mb=2000*attempt", "sample:gpu=1", "score:mem_mb=2000*attempt",
        "--default-resources", "mem_mb=1000*attempt", "runtime=30",
        "--retries", "4",
        # No job wider than this node.
        "--cores", str(min(2, os.cpu_count() or 1)),
    )  # fmt: skip
    environment = os.environ | {"SLURM_CONF": str(slurm / "slurm.conf"), "PYTHONPATH": ""}
    environment["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return snakemake(folder, *options), environment


def stages(folder: Path, *words: str) -> Iterator[int]:
    """Processes of the run in `folder` whose command has all the words."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = (process / "cwd").resolve() == folder.resolve()
            command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if here and command[1:2] == ["-m"] and all(any(word in one for one in command) for word in words):
            yield int(process.name)


def wait_for(found: Callable[[], Any], running: "subprocess.Popen[bytes]") -> Any:
    while not (what := found()):
        assert running.poll() is None, "the run ended first"
        time.sleep(0.01)
    return what


def _kill(folder: Path, run: "subprocess.Popen[bytes]", done: list[str]) -> None:
    """Kill a sampling job's stage."""
    [stage, *_] = wait_for(
        lambda: list(stages(folder, "isoflop.stages.sample", "sampling.shards/2-of-2")), run
    )
    os.kill(stage, signal.SIGKILL)
    done.append("killed")


def _stop(folder: Path, run: "subprocess.Popen[bytes]", done: list[str]) -> None:
    """Stop a search after its first chunk, for its limit to end."""
    place = f"search/wordproblems/{POLICIES[1]}/rebase"
    chunk = f"results/shipped/{place}/.4.parquet.*.chunks/000000.parquet"
    wait_for(lambda: list(folder.glob(chunk)), run)
    found = wait_for(lambda: list(stages(folder, "isoflop.stages.search", f"{place}/4.shards/1-of-2")), run)
    os.kill(found[0], signal.SIGSTOP)
    done.append("stopped")


@pytest.fixture(scope="module")
def finished(slurm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("on_slurm")
    command, environment = on_slurm(slurm, folder)
    with (folder / "out.txt").open("wb") as log:
        run = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        done: list[str] = []
        disturbers = [threading.Thread(target=one, args=(folder, run, done)) for one in (_kill, _stop)]
        for one in disturbers:
            one.start()
        try:
            code = run.wait(timeout=2400)
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGTERM)
                run.wait(timeout=60)
            for one in disturbers:
                one.join()
    assert code == 0, (folder / "out.txt").read_text(encoding="utf-8")[-5000:]
    assert sorted(done) == ["killed", "stopped"]
    return folder


def jobs(slurm: Path) -> pd.DataFrame:
    """State, time limit, GPUs and rule of every SLURM job, in the order of submission."""
    columns = "State:|,TimeLimit:|,tres-per-job:|,Comment:500"
    listed = subprocess.run(
        ["squeue", "--states=all", "--noheader", "--sort=i", f"--Format={columns}"],
        env=os.environ | {"SLURM_CONF": str(slurm / "slurm.conf")},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rows = [line.strip().split("|") for line in listed.splitlines()]
    return pd.DataFrame(rows, columns=["state", "limit", "gpus", "what"])


def test_tables_are_those_of_a_local_run(finished: Path, tmp_path: Path) -> None:
    local = subprocess.run(snakemake(tmp_path, "--cores", "2"), capture_output=True, text=True, check=False)
    assert local.returncode == 0, local.stderr
    kept = "results/shipped"
    names = sorted(path.name for path in (tmp_path / kept / "tables").iterdir())
    assert len(names) >= 8
    assert sorted(path.name for path in (finished / kept / "tables").iterdir()) == names
    differing = [
        name
        for name in names
        if (tmp_path / kept / "tables" / name).read_bytes()
        != (finished / kept / "tables" / name).read_bytes()
    ]
    assert differing == []
    for stage in ("problems", "sample", "search", "score", "grade"):
        for path in sorted((tmp_path / kept / stage).rglob("*.parquet")):
            if not path.name.endswith(".usage.parquet"):
                twin = finished / path.relative_to(tmp_path)
                assert twin.read_bytes() == path.read_bytes(), path


def test_a_job_beyond_its_time_limit_is_given_more_and_goes_on_from_its_chunks(
    finished: Path, slurm: Path
) -> None:
    part = "rebase/4.shards/1-of-2-by-3"
    log = (finished / f"logs/shipped/search/wordproblems/policy-0.3M/{part}.log").read_text()
    searched = re.findall(r"(\d+)/(\d+), ", log)[-1]
    assert searched[0] == searched[1]
    assert int(searched[1]) <= 9, "of 12 problems at least the first chunk's 3 were kept"
    seen = jobs(slurm)
    own = seen[seen["what"].str.contains("search") & seen["what"].str.contains("policy-0.3M")]
    assert "TIMEOUT" in set(own["state"])
    assert {"1:00", "2:00"} <= set(own["limit"])


def test_a_job_that_fails_is_submitted_again(finished: Path, slurm: Path) -> None:
    seen = jobs(slurm)
    failed = seen[seen["state"] == "FAILED"]
    assert len(failed) == 1
    again = seen[seen["what"] == failed["what"].iloc[0]]
    assert list(again["state"]) == ["FAILED", "COMPLETED"]


def test_jobs_ask_for_gpus_and_are_submitted_each_on_its_own(finished: Path, slurm: Path) -> None:
    seen = jobs(slurm)
    sampled = seen["what"].str.contains("rule_sample")
    assert seen[sampled]["gpus"].str.contains("gpu").all()
    assert not seen[~sampled]["gpus"].str.contains("gpu").any()
    # A failing one takes no other's output with it.
    assert not seen["what"].str.contains("group").any()
    graded = seen[seen["what"].str.contains("rule_grade") & (seen["state"] == "COMPLETED")]
    assert len(graded) == 2 * len(POLICIES)
