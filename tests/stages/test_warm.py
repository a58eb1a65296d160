"""Warm stages: what the ordinary start would have done, in files, output, exit codes and signals."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from isoflop.files import write_table
from isoflop.specs import GradeSpec
from isoflop.stages.shared.warm import OF_JOBS, warm, warm_for_this_process
from isoflop.tables import CANDIDATES
from isoflop.tables import PROBLEMS as PROBLEM_COLUMNS

PACKAGE = Path(__file__).parents[2] / "src" / "isoflop"
PROGRAMS = str(Path(sys.executable).parent)
SPEC = GradeSpec(grader="number", code="").model_dump_json()
# It reads its specification from standard input, and waits there.
WAITS = "python -m isoflop.stages.grade - problems.parquet candidates.parquet out.parquet"


@pytest.fixture(scope="module")
def environment() -> Iterator[Mapping[str, str]]:
    """What makes stages start warm, with the PATH and PYTHONPATH that the workflow sets."""
    paths = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "PYTHONPATH": str(PACKAGE.parent)}
    # These tests may run in the background of a shell, which ignores interrupts there.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    with warm() as warmed:
        yield os.environ | paths | warmed
    signal.signal(signal.SIGINT, former)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the grade stage reads."""
    problem: dict[str, list[object]] = {
        "problem_id": ["a"], "prompt": ["1 + 1?"], "answer": ["2"], "level": [1], "subject": [None],
        "solution": [None],
    }  # fmt: skip
    write_table(tmp_path / "problems.parquet", problem, PROBLEM_COLUMNS, {})
    columns = {name: [] for name in CANDIDATES.names} | {
        "problem_id": ["a"], "candidate": [0], "steps": [["The answer is 2."]], "step_tokens": [[4]],
        "finish": ["stop"], "prompt_tokens": [3], "tokens": [4], "logprob": [0.0],
        "source": [None], "budget": [None], "run": [None], "thinking_tokens": [None],
    }  # fmt: skip
    write_table(tmp_path / "candidates.parquet", columns, CANDIDATES, {})
    return tmp_path


def begun(command: str, folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """A job as Snakemake starts it, in a session of its own."""
    return subprocess.Popen(
        ["bash", "-c", f"set -euo pipefail; {command}"], cwd=folder, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def ended(command: str, folder: Path, environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Its exit code, output and errors."""
    job = begun(command, folder, environment)
    output, errors = job.communicate("", timeout=300)
    return job.returncode, output, errors


def waiting_stage(folder: Path) -> psutil.Process:
    """The process that runs the stage in this folder, once it is there."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        for process in psutil.Process().children(recursive=True):
            try:
                python = "python" in process.name() and Path(process.cwd()) == folder
                # The client of a warm stage waits for it beside it.
                if python and "-I" not in process.cmdline():
                    return process
            except psutil.Error:
                continue
        time.sleep(0.02)
    raise AssertionError("no stage has begun")


def is_warm(stage: psutil.Process) -> bool:
    """Whether it was forked, and so has the command line of the server."""
    return any(argument.endswith("shared.warm") for argument in stage.cmdline())


def test_files_errors_and_codes_are_those_of_the_stage(folder: Path, environment: Mapping[str, str]) -> None:
    for number, (argument, end) in enumerate(((f"'{SPEC}'", ""), ("-", f"<<< '{SPEC}'"))):
        files = f"problems.parquet candidates.parquet grades-{number}.parquet"
        command = f"python -m isoflop.stages.grade {argument} {files} 2> grade.log {end}"
        assert ended(command, folder, environment) == (0, "", "")
        assert (folder / f"grades-{number}.parquet").is_file()
    code, output, errors = ended("python -m isoflop.stages.grade {} a b c", folder, environment)
    assert (code, output) == (2, "")
    assert errors.startswith("error: grade specification")
    assert ended("python -c 'print(3)'", folder, environment) == (0, "3\n", "")
    assert ended("python < /dev/null", folder, environment) == (0, "", "")


def test_only_what_is_as_the_server_knows_it_starts_warm(
    folder: Path, environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    same, other = tmp_path_factory.mktemp("same"), tmp_path_factory.mktemp("other")
    for copy in (same, other):
        shutil.copytree(PACKAGE, copy / "isoflop", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "isoflop/report/templates/report.html.j2").open("a", encoding="utf-8") as template:
        template.write("\n")
    cases: list[tuple[dict[str, str], bool]] = [
        ({}, True),
        ({"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "TMPDIR": str(folder)}, True),
        ({"PYTHONPATH": str(same)}, True),
        ({"PYTHONPATH": str(other)}, False),
        ({"PYTHONPATH": f"{PACKAGE.parent}:{folder}"}, False),
        ({"HF_HUB_OFFLINE": "1"}, False),
    ]
    for changed, expected in cases:
        job = begun(WAITS, folder, {**environment, **changed})
        assert is_warm(waiting_stage(folder)) == expected, changed
        output, errors = job.communicate(SPEC, timeout=300)
        assert (job.returncode, output) == (0, ""), errors
        (folder / "out.parquet").unlink()


def test_what_snakemake_sets_for_a_job_is_known(folder: Path) -> None:
    (folder / "Snakefile").write_text("rule all:\n    threads: 2\n    shell: 'env -0 > environment'\n")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    content = (folder / "environment").read_text(encoding="utf-8").rstrip("\0")
    job = dict(line.split("=", 1) for line in content.split("\0"))
    changed = {name for name in job.keys() | os.environ.keys() if job.get(name) != os.environ.get(name)}
    assert changed <= OF_JOBS


def test_another_python_before_it_on_the_path_is_the_one_that_runs(
    folder: Path, environment: Mapping[str, str]
) -> None:
    programs = folder / "programs"
    programs.mkdir()
    (programs / "python").write_text("#!/bin/sh\necho another\n")
    (programs / "python").chmod(0o755)
    path = f"{programs}:{environment['PATH']}"
    assert ended(WAITS, folder, {**environment, "PATH": path}) == (0, "another\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stage_ends_with_the_job_that_waits_for_it(
    number: signal.Signals, folder: Path, environment: Mapping[str, str]
) -> None:
    job = begun(WAITS, folder, environment)
    stage = waiting_stage(folder)
    assert is_warm(stage)
    os.killpg(job.pid, number)
    stage.wait(timeout=200)
    job.communicate(timeout=200)
    assert job.returncode == -number


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_job_ends_as_its_stage_ends_by_a_signal(
    number: signal.Signals, folder: Path, environment: Mapping[str, str]
) -> None:
    codes = []
    for changed, expected in (({}, True), ({"HF_HUB_OFFLINE": "1"}, False)):
        job = begun(WAITS, folder, {**environment, **changed})
        stage = waiting_stage(folder)
        assert is_warm(stage) == expected
        # Once it has its imports it waits, and nothing else.
        while stage.status() != psutil.STATUS_SLEEPING:
            time.sleep(0.02)
        stage.send_signal(number)
        _, errors = job.communicate(timeout=200)
        codes.append(job.returncode)
        assert ("KeyboardInterrupt" in errors) == (number == signal.SIGINT)
        # What bash says of a killed command goes to the log.
        assert number == signal.SIGINT or len(errors.splitlines()) <= 1
    assert codes[0] == codes[1] != 0


@pytest.mark.parametrize("ignored", [False, True])
def test_an_interrupt_ends_a_stage_unless_the_run_is_in_the_background(
    ignored: bool, folder: Path, environment: Mapping[str, str]
) -> None:
    # As a shell without job control starts what is followed by &.
    former = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    try:
        with warm() as warmed:
            paths = {name: environment[name] for name in ("PATH", "PYTHONPATH")}
            job = begun(WAITS, folder, os.environ | paths | warmed)
            stage = waiting_stage(folder)
            assert is_warm(stage)
            while stage.status() != psutil.STATUS_SLEEPING:
                time.sleep(0.02)
            stage.send_signal(signal.SIGINT)
            _, errors = job.communicate(SPEC, timeout=200)
    finally:
        signal.signal(signal.SIGINT, former)
    assert (job.returncode == 0) == ignored, errors


def test_a_folder_that_takes_no_socket_leaves_stages_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("long" * 30)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with warm() as warmed:
        assert warmed == {}
    assert warm_for_this_process(at_once=False) == {}
    assert list(deep.iterdir()) == []


def test_without_its_server_a_stage_starts_as_ever(folder: Path, environment: Mapping[str, str]) -> None:
    with warm() as gone:
        pass
    job = begun(WAITS, folder, {**environment, **gone})
    assert not is_warm(waiting_stage(folder))
    _, errors = job.communicate(SPEC, timeout=300)
    assert job.returncode == 0, errors
