"""Seconds of `snakemake -n` on a large study: how long one waits to see what would run.

Aim: at most 20 with 64 shards or more.

    python benchmarks/dry_run.py [--config configs/wu2024.yaml] [--shards 8] [--rounds 3]

Each round is a process of its own, as on the command line, in an empty working directory, so every job is
planned. Printed are the number of jobs and the medians of the time and of the processor's time, which is what
counts on a machine that is busy.
"""

import argparse
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def _run(folder: Path, config: Path, shards: int) -> tuple[float, float, str]:
    """Seconds, those of the processor, and what was printed."""
    command = [sys.executable, "-m", "snakemake", "-n", "--snakefile", str(ROOT / "Snakefile")]
    options = ["--directory", str(folder), "--configfile", str(config.resolve())]
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(
        [*command, *options, "--config", f"shards={shards}"], capture_output=True, text=True, check=False
    )
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode:
        sys.exit(ended.stdout + ended.stderr)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, busy, ended.stdout + ended.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "wu2024.yaml")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in ("resources", "configs"):
            (folder / path).symlink_to(ROOT / path)
        rounds = [_run(folder, arguments.config, arguments.shards) for _ in range(arguments.rounds)]
    jobs = re.search(r"^total +(\d+)$", rounds[0][2], re.MULTILINE)
    assert jobs is not None
    seconds, busy = (statistics.median(one[place] for one in rounds) for place in (0, 1))
    print(f"{jobs[1]} jobs planned: {seconds:.1f} s, {busy:.1f} s of a processor")


if __name__ == "__main__":
    main()
