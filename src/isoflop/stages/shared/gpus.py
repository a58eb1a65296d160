"""Which GPUs a job may use: those a scheduler gave it, or else free ones that it claims while it lives.

Snakemake counts GPUs and does not say which. So a job locks one file per GPU of the machine; the system drops
a lock when its process ends, in whatever way.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from isoflop.errors import UserError
from isoflop.stages.shared.runtime import Runtime

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_ALL_LOCKED = "all.lock"

# Open locks: a lock lives as long as its descriptor.
_held: list[int] = []


def named_devices() -> list[str] | None:
    """The GPUs that the environment names or the driver's tool lists; None where neither is there."""
    named = os.environ.get(_VISIBLE)
    if named is not None:
        return [one.strip() for one in named.split(",") if one.strip()]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--query-gpu=index", "--format=csv,noheader"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    return listed.stdout.split() if listed.returncode == 0 else []


def visible_devices() -> list[str]:
    """The GPUs that there are for this process."""
    named = named_devices()
    if named is not None:
        return named
    import torch  # noqa: PLC0415  heavy, and only there where a model runs

    return [str(number) for number in range(torch.cuda.device_count())]


def memory_of_devices() -> list[float]:
    """Bytes of each GPU that a job may get, as the driver's tool says; of more where it is not clear which.

    Empty where there is no GPU or no such tool, and where one is named that the tool does not list.
    """
    tool, named = shutil.which("nvidia-smi"), named_devices()
    if tool is None or not named:
        return []
    command = [tool, "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    rows = [[part.strip() for part in line.split(",")] for line in listed.stdout.splitlines()]
    found = {(row[0], row[1]): int(row[2]) * 2.0**20 for row in rows if len(row) == 3 and row[2].isdigit()}
    # CUDA counts the fastest first unless told otherwise, the tool by place.
    if any(name.isdigit() for name in named) and os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        return list(found.values()) if len(named) <= len(found) else []
    sizes = [
        next((size for (index, uuid), size in found.items() if name == index or uuid.startswith(name)), None)
        for name in named
    ]
    return [] if None in sizes else [size for size in sizes if size is not None]


def job_devices(wanted: int, least: int, runtime: Runtime) -> list[str]:
    """The GPUs of this job, which are all that it sees from now on.

    A scheduler's (`runtime.gpus_given`) are left as they are, and so are those that whoever starts a stage by
    hand has named. Of a machine's, as many are claimed as Snakemake counts for the job (`runtime.gpus`), or
    `wanted`, or where there are fewer `least`. Empty where there is no GPU. Raises UserError if they
    are not enough.
    """
    devices = visible_devices()
    named = _VISIBLE in os.environ
    # What this process has claimed is named from then on.
    if not devices or (named and (runtime.gpus is None or runtime.gpus_given or _held)):
        return devices
    count = runtime.gpus
    if count is None:
        count = wanted if len(devices) >= wanted else least
    if not least <= count <= len(devices):
        raise UserError(
            f"gpus: a model needs {least}, and of this machine's {len(devices)} the job was given {count} "
            "(--resources gpu=...)"
        )
    claimed = claim(devices, count)
    os.environ[_VISIBLE] = ",".join(claimed)
    return claimed


def claim(devices: Sequence[str], count: int, pause: float = 1.0) -> list[str]:
    """Lock `count` of the `devices` until this process ends; waits, looking every `pause` seconds."""
    folder = Path(tempfile.gettempdir()) / "isoflop-gpus"
    folder.mkdir(exist_ok=True)
    _for_everyone(folder, 0o1777)
    told = False
    while True:
        found = _try_to_claim(folder, devices, count)
        if found is not None:
            return found
        if not told:
            told = True
            print(
                f"waiting for {count} of the GPUs {', '.join(devices)}: other jobs hold them",
                file=sys.stderr,
                flush=True,
            )
        time.sleep(pause)


def _try_to_claim(folder: Path, devices: Sequence[str], count: int) -> list[str] | None:
    """All `count` or none: nobody keeps some while waiting for others. One process looks at a time."""
    door = _open(folder / _ALL_LOCKED)
    try:
        fcntl.flock(door, fcntl.LOCK_EX)
        found: dict[str, int] = {}
        for device in devices:
            if len(found) == count:
                break
            descriptor = _open(folder / f"{quote(device, safe='')}.lock")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                found[device] = descriptor
        if len(found) == count:
            _held.extend(found.values())
            return list(found)
        for descriptor in found.values():
            os.close(descriptor)
        return None
    finally:
        os.close(door)


def _open(path: Path) -> int:
    """A descriptor to lock; the file may be another user's, and is empty."""
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        pass
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return os.open(path, os.O_RDONLY)
    _for_everyone(path, 0o644)
    return descriptor


def _for_everyone(path: Path, mode: int) -> None:
    """Set the mode whatever the umask, where the path is one's own."""
    if path.stat().st_uid == os.getuid():
        path.chmod(mode)
