"""What is in the identity of a table, and what is not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from isoflop.growth.identity import LENGTH, digest, table_identity, weights
from isoflop.growth.tables import LABEL, Label, joined, read_label
from isoflop.specs import ReviseSpec, SampleSpec, ScoreSpec, SearchSpec

COMMIT = "0123456789abcdef0123456789abcdef01234567"
POLICY = {"model": "owner/name", "revision": COMMIT}
JUDGE = {"kind": "math-shepherd", "model": "owner/judge", "revision": COMMIT}
LIMITS = {"max_tokens": 9}
SPECS: dict[type[BaseModel], dict[str, Any]] = {
    SampleSpec: {"policy": POLICY, "generator": {"kind": "sampling", "samples": 4} | LIMITS},
    ReviseSpec: {"policy": POLICY, "generator": {"kind": "revisions", "chains": 4, "length": 2} | LIMITS},
    SearchSpec: {
        "policy": POLICY,
        "verifier": JUDGE,
        "generator": {"kind": "rebase", "budgets": [4], "max_step_tokens": 3} | LIMITS,
    },
    ScoreSpec: {"verifier": JUDGE},
}
COMMON = {"seed": 5, "version": 1}
# Stage, what changes, and whether the rows are others.
CHANGES = [
    (SampleSpec, {"generator.samples": 8}, False),
    (SampleSpec, {"generator.max_tokens": 18}, False),
    (SampleSpec, {"policy.prompt": "Q: {problem}\n"}, False),
    (SampleSpec, {"generator.temperature": 0.5}, True),
    (SampleSpec, {"generator.top_p": 0.5}, True),
    (SampleSpec, {"generator.top_k": 5}, True),
    (SampleSpec, {"generator.min_p": 0.5}, True),
    (SampleSpec, {"generator.stop": ["\n\n"]}, True),
    (SampleSpec, {"seed": 6}, True),
    (SampleSpec, {"version": 2}, True),
    (SampleSpec, {"policy.revision": COMMIT[::-1]}, True),
    (SampleSpec, {"policy.dtype": "bfloat16"}, True),
    (SampleSpec, {"policy.engine": "vllm"}, True),
    (SampleSpec, {"policy.chat": True}, True),
    (SampleSpec, {"policy.step_separator": "\n\n"}, True),
    (ReviseSpec, {"generator.chains": 8}, False),
    (ReviseSpec, {"generator.length": 4}, False),
    (ReviseSpec, {"generator.largest": 4}, False),
    (ReviseSpec, {"generator.max_tokens": 4}, False),
    (ReviseSpec, {"policy.prompt": "Q: {problem}\n"}, True),
    (ReviseSpec, {"generator.history": 2}, True),
    (ReviseSpec, {"generator.asked": "{problem}\nTried: {attempts}"}, True),
    (SearchSpec, {"generator.runs": 3}, False),
    (SearchSpec, {"policy.prompt": "Q: {problem}\n"}, False),
    (SearchSpec, {"verifier.prompt": "Q: {problem}\n"}, False),
    (SearchSpec, {"generator.budgets": [8]}, True),
    (SearchSpec, {"generator.max_tokens": 18}, True),
    (SearchSpec, {"generator.max_depth": 3}, True),
    (SearchSpec, {"generator.balance_temperature": 0.2}, True),
    (SearchSpec, {"verifier.revision": COMMIT[::-1]}, True),
    (SearchSpec, {"plugins": {"rebase": "a digest"}}, True),
    (ScoreSpec, {"verifier.prompt": "Q: {problem}\n"}, False),
    (ScoreSpec, {"verifier.step_tag": "#"}, True),
    (ScoreSpec, {"step_tag": "#"}, True),
    (ScoreSpec, {"verifier.dtype": "bfloat16"}, True),
]


def identity(kind: type[BaseModel], changes: dict[str, Any], root: Path = Path()) -> str:
    content = json.loads(json.dumps(SPECS[kind])) | COMMON
    if kind is ScoreSpec:
        del content["seed"]
    for path, value in changes.items():
        *parents, last = path.split(".")
        holder = content
        for parent in parents:
            holder = holder[parent]
        holder[last] = value
    return table_identity(kind.model_validate_json(json.dumps(content)), root)


@pytest.mark.parametrize(("kind", "change", "others"), CHANGES, ids=str)
def test_what_decides_rows_is_in_their_identity(
    kind: type[BaseModel], change: dict[str, Any], others: bool
) -> None:
    assert (identity(kind, change) != identity(kind, {})) is others


def test_tables_of_two_kinds_are_never_the_same() -> None:
    assert len({identity(kind, {}) for kind in SPECS}) == 4


def test_a_folder_counts_by_its_contents(tmp_path: Path) -> None:
    first = tmp_path / "models" / "first"
    first.mkdir(parents=True)
    (first / "config.json").write_text("{}")
    (first / "model.safetensors").write_bytes(b"weights")
    second = tmp_path / "second"
    shutil.copytree(first, second)
    (second / "README.md").write_text("a card")
    (second / ".cache").write_text("hidden")
    known = identity(SampleSpec, {"policy": {"model": "models/first"}}, tmp_path)
    assert identity(SampleSpec, {"policy": {"model": str(second)}}, tmp_path) == known
    assert weights("models/first", None, tmp_path) == weights(str(second), None)
    (second / "model.safetensors").write_bytes(b"WEIGHTS")
    assert identity(SampleSpec, {"policy": {"model": str(second)}}, tmp_path) != known
    (second / "model.safetensors").rename(second / "model-2.safetensors")
    (second / "model-2.safetensors").write_bytes(b"weights")
    assert weights(str(second), None) != weights("models/first", None, tmp_path), "files by their names"


def test_digests_are_what_they_always_were() -> None:
    """Finished rows are found again after an upgrade: never change this."""
    assert digest("a", 1, ["b"]) == "IG3uzh5i4KioieQw"
    assert len(digest()) == LENGTH
    assert len({digest("ab"), digest("a", "b"), digest(["a", "b"]), digest("a", 1), digest("a", "1")}) == 5


def test_labels_come_back_from_metadata() -> None:
    label = Label("identity", [digest(number) for number in range(5)], 9)
    assert read_label({LABEL: label.content(), "model": {}}) == label
    first, second = Label("identity", label.digests[:2], 9), Label("identity", label.digests[2:], 9)
    assert joined([first, second]) == label
    assert joined([first, Label("other", [], 9)]) is None
    assert joined([first, Label("identity", [], 8)]) is None


@pytest.mark.parametrize(
    "found",
    [
        None, [], "x", {}, {"identity": 3, "digests": ""}, {"identity": "x", "digests": "odd"},
        {"identity": "x", "digests": ["a"]}, {"identity": "x", "digests": "", "max_tokens": "9"},
    ],
)  # fmt: skip
def test_labels_that_are_none_are_not_read(found: object) -> None:
    assert read_label({LABEL: found}) is None
    assert read_label({}) is None
