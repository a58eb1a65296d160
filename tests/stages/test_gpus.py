"""Jobs on one machine never share a GPU by accident: fake devices, real processes that claim them and die."""

import json
import multiprocessing
import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import pytest

from isoflop.errors import UserError
from isoflop.stages.shared import gpus as devices
from isoflop.stages.shared.runtime import Runtime

HOLDER = """
import json, os, sys, time
from isoflop.stages.shared.gpus import job_devices
from isoflop.stages.shared.runtime import Runtime
log, wanted, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
found = job_devices(wanted, 1, Runtime(gpus=wanted))
line = {"pid": os.getpid(), "devices": found, "visible": os.environ["CUDA_VISIBLE_DEVICES"]}
with open(log, "a") as file:
    print(json.dumps(line | {"begun": time.monotonic()}), file=file, flush=True)
time.sleep(seconds)
with open(log, "a") as file:
    print(json.dumps(line | {"ended": time.monotonic()}), file=file, flush=True)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Locks of the test's own, and no settings of whoever runs it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(devices, "_held", [])
    # Set first, so that what the code sets is undone too.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    return tmp_path


def _start(log: Path, counted: int, seconds: float, there: str = "0,1,2,3") -> "subprocess.Popen[bytes]":
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": there}
    command = [sys.executable, "-c", HOLDER, str(log), str(counted), str(seconds)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def _lines(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def _wait_for(log: Path, count: int) -> list[dict[str, object]]:
    deadline = time.monotonic() + 60
    while len(_lines(log)) < count:
        assert time.monotonic() < deadline, _lines(log)
        time.sleep(0.02)
    return _lines(log)


def test_many_processes_at_once_never_share_a_gpu(here: Path) -> None:
    log, draws = here / "log", random.Random(1)
    jobs = [_start(log, draws.choice([1, 1, 2, 3]), draws.uniform(0.05, 0.3)) for _ in range(16)]
    assert [job.wait(timeout=120) for job in jobs] == [0] * 16
    spans: dict[int, dict[str, object]] = {}
    for line in _lines(log):
        spans[line["pid"]] = spans.get(line["pid"], {}) | line  # type: ignore[index, call-overload]
    assert len(spans) == 16
    held: dict[str, list[tuple[float, float]]] = {}
    for one in spans.values():
        assert one["visible"] == ",".join(one["devices"])  # type: ignore[arg-type]
        for device in one["devices"]:  # type: ignore[attr-defined]
            held.setdefault(device, []).append((one["begun"], one["ended"]))  # type: ignore[arg-type]
    assert set(held) == {"0", "1", "2", "3"}
    for times in held.values():
        times.sort()
        assert all(after[0] >= before[1] for before, after in pairwise(times))


def test_a_killed_jobs_gpu_is_free_again(here: Path) -> None:
    log = here / "log"
    first = _start(log, 2, 600, there="0,1")
    _wait_for(log, 1)
    second = _start(log, 1, 0, there="0,1")
    time.sleep(1.5)
    assert second.poll() is None
    assert len(_lines(log)) == 1, "both GPUs are held"
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert second.wait(timeout=60) == 0
    assert _lines(log)[1]["devices"] == ["0"]


def _forks_and_dies(log: Path) -> None:
    found = devices.job_devices(1, 1, Runtime(gpus=1))
    if os.fork() == 0:
        log.write_text(json.dumps({"pid": os.getpid(), "devices": found}) + "\n")
        time.sleep(600)
    os._exit(0)


def test_a_gpu_is_held_as_long_as_a_worker_of_the_job_lives(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    log = here / "log"
    job = multiprocessing.get_context("spawn").Process(target=_forks_and_dies, args=(log,))
    job.start()
    job.join()
    [worker] = _wait_for(log, 1)
    try:
        assert devices.claim(["0", "1"], 1) == ["1"]
    finally:
        os.kill(worker["pid"], signal.SIGKILL)  # type: ignore[arg-type]


def test_a_schedulers_gpus_are_left_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert devices.job_devices(2, 1, Runtime(gpus=2, gpus_given=True)) == ["0", "1"]
    assert not (here / "isoflop-gpus").exists()


def test_gpus_named_by_hand_are_left_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert devices.job_devices(2, 1, Runtime()) == ["7"]
    assert not (here / "isoflop-gpus").exists()


@pytest.mark.parametrize(
    ("listed", "counted", "wanted", "least", "expected"),
    [
        ("0\n1\n2\n", None, 2, 1, ["0", "1"]),
        ("0\n1\n2\n", None, 4, 3, ["0", "1", "2"]),
        ("0\n", None, 2, 1, ["0"]),
        ("0\n1\n2\n", 1, 2, 1, ["0"]),
        ("0\n1\n2\n", 0, 1, 0, []),
        ("", None, 2, 1, []),
        ("0\n1\n", None, 3, 3, "a model needs 3, and of this machine's 2 the job was given 3"),
        ("0\n1\n", 0, 1, 1, "a model needs 1, and of this machine's 2 the job was given 0"),
    ],
)
def test_how_many_are_claimed_of_what_the_driver_lists(
    listed: str,
    counted: int | None,
    wanted: int,
    least: int,
    expected: list[str] | str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tool = here / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\nprintf '{listed}'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    runtime = Runtime(gpus=counted)
    if isinstance(expected, str):
        with pytest.raises(UserError, match=expected):
            devices.job_devices(wanted, least, runtime)
        return
    assert devices.job_devices(wanted, least, runtime) == expected
    if listed:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(expected)
        assert devices.job_devices(wanted, least, runtime) == expected, "once claimed, they are the job's"


LISTED = "0, GPU-aa1, 40960\\n1, GPU-bb2, 81920\\n2, GPU-cc3, 81920\\n"


@pytest.mark.parametrize(
    ("listed", "named", "order", "expected"),
    [
        (LISTED, None, "PCI_BUS_ID", [40, 80, 80]),
        (LISTED, "0", "PCI_BUS_ID", [40]),
        (LISTED, "1,0", "PCI_BUS_ID", [80, 40]),
        (LISTED, "GPU-bb2,GPU-c", None, [80, 80]),
        # CUDA's own order is not that of the tool.
        (LISTED, "0", None, [40, 80, 80]),
        (LISTED, "", None, []),
        (LISTED, "MIG-1", None, []),
        (LISTED, "7", "PCI_BUS_ID", []),
        ("0, GPU-aa1, [N/A]\\n", None, None, []),
        ("", None, None, []),
    ],
)
def test_the_memory_of_the_gpus_that_a_job_may_get(
    listed: str,
    named: str | None,
    order: str | None,
    expected: list[int],
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tool = here / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    indices = "".join(f"{line.split(',')[0]}\\n" for line in listed.split("\\n") if line)
    tool.write_text(
        f"#!/bin/sh\ncase $1 in *memory*) printf '{listed}';; *) printf '{indices}';; esac\n",
        encoding="utf-8",
    )
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    for name, value in (("CUDA_VISIBLE_DEVICES", named), ("CUDA_DEVICE_ORDER", order)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert [round(size / 2**30) for size in devices.memory_of_devices()] == expected
