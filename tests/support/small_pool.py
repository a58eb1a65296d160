"""Consistent tables of a small pool of candidates, as the stages that pick from it read them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from isoflop.files import read_table, write_table
from isoflop.stages import select
from isoflop.stages.shared.ledgers import Times, write_times
from isoflop.tables import CANDIDATES, CREDITS, GRADES, PROBLEMS, SCORES, SECONDS, with_columns

POLICY = {"parameters": 1000, "embedding_parameters": 100, "layers": 2, "attention_width": 8}
VERIFIER = {"parameters": 5000, "embedding_parameters": 500, "layers": 3, "attention_width": 16}
SPEC = {
    "budgets": [1, 2, 4],
    "selectors": ["pass", "majority", "weighted", "best_of_n"],
    "step_aggregations": ["last", "min"],
    "verifiers": ["prm"],
    "seed": 5,
    "generator_kind": "sampling",
    "code": "0",
}


class Study:
    """Consistent tables of 3 problems with 4 candidates each; fields may be spoilt before `run`."""

    def __init__(self, folder: Path, size: int = 4) -> None:
        self.folder, self.size = folder, size
        self.spec = dict(SPEC)
        generator = np.random.default_rng(2)
        names = ["b", "a", "c"]
        keys = {
            "problem_id": [name for name in names for _ in range(size)],
            "candidate": list(range(size)) * 3,
        }
        steps = generator.integers(1, 4, 3 * size)
        tokens = generator.integers(5, 40, 3 * size)
        classes = generator.integers(-1, 2, 3 * size)
        self.problems = {
            "problem_id": names,
            "prompt": ["?"] * 3,
            "answer": ["0"] * 3,
            "level": [1, None, 2],
            "subject": [None] * 3,
            "solution": [None] * 3,
        }
        self.candidates = {
            **keys,
            "steps": [["x"] * count for count in steps],
            "step_tokens": [[1] * count for count in steps],
            "finish": ["stop"] * 3 * size,
            "prompt_tokens": np.repeat([10, 20, 30], size).tolist(),
            "tokens": tokens.tolist(),
            "logprob": [-1.0] * 3 * size,
            "source": [None] * 3 * size,
            "budget": [None] * 3 * size,
            "run": [None] * 3 * size,
        }
        self.grades = {
            **keys,
            "answer": [None if c < 0 else str(c) for c in classes],
            "answer_class": classes.tolist(),
            "correct": (classes == 0).tolist(),
        }
        self.scores = {
            **keys,
            "step_scores": [(generator.integers(1, 16, count) / 16).tolist() for count in steps],
            "verifier_tokens": (tokens + 12).tolist(),
        }
        self.sample_ledger = {
            "prompt_tokens": 60,
            "generated_tokens": int(tokens.sum()),
            "candidates": 3 * size,
            "model": POLICY,
        }
        self.score_ledger = {"verifier_tokens": int((tokens + 12).sum()), "model": VERIFIER}

        self.seconds = {"sample_ledger": 6.0, "score_ledger": 3.0}

    def write(self) -> dict[str, str]:
        """Write all tables and ledgers; their paths by name."""
        paths = {}
        for name, schema in (
            ("problems", PROBLEMS),
            ("candidates", CANDIDATES),
            ("grades", GRADES),
            ("scores", SCORES),
        ):
            paths[name] = str(self.folder / f"{name}.parquet")
            write_table(paths[name], getattr(self, name), schema, {})
        for name in ("sample_ledger", "score_ledger"):
            paths[name] = str(self.folder / f"{name}.json")
            Path(paths[name]).write_text(json.dumps(getattr(self, name)))
        for name, seconds in self.seconds.items():
            write_times(paths[name], Times(seconds=seconds))
        return paths

    def run(self, *, verifier: bool = True, costs: Sequence[str] = ()) -> pa.Table:
        """The credits that the select stage makes of it; `costs`: further columns of them."""
        paths = self.write()
        names = ["problems", "candidates", "grades", "sample_ledger"]
        names += ["scores", "score_ledger"] if verifier else []
        output = str(self.folder / "out" / "credits.parquet")
        times = str(self.folder / "out" / "seconds.parquet")
        select.main([json.dumps(self.spec), *(paths[name] for name in names), output, times])
        return read_table(output, with_columns(CREDITS, costs))

    def taken(self, verifier: str, budget: int) -> list[float]:
        """Seconds of the last run, by problem."""
        rows = read_table(self.folder / "out" / "seconds.parquet", SECONDS).to_pylist()
        return [row["seconds"] for row in rows if (row["verifier"], row["budget"]) == (verifier, budget)]
