"""Flip bits of tables and cut them, and count what their readers notice.

    python benchmarks/damage.py [--flips 1200] [--cuts 32]

Eight kinds of tables, as stages hand them to each other, and a ledger are written and read as they are in a
study. Of each damaged file it is told whether the reader refused it by its name, read the same content (a
flip that decides nothing), or read something else without a word, which must never be. `--former`: the same
for files without sums, as former versions wrote them.
"""

import argparse
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from isoflop.errors import UserError
from isoflop.files import read_ledger, read_table, table_metadata, write_json, write_table
from isoflop.tables import CANDIDATES, CREDITS, DIFFICULTY, GRADES, MEASURED, PROBLEMS, SCORES, TREES

KINDS = {
    "problems": PROBLEMS,
    "candidates": CANDIDATES,
    "scores": SCORES,
    "grades": GRADES,
    "trees": TREES,
    "credits": CREDITS,
    "measured": MEASURED,
    "difficulty": DIFFICULTY,
}
ROWS = 64
METADATA: dict[str, object] = {"model": {"parameters": 1000, "layers": 2}, "seed": 1}
LEDGER = {"candidates": 64, "generated_tokens": 4096, "seconds": 1.5, "model": METADATA["model"]}


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flips", type=int, default=1200, help="in all (default: 1200)")
    parser.add_argument("--cuts", type=int, default=32, help="in all (default: 32)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--former", action="store_true", help="without sums")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = damage(Path(folder), options.flips, options.cuts, options.seed, former=options.former)
    for (kind, how), counts in found.items():
        print(f"{kind:>10} {how:5} {', '.join(f'{count} {what}' for what, count in sorted(counts.items()))}")
    total = sum(found.values(), Counter())
    print(f"{'all':>16} {', '.join(f'{count} {what}' for what, count in sorted(total.items()))}")
    read, write = speed()
    print(f"a table of scores of 1,000,000 rows: {write:.2f} s to write, {read:.2f} s to read")


def damage(
    folder: Path, flips: int, cuts: int, seed: int, *, former: bool = False
) -> dict[tuple[str, str], Counter[str]]:
    """How often what was done to a kind of table was refused, decided nothing, or went unnoticed."""
    draw = random.Random(seed)
    found = {}
    for kind, schema in KINDS.items():
        path = folder / f"{kind}.parquet"
        columns = {field.name: [value(field.type, draw) for _ in range(ROWS)] for field in schema}
        write_table(path, columns, schema, METADATA)
        if former:
            table = read_table(path, schema)
            pq.write_table(table, path, compression="zstd")
        for how, times in (("flips", flips // len(KINDS)), ("cuts", cuts // len(KINDS))):
            found[kind, how] = tried(path, schema, how, times, draw)
    path = folder / "ledger.json"
    write_json(path, LEDGER)
    found["ledger", "flips"] = tried(path, None, "flips", flips // len(KINDS), draw)
    return found


def tried(path: Path, schema: pa.Schema | None, how: str, times: int, draw: random.Random) -> Counter[str]:
    """What a reader says of a file that is damaged in one place, many times."""
    whole, expected, counts = path.read_bytes(), content(path, schema), Counter[str]()
    for _ in range(times):
        place = draw.randrange(len(whole))
        changed = bytearray(whole[:place] if how == "cuts" else whole)
        if how == "flips":
            changed[place] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        try:
            same = content(path, schema) == expected
            counts["that decide nothing" if same else "UNNOTICED"] += 1
        except UserError as error:
            counts["refused" if str(error).startswith(f"{path}: ") else "REFUSED WITHOUT THE NAME"] += 1
    path.write_bytes(whole)
    return counts


def content(path: Path, schema: pa.Schema | None) -> Any:
    """What a stage has of a file."""
    if schema is None:
        return read_ledger(path)
    table = read_table(path, schema)
    return table.to_pydict(), table_metadata(table)


def value(kind: pa.DataType, draw: random.Random) -> Any:
    """A value of a type; texts begin alike, as solutions do."""
    if pa.types.is_string(kind):
        return f"Step {draw.randrange(9)}: {draw.randrange(10**6)} apples"
    if pa.types.is_boolean(kind):
        return draw.random() < 0.5
    if pa.types.is_floating(kind):
        return draw.randrange(2**16) / 2**16
    if pa.types.is_list(kind):
        return [value(kind.value_type, draw) for _ in range(draw.randrange(1, 5))]
    if pa.types.is_struct(kind):
        return {field.name: value(field.type, draw) for field in kind}
    return draw.randrange(100)


def speed(rows: int = 1_000_000) -> tuple[float, float]:
    """Seconds to read and to write a large table of scores."""
    columns: dict[str, list[object]] = {
        "problem_id": [f"test-{row // 64:05d}" for row in range(rows)],
        "candidate": [row % 64 for row in range(rows)],
        "step_scores": [[(row * 7919 % 1009) / 1009, 0.5, (row * 31 % 97) / 97] for row in range(rows)],
        "verifier_tokens": [100 + row % 150 for row in range(rows)],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        write_table(path, columns, SCORES, METADATA)
        table = read_table(path, SCORES)
        begun = time.perf_counter()
        write_table(path, {name: table[name] for name in table.column_names}, SCORES, METADATA)
        written = time.perf_counter()
        read_table(path, SCORES)
        return time.perf_counter() - written, written - begun


if __name__ == "__main__":
    main()
