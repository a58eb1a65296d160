"""Whether a study's files are the same bytes however it was run: killed, in shards, batches, threads, orders.

    python benchmarks/same_bytes.py FOLDER [--kills 20] [--cases shards-2 batches ...]

A small study on shipped models, with samples, a tree search, chains of revisions and a policy that it trains,
runs once as a whole. Every case then runs it another way in a folder of its own and compares all its files,
byte by byte, but what a clock has measured (`times/`, `seconds/`, `*.times.json`). Kills are `kill -9` of
Snakemake and all its jobs at random moments, each run going on where the one before was killed. With the
problems in the reversed order, tables of results are the same bytes and all others have the same rows by
problem. Exit code 1 where anything differs.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from isoflop.data.word_problems import generate_problems
from isoflop.stages.shared.warm import warm

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "resources" / "models"
RESULTS = "results/same"
# Measured on a clock, and so in none of what is compared.
MEASURED = ("times", "seconds")

CASES: Mapping[str, Mapping[str, Any]] = {
    "again": {},
    "shards-2": {"shards": 2, "engine_settings": {"chunk_problems": 3}},
    "shards-3": {"shards": 3, "engine_settings": {"chunk_problems": 2}},
    "batches": {"engine_settings": {"batch_size": 7, "batch_tokens": 300, "chunk_problems": 5}},
    "threads": {"engine_settings": {"threads": 2}},
    "reversed": {},
}


def config(problems: int) -> dict[str, Any]:
    """The study; its problems are in a file, so that they can be turned round."""
    model = {"kind": "sampling", "samples": 6, "max_tokens": 96, "verifiers": ["prm", "orm"]}
    asked = "{attempts}\n{problem}"
    orm = {"kind": "causal-orm", "model": str(MODELS / "orm-1.7M"), "prompt": "{problem}\n", "asked": asked}
    chains = {"kind": "revisions", "chains": 3, "length": 2, "largest": 4, "max_tokens": 96, "asked": asked}
    fields = {name: name for name in ("id", "prompt", "answer", "level")}
    learnt = {"source": "wordproblems", "seed": 5, "levels": [1]}
    shape = {"hidden_size": 32, "layers": 1, "heads": 2, "kv_heads": 1, "intermediate_size": 48}
    budget = {"max_tokens": 96, "max_step_tokens": 32}
    return {
        "experiment": "same",
        "seed": 3,
        "datasets": {
            "words": {"source": "file", "path": "words.jsonl", "fields": fields, "grader": "number"},
            "learnt": learnt | {"split": "train", "size": 64},
            "held-out": learnt | {"split": "dev", "size": 8},
        },
        "policies": {
            "small": {"model": str(MODELS / "policy-0.9M")},
            "reviser": {"model": str(MODELS / "revision-0.9M")},
            "made": {"trained": "made"},
        },
        "verifiers": {
            "prm": {"kind": "math-shepherd", "model": str(MODELS / "prm-1.7M"), "prompt": "{problem}\n"},
            "orm": orm,
        },
        "generators": {
            "greedy": {"kind": "greedy", "max_tokens": 96},
            "sampling": model,
            "rebase": {"kind": "rebase", "budgets": [2, 4], "runs": 2, **budget, "verifier": "prm"},
            "chains": chains | {"verifiers": ["orm", "prm"], "only": {"policies": ["reviser"]}},
        },
        "budgets": [1, 2, 4],
        "selectors": ["majority", "weighted", "best_of_n", "confidence", "confidence_weighted", "pass"],
        "step_aggregations": ["last", "min", "product", "mean"],
        "headline": {"selector": "weighted", "step_aggregation": "last", "cost_model": "total"},
        "difficulty": {"generator": "sampling", "bins": 2, "verifier": "prm"},
        "compute_optimal": {"families": {"search": ["sampling", "rebase"]}, "splits": 3},
        "bootstrap": {"draws": 100},
        "training": {
            "made": {
                "kind": "policy", "init": {"architecture": shape}, "seed": 1, "epochs": 1, "batch_size": 8,
                "data": {"dataset": "learnt", "held_out": "held-out"}, "learning_rate": 0.003,
                "max_length": 384, "held_out_samples": 0,
            },
        },
        "engine_settings": {"chunk_problems": max(1, problems // 3)},
    }  # fmt: skip


def prepare(folder: Path, problems: int, case: str) -> None:
    """Write the problems and the config of a case."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = generate_problems("test", problems, seed=1)
    rows = [
        {"id": f"q{number:03d}", "prompt": one.prompt, "answer": one.answer, "level": one.level}
        for number, one in enumerate(drawn)
    ]
    order = rows[::-1] if case == "reversed" else rows
    (folder / "words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in order))
    (folder / "same.yaml").write_text(yaml.safe_dump(config(problems) | CASES.get(case, {}), sort_keys=False))


def command(folder: Path, *extra: str) -> list[str]:
    """Snakemake on a case."""
    profile = ROOT / "profiles" / "default"
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"),
        *("--workflow-profile", str(profile), "--directory", str(folder)),
        *("--configfile", str(folder / "same.yaml"), *extra),
    ]


def run(folder: Path, environment: Mapping[str, str]) -> None:
    """Run a case to its end; raises SystemExit with what it printed where it fails."""
    done = subprocess.run(
        command(folder), env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{folder}: failed\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def files(folder: Path) -> dict[str, str]:
    """The digest of every file of results, but of what a clock has measured."""
    results = folder / RESULTS
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(results.rglob("*"))
        if path.is_file()
        and path.relative_to(results).parts[0] not in MEASURED
        and not path.name.endswith(".times.json")
    }


def differing(folder: Path, other: Path) -> list[str]:
    """What is not the same in both, or not in both."""
    one, two = files(folder), files(other)
    return sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))


def differing_by_problem(folder: Path, other: Path) -> list[str]:
    """The same, where problems come in another order: rows of a problem are in theirs, results are bytes."""
    found = []
    for name in differing(folder, other):
        if name.startswith(("tables/", "fit/", "train/")):
            found.append(name)
        elif name.endswith(".parquet"):
            one, two = (_rows(path / RESULTS / name) for path in (folder, other))
            if one != two:
                found.append(name)
    return found


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return sorted(rows, key=lambda row: str(row["problem_id"])) if rows and "problem_id" in rows[0] else rows


def killed(folder: Path, kills: int, problems: int, longest: float) -> int:
    """Run the study in `folder`, killed at random moments; how many kills hit a run, `kills` at most.

    `longest`: seconds that a whole run takes. A run that ends before its kill ends it.
    """
    chance = random.Random(7)
    prepare(folder, problems, "killed")
    for number in range(kills):
        # Its own session: the server of warm stages and what it forks are killed too.
        process = subprocess.Popen(
            [sys.executable, __file__, "--inner", str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait = chance.uniform(0.1, 0.5) * longest
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            time.sleep(0.2)
            continue
        if process.returncode:
            raise SystemExit(f"{folder}: failed after {number} kills")
        return number
    return kills


def inner(folder: Path) -> None:
    """Unlock and run a case, with stages of its own session."""
    with warm() as environment:
        unlock = subprocess.run(command(folder, "--unlock"), capture_output=True, check=False)
        assert unlock.returncode == 0, unlock.stderr
        run(folder, environment)


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for; 1 where anything differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where studies run; what is finished there stays")
    parser.add_argument("--problems", type=int, default=12)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.inner:
        inner(options.folder.resolve())
        return 0
    folder = options.folder.resolve()
    wrong = 0
    with warm() as environment:
        prepare(folder / "whole", options.problems, "whole")
        begun, took = time.monotonic(), folder / "whole" / "took"
        run(folder / "whole", environment)
        if not took.exists():
            took.write_text(str(time.monotonic() - begun))
        longest = float(took.read_text())
        print(f"whole: {len(files(folder / 'whole'))} files, {longest:.0f} s", flush=True)
        for case in options.cases:
            prepare(folder / case, options.problems, case)
            # Warm stages have their threads already.
            run(folder / case, {} if case == "threads" else environment)
            compare = differing_by_problem if case == "reversed" else differing
            found = compare(folder / "whole", folder / case)
            print(f"{case}: {', '.join(found) or 'the same'}", flush=True)
            wrong += bool(found)
    hits, study = 0, 0
    while hits < options.kills:
        study += 1
        place = folder / f"killed-{study}"
        hits += killed(place, options.kills - hits, options.problems, longest)
        inner(place)
        found = differing(folder / "whole", place)
        print(f"killed, {hits} kills so far: {', '.join(found) or 'the same'}", flush=True)
        wrong += bool(found)
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
