"""Thoughts are counted in the tokens that were written, whoever opened them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from byte_tokens import PIECES, save_bytes
from problem_tables import write_problems

from isoflop.config.models import Policy
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.registry import Completion, GenerationRequest
from isoflop.files import read_table
from isoflop.growth.former import kept
from isoflop.specs import SampleSpec
from isoflop.stages import sample
from isoflop.stages.shared.chunks import Chunks
from isoflop.sums import without_sum
from isoflop.tables import CANDIDATES

OPEN, CLOSE = PIECES.index("<think>") + 1, PIECES.index("</think>") + 1
# What a chat template may put at the end: nothing, the opening tag, thoughts that are over.
TEMPLATES = {
    "plain": "{{ messages[-1].content }}\nQ:",
    "opens": "{{ messages[-1].content }}\nQ:<think>\n",
    "off": "{{ messages[-1].content }}\nQ:<think>\n\n</think>\n\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_bytes(tmp_path_factory.mktemp("models") / "bytes")


def by_token(completion: Completion, begun: bool) -> int:
    """Thinking tokens by the ids of the tags; the end token is like what is before it."""
    tags = [token for token in completion.tokens if token in (OPEN, CLOSE)]
    inside = begun or (bool(tags) and tags[0] == CLOSE)
    counted = begun
    count = 0
    for token in completion.tokens:
        inside = counted = inside or token == OPEN
        count += counted
        inside = inside and token != CLOSE
    return count + counted * (len(completion.pieces) - len(completion.tokens))


@pytest.mark.parametrize("template", TEMPLATES)
def test_thoughts_of_a_real_model_are_counted_by_token(folder: str, template: str) -> None:
    policy = TransformersPolicy(Policy(model=folder, chat=True, chat_template=TEMPLATES[template]))
    requests = [GenerationRequest("a", seed, 30) for seed in range(150)]
    completions = policy.generate(requests)
    for one in completions:
        assert one.thinking == by_token(one, begun=template == "opens")
    counts = [one.thinking for one in completions]
    assert len(set(counts)) > 5
    assert (0 in counts) == (template != "opens")
    # Where thoughts never end, all is thought.
    unended = [one for one in completions if CLOSE not in one.tokens and OPEN not in one.tokens]
    assert unended
    assert all(one.thinking == (len(one.pieces) if template == "opens" else 0) for one in unended)


def test_a_prompt_without_a_chat_may_open_thoughts_too(folder: str) -> None:
    policy = TransformersPolicy(Policy(model=folder))
    for prompt, begun in (("Q:<think>\n", True), ("Q:\n", False)):
        for one in policy.generate([GenerationRequest(prompt, seed, 20) for seed in range(40)]):
            assert one.thinking == by_token(one, begun)


def run(folder: str, problems: Path, out: Path) -> pa.Table:
    spec = {
        "policy": {"model": folder},
        "generator": {"kind": "sampling", "samples": 3, "max_tokens": 20, "stop": ["\nQ", "é"], "top_k": 12},
        "seed": 5,
        "version": 1,
    }
    text = SampleSpec.model_validate_json(json.dumps(spec)).model_dump_json()
    ledger = out.with_suffix(".json")
    sample.main(["--runtime", '{"chunk_problems": 2}', text, str(problems), str(out), str(ledger)])
    return read_table(out, CANDIDATES)


def test_the_table_and_the_ledger_have_them(folder: str, tmp_path: Path) -> None:
    problems = write_problems(tmp_path / "problems.parquet", "dev", 6, seed=9)
    rows = run(folder, problems, tmp_path / "c.parquet").to_pylist()
    ledger = json.loads((tmp_path / "c.json").read_text())
    assert ledger["thinking_tokens"] == sum(row["thinking_tokens"] for row in rows) > 0
    for row in rows:
        assert 0 <= row["thinking_tokens"] <= row["tokens"] == sum(row["step_tokens"])
        assert not any(one in "".join(row["steps"]) for one in ("\nQ", "é"))


def test_chunks_of_before_thoughts_were_counted_are_taken_up(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = write_problems(tmp_path / "problems.parquet", "dev", 6, seed=9)
    whole = run(folder, problems, tmp_path / "whole.parquet")
    with monkeypatch.context() as patched:
        # What a run that was killed at its end leaves.
        patched.setattr(Chunks, "remove", lambda _: None)
        run(folder, problems, tmp_path / "c.parquet")
    first, second, third = sorted(tmp_path.glob(".c.parquet.*.chunks/*.parquet"))
    # As a version wrote it that kept neither sums nor finished tables.
    old = without_sum(pq.read_table(first))
    pq.write_table(old.drop_columns(["thinking_tokens"]), first)
    second.unlink()
    (tmp_path / "c.parquet").unlink()
    kept(tmp_path / "c.parquet").unlink()
    mixed = run(folder, problems, tmp_path / "c.parquet")
    assert mixed.drop_columns(["thinking_tokens"]).equals(whole.drop_columns(["thinking_tokens"]))
    known = whole["thinking_tokens"].to_pylist()
    assert mixed["thinking_tokens"].to_pylist() == [None] * old.num_rows + known[old.num_rows :]
    assert "thinking_tokens" not in json.loads((tmp_path / "c.json").read_text())
    assert third.name == "000002.parquet"
