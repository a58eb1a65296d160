"""Specifications longer than an argument may be on Linux (128 KB): a chat template, lists of files."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake_runs import ROOT, snakemake

from isoflop.files import read_table
from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.tables import CANDIDATES

SIZE = {"parameters": 8_000_000, "layers": 4, "attention_width": 64}
RECORDS = 1000
LIMIT = 128 * 1024
IMPORTED, SAMPLED = ("results/long/sample/sums/theirs/runs", "results/long/sample/sums/chat/greedy")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 1,000 sums, each solved in a file of its own, and a policy of a long template."""
    folder = tmp_path_factory.mktemp("long")
    sums = [{"id": f"s{n}", "question": f"What is {n} + 1?", "answer": n + 1} for n in range(RECORDS)]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sums))
    records = (
        folder
        / "a-folder-of-records-whose-name-is-as-long-as-those-that-benchmarks-write-for-every-run-they-do"
    )
    records.mkdir()
    for number in range(RECORDS):
        row = {"problem_id": f"s{number}", "text": f"The answer is {number + 1}.", "score": 0.5}
        (records / f"the-record-of-{number:04d}.jsonl").write_text(json.dumps(row) + "\n")
    template = "{# " + 'it\'s "quoted" ' * 15_000 + "#}{{ messages[0]['content'] }}"
    config: dict[str, Any] = {
        "experiment": "long",
        "seed": 1,
        "datasets": {
            "sums": {
                "source": "file", "path": "sums.jsonl", "grader": "number",
                "fields": {"prompt": "question", "answer": "answer", "id": "id"},
            }
        },
        "policies": {
            "theirs": {"size": SIZE},
            "chat": {"model": save_tiny(folder / "chat"), "chat": True, "chat_template": template},
        },
        "verifiers": {"judge": {"kind": "imported", "size": SIZE, "assumed": True}},
        "generators": {
            "runs": {
                "kind": "import", "format": "table", "dataset": "sums", "verifier": "judge",
                "characters_per_token": 4.0,
                "sources": [{"policy": "theirs", "files": [{"path": f"{records.name}/*.jsonl"}]}],
            },
            "greedy": {"kind": "greedy", "max_tokens": 2, "only": {"policies": ["chat"]}},
        },
        "budgets": [1],
        "selectors": ["majority"],
        "headline": {"selector": "majority"},
    }  # fmt: skip
    (folder / "long.yaml").write_text(yaml.safe_dump(config))
    return folder


def run(folder: Path, *arguments: str) -> str:
    options = ("--snakefile", str(ROOT / "Snakefile"), "--cores", "2", "--configfile", "long.yaml")
    done = snakemake(folder, *arguments, *options)
    assert done.code == 0, done.output
    return done.output


def test_stages_are_given_specifications_of_any_length(study: Path) -> None:
    targets = [f"{IMPORTED}.parquet", f"{SAMPLED}.parquet"]
    assert len(run(study, *targets, "--dry-run", "--printshellcmds")) > 2 * LIMIT
    run(study, *targets)
    for target in targets:
        assert len(read_table(study / target, CANDIDATES)) == RECORDS
    assert "Nothing to be done" in run(study, *targets, "--dry-run")
