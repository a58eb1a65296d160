"""A rehearsal's problem files, override and warm stages; whole rehearsals are in tests/end_to_end."""

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from isoflop import cli
from isoflop.config.datasets import Dataset, FileSource
from isoflop.config.loading import build_config, load_config, merge, read_yaml
from isoflop.config.models import Policy
from isoflop.config.study import Config
from isoflop.data.problems import FieldMapping, build_problems
from isoflop.data.rows import read_rows, rows_where
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.registry import GenerationRequest
from isoflop.errors import UserError
from isoflop.grading.grader import is_right, make_grader
from isoflop.rehearsal.overlay import MAX_TOKENS, architecture, override
from isoflop.rehearsal.problems import PROBLEMS, file_content, problem_rows, sentences
from isoflop.rehearsal.tiny_policies import save_policy

ROOT = Path(__file__).parents[2]
PAPERS = ("wu2024", "snell2024", "beeching2024")


def data(**options: object) -> FileSource:
    entry: FileSource = TypeAdapter(Dataset).validate_python(
        {"source": "file", "path": "x.jsonl", "grader": "number"} | options
    )
    return entry


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet"])
@pytest.mark.parametrize(
    "options",
    [
        {"fields": {"prompt": "q", "answer": "a", "level": "l", "subject": "s", "solution": "w", "id": "i"}},
        {"fields": {"prompt": "q", "answer": "a", "answer_pattern": "gsm8k", "solution": "a"}},
        {"fields": {"prompt": "{x}: {y}", "answer": "a", "answer_pattern": "boxed"}},
        {
            "fields": {"prompt": "q", "answer": "a", "answer_pattern": r"The answer is:?\s*(.+)"},
            "where": {"t": ("a", "b")},
        },
        {"fields": {"prompt": "{q} {tests}", "tests": ("setup", "tests"), "solution": "c"}, "grader": "code"},
    ],
)  # fmt: skip
def test_written_problems_are_read_back_as_the_entry_maps_them(
    options: dict[str, object], ending: str
) -> None:
    entry = data(**options)
    rows = problem_rows("own", entry)
    found = rows_where(read_rows(f"x.{ending}", file_content(f"x.{ending}", rows)), entry.where)
    problems = build_problems(found, FieldMapping(**entry.fields.model_dump()), "own")
    assert len(problems) == PROBLEMS
    if entry.grader == "code":
        assert problems[0].answer.startswith("assert solve(1)")
        assert "assert" in problems[0].prompt
    else:
        assert [problem.answer for problem in problems[:3]] == ["1", "2", "3"]


def test_an_answer_that_cannot_be_invented_is_said_so() -> None:
    fields = {"prompt": "q", "answer": "a", "answer_pattern": "Antwort: (.*)"}
    with pytest.raises(UserError, match=r"datasets\.own\.fields\.answer_pattern: a rehearsal cannot write"):
        problem_rows("own", data(fields=fields))
    with pytest.raises(UserError, match=r"x\.xml: a rehearsal writes"):
        file_content("x.xml", [{"q": "1"}])


@pytest.mark.parametrize(
    ("model", "model_type", "expected"),
    [
        ("EleutherAI/pythia-410m", None, "gpt_neox"),
        ("Qwen/Qwen2.5-0.5B-Instruct", None, "qwen2"),
        ("meta-math/MetaMath-Mistral-7B", None, "mistral"),
        ("tkitsers/Llemma-metamath-7b", None, "llama"),
        ("models/pythia-like", "llama", "llama"),
        ("models/mine", "gpt_neox", "gpt_neox"),
        ("models/mine", "mamba", "llama"),
    ],
)
def test_architectures_are_those_of_the_checkpoints(
    model: str, model_type: str | None, expected: str
) -> None:
    assert architecture(model, model_type) == expected


def paper(name: str) -> Config:
    return load_config([ROOT / f"configs/{name}.yaml"], root=ROOT, unpinned=True)


@pytest.mark.parametrize("name", PAPERS)
@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_an_override_keeps_every_entry_and_changes_sizes_only(name: str, engine: str) -> None:
    config = paper(name)
    places = [f"policies.{one}" for one, entry in config.policies.items() if entry.model]
    places += [f"verifiers.{one}" for one, entry in config.verifiers.items() if getattr(entry, "model", None)]
    places += [f"training.{one}" for one in config.training]
    files = {
        one: {"revision": "0" * 40, "files": [{"path": "x.json", "sha256": "0" * 64}]}
        for one in config.datasets
    }
    changed = override(config, dict.fromkeys(places, "resources/models/policy-0.1M"), files, engine)
    raw = merge(read_yaml(ROOT / f"configs/{name}.yaml"), json.loads(json.dumps(changed)))
    small = build_config(raw, "override", ROOT)
    for section in ("datasets", "policies", "verifiers", "generators", "training", "labels"):
        assert list(getattr(small, section)) == list(getattr(config, section))
    for one, entry in small.policies.items():
        assert entry.engine == engine
        kept = {"prompt", "chat", "system", "chat_template", "step_separator", "datasets", "trained"}
        assert entry.model_dump(include=kept) == config.policies[one].model_dump(include=kept)
    for one, generator in small.generators.items():
        assert generator.kind == config.generators[one].kind
        assert generator.max_tokens == 24


def test_a_policy_behind_a_server_is_rehearsed_here() -> None:
    raw = read_yaml(ROOT / "config.yaml")
    name = next(iter(raw["policies"]))
    raw["policies"][name] |= {"engine": "server", "server": {"url": "http://127.0.0.1:1/v1"}}
    changed = override(build_config(raw, "served", ROOT), {}, {}, "transformers")
    small = build_config(merge(raw, json.loads(json.dumps(changed))), "override", ROOT)
    assert (small.policies[name].engine, small.policies[name].server) == ("transformers", None)


def test_imported_solutions_are_not_rehearsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=r"generators\.published: imports solutions"):
        cli.main(["rehearse", "configs/replay-qwen2-math-100.yaml", str(tmp_path / "made")])


def test_chains_are_rehearsed_at_their_length() -> None:
    raw = read_yaml(ROOT / "config.yaml")
    chains = {"kind": "revisions", "chains": 8, "length": 6, "largest": 16, "max_tokens": 224}
    raw = merge(raw, {"generators": {"chains": chains}})
    changed = override(build_config(raw, "chains", ROOT), {}, {}, "transformers")
    small = build_config(merge(raw, json.loads(json.dumps(changed))), "override", ROOT).chains["chains"]
    assert (small.chains, small.compared, small.chain_lengths) == (2, (1, 2, 4, 6), (6, 6))
    assert small.max_tokens == MAX_TOKENS


def test_trajectories_and_chains_are_sampled_from_few_problems_as_they_are_configured() -> None:
    config = load_config([ROOT / "configs/train-revisions.yaml"], root=ROOT)
    raw = read_yaml(ROOT / "configs/train-revisions.yaml")
    changed = override(config, {}, {}, "transformers")
    small = build_config(merge(raw, json.loads(json.dumps(changed))), "override", ROOT)
    sizes = {"samples_per_problem", "most_per_problem", "max_tokens"}
    for name, entry in small.revisions.items():
        assert (entry.samples_per_problem, entry.most_per_problem, entry.max_tokens) == (64, 2, MAX_TOKENS)
        assert entry.model_dump(exclude=sizes) == config.revisions[name].model_dump(exclude=sizes)
    for name, chains in small.chain_labels.items():
        assert (chains.chains, chains.max_tokens) == (1, MAX_TOKENS)
        theirs = config.chain_labels[name]
        assert (chains.length, chains.history) == (theirs.length, theirs.history)


@pytest.mark.parametrize("seed", range(4))
def test_random_policies_write_right_answers_and_end(seed: int, tmp_path: Path) -> None:
    answers = [str(number) for number in range(10, 26)]
    said = sentences(["\n"], ["number"], answers)
    folder = save_policy(tmp_path, "llama", said, seed, marks=["<tag>"])
    policy = TransformersPolicy(Policy(model=folder))
    requests = [GenerationRequest("How many?\n", seed=one, max_tokens=MAX_TOKENS) for one in range(256)]
    whole = [one.text for one in policy.generate(requests) if one.finish == "stop"]
    assert len(whole) > 128
    with make_grader("number") as grader:
        # Those of any four problems, with a quarter of the samples each, are among them.
        for four in (answers[start : start + 4] for start in range(0, 16, 4)):
            assert (
                sum(is_right(grader, text, answer, truncated=False) for text in whole for answer in four) >= 8
            )


def test_sentences_hold_steps_answers_and_programs() -> None:
    said = sentences(["\n\n"], ["math", "code"])
    assert any(one.endswith("\n\n") for one in said)
    assert any("boxed" in one for one in said)
    assert any("def solve" in one for one in said)
    assert not any("def solve" in one for one in sentences(["\n"], ["math"]))
