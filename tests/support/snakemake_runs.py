"""Snakemake as a command line runs it, without its start-up: forked from a process that has the imports."""

import multiprocessing
import os
import re
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from isoflop.pipeline import code_digest as digests

ROOT = Path(__file__).parents[2]

# They are most of a dry run's time.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["snakemake.cli", "isoflop.pipeline.plan", "isoflop.pipeline.plan_report"])


@dataclass(frozen=True)
class Run:
    """How a run of snakemake ended, and all it printed."""

    code: int
    output: str


def snakemake(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Run:
    """Run snakemake in `folder`; digests are those of the package that lies there, if any does."""
    log = folder / "snakemake.out"
    # Stages start warm where their environment is the server's, which knows of no test.
    given = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    given |= environment or {}
    process = _PROCESSES.Process(target=_snakemake, args=(folder, arguments, log, given))
    process.start()
    process.join()
    assert process.exitcode is not None
    return Run(process.exitcode, log.read_text(encoding="utf-8"))


def study(folder: Path, *configs: str, warmed: Mapping[str, str], options: tuple[str, ...] = ()) -> Run:
    """The repository's workflow in `folder`, its stages warm, on these configs."""
    workflow = ("--snakefile", str(ROOT / "Snakefile"), "--cores", "2")
    return snakemake(folder, *options, *workflow, "--configfile", *configs, environment=warmed)


def _snakemake(folder: Path, arguments: tuple[str, ...], log: Path, environment: dict[str, str]) -> None:
    from snakemake.cli import main

    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if (folder / "src/isoflop").is_dir():
        digests.ROOT = folder / "src/isoflop"
    code = 1
    try:
        main(list(arguments))
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def planned(run: Run) -> Mapping[str, int]:
    """Rules and numbers of their jobs that a dry run announced, without the target rule."""
    assert run.code == 0, run.output
    if "Nothing to be done" in run.output:
        return {}
    table = run.output.split("Job stats:", 1)[1].split("total", 1)[0]
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
    return {name: count for name, count in jobs.items() if name != "all"}
