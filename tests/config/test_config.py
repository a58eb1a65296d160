"""Good configs are read as written; bad ones are refused by key, value and what is allowed."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from isoflop.config import docs as config_docs
from isoflop.config.checks import unpinned
from isoflop.config.loading import build_config, load_config, merge, read_overrides, read_yaml
from isoflop.config.study import Config, config_yaml
from isoflop.errors import UserError

ROOT = Path(__file__).parents[2]
BAD = yaml.safe_load((ROOT / "tests/cases/bad_configs.yaml").read_text(encoding="utf-8"))

GOOD = """
experiment: good
seed: 7
datasets:
  words: {source: wordproblems, split: test, size: 6}
  train: {source: wordproblems, split: train, size: 6}
  dev: {source: wordproblems, split: dev, size: 6}
  gsm8k:
    source: hub
    repo: openai/gsm8k
    config: main
    split: test
    revision: 0123456789abcdef0123456789abcdef01234567
    files:
      - path: test.jsonl
        sha256: 3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14
    fields: {prompt: question, answer: answer, answer_pattern: gsm8k}
    grader: number
  own: {source: file, path: own.csv, fields: {prompt: q, answer: a}, grader: math}
policies:
  small: {model: models/small}
  tuned: {trained: base}
verifiers:
  prm: {kind: math-shepherd, trained: prm, prompt: "{problem}\\n"}
generators:
  greedy: {kind: greedy, max_tokens: 16}
  sampling: {kind: sampling, samples: 4, max_tokens: 16}
budgets: [1, 2, 4]
selectors: [majority, weighted, best_of_n, pass]
step_aggregations: [last, min]
headline: {selector: weighted}
bootstrap: {draws: 1000}
training:
  base:
    kind: policy
    init: {architecture: {hidden_size: 32, layers: 1, heads: 2, kv_heads: 2, intermediate_size: 64}}
    data: {dataset: train, held_out: dev}
    epochs: 1
    batch_size: 8
    learning_rate: 1e-3
    seed: 1
  prm:
    kind: prm
    init: {trained: base}
    data: {labels: rollouts, held_out: rollouts}
    epochs: 1
    batch_size: 8
    learning_rate: 1e-3
    seed: 1
labels:
  rollouts:
    problems: train
    policies: [small]
    samples_per_problem: 2
    completer: small
    rollouts: 2
    max_tokens: 16
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with the files that the good config names."""
    (tmp_path / "models/small").mkdir(parents=True)
    (tmp_path / "models/small/config.json").write_text("{}")
    (tmp_path / "own.csv").write_text("q,a\n1+1,2\n")
    (tmp_path / "good.yaml").write_text(GOOD, encoding="utf-8")
    return tmp_path


@pytest.fixture
def good(folder: Path) -> dict[str, Any]:
    return read_yaml(folder / "good.yaml")


def _holder(raw: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *parents, last = path.split(".")
    for part in parents:
        raw = raw[part]
    return raw, last


def _changed(raw: dict[str, Any], case: dict[str, Any]) -> dict[str, Any]:
    raw = copy.deepcopy(raw)
    for path in case.get("delete", []):
        holder, key = _holder(raw, path)
        del holder[key]
    for path, value in case.get("set", {}).items():
        holder, key = _holder(raw, path)
        holder[key] = value
    return raw


def test_a_good_config_is_read_as_written(folder: Path) -> None:
    config = load_config([folder / "good.yaml"], root=folder)
    assert config.training["base"].learning_rate == 1e-3
    assert config.generators["sampling"].temperature == 1.0
    assert config.budgets == (1, 2, 4)
    assert config.studies
    assert config.studied_datasets == ("words", "gsm8k", "own")


def test_what_is_not_pinned_yet_can_be_planned_but_not_run(folder: Path) -> None:
    over = {"policies": {"small": {"model": "owner/name", "revision": "unpinned"}}}
    config = load_config([folder / "good.yaml"], over, root=folder, unpinned=True)
    assert config.policies["small"].revision == "unpinned"
    [fault] = unpinned(config)
    assert fault.startswith("policies.small.revision: not pinned yet")


@pytest.mark.parametrize("case", BAD, ids=[case["name"] for case in BAD])
def test_a_bad_config_is_refused_with_a_useful_message(
    case: dict[str, Any], good: dict[str, Any], folder: Path
) -> None:
    with pytest.raises(UserError) as caught:
        build_config(_changed(good, case), "bad.yaml", folder)
    message = str(caught.value)
    assert message.startswith("bad.yaml: ")
    for part in case["says"]:
        assert part in message, message
    for part in case.get("hides", []):
        assert part not in message, message


def test_every_fault_is_its_own_line(good: dict[str, Any], folder: Path) -> None:
    good |= {"budgets": [2, 1], "mirror": "nowhere"}
    with pytest.raises(UserError) as caught:
        build_config(good, "bad.yaml", folder)
    first, *lines = str(caught.value).splitlines()
    assert first == "bad.yaml: 2 faults in the config"
    assert sorted(line.split(":")[0].strip() for line in lines) == ["budgets[1]", "mirror"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed: 1\nseed: 2\n", ["line 2", "key 'seed' is here twice (first in line 1)"]),
        ("a:\n  b: 1\n  b: 2\n", ["line 3", "key 'b' is here twice (first in line 2)"]),
        ("1: x\n", ["line 1", "key '1' is not text"]),
        ("seed: [1, 2\n", ["line 2"]),
        ("seed: 'open\n", ["line"]),
        ("seed: *lost\n", ["line 1", "lost"]),
        ("seed: !!python/object/apply:os.getcwd []\n", ["line 1", "is no part of a config"]),
        ("", ["is empty; a config is a mapping"]),
        ("- 1\n", ["is a list; a config is a mapping"]),
    ],
)
def test_broken_yaml_is_refused_by_line(text: str, says: list[str], tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    message = str(caught.value)
    for part in ["broken.yaml", *says]:
        assert part in message, message


def test_a_missing_or_foreign_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lost\.yaml: cannot be read \(No such file"):
        read_yaml(tmp_path / "lost.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"title: \xe9\n")
    with pytest.raises(UserError, match=r"latin\.yaml: not UTF-8"):
        read_yaml(tmp_path / "latin.yaml")


def test_yaml_reads_numbers_dates_and_merges_as_meant(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "rate: 1e-3\nplain: 12\nhalf: .5\nnegative: -1.5E+2\nday: 2024-11-20\ncommit: '12e4'\n"
        "base: &base {a: 1, b: 2}\nover: {<<: *base, b: 3}\n",
        encoding="utf-8",
    )
    assert read_yaml(path) == {
        "rate": 1e-3,
        "plain": 12,
        "half": 0.5,
        "negative": -150.0,
        "day": "2024-11-20",
        "commit": "12e4",
        "base": {"a": 1, "b": 2},
        "over": {"a": 1, "b": 3},
    }


def test_later_files_win_key_by_key_and_overrides_last(folder: Path) -> None:
    (folder / "more.yaml").write_text("bootstrap: {draws: 200}\nbudgets: [1, 4]\n", encoding="utf-8")
    config = load_config(
        [folder / "good.yaml", folder / "more.yaml"], {"bootstrap": {"level": "0.9"}}, root=folder
    )
    assert (config.bootstrap.draws, config.bootstrap.level) == (200, 0.9)
    assert config.budgets == (1, 4)
    assert config.seed == 7


def test_overrides_read_text_as_a_config_file_does() -> None:
    given = {
        "mirror": "null",
        "budgets": ["1", "2"],
        "bootstrap": {"draws": "200"},
        "title": "a: b",
        "seed": 3,
    }
    assert read_overrides(given) == {
        "mirror": None,
        "budgets": [1, 2],
        "bootstrap": {"draws": 200},
        "title": "a: b",
        "seed": 3,
    }


def test_merging_leaves_both_sides_alone() -> None:
    base, over = {"a": {"b": 1}}, {"a": {"c": 2}}
    assert merge(base, over) == {"a": {"b": 1, "c": 2}}
    assert (base, over) == ({"a": {"b": 1}}, {"a": {"c": 2}})


def test_provenance_is_the_whole_config_but_for_engine_settings(folder: Path) -> None:
    config = load_config([folder / "good.yaml"], root=folder)
    written = yaml.safe_load(config_yaml(config))
    assert "engine_settings" not in written
    assert written["bootstrap"] == {"draws": 1000, "level": 0.95}
    again = build_config(written, "again", folder)
    assert again == config


def test_a_folder_is_told_from_a_hub_model(folder: Path, good: dict[str, Any]) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    good["policies"]["small"] = {"model": "owner/name", "revision": commit}
    assert build_config(good, "x", folder).policies["small"].revision == commit


@pytest.mark.parametrize(
    ("name", "text"),
    [(config_docs.SCHEMA_FILE, config_docs.schema_text), (config_docs.PAGE_FILE, config_docs.reference_page)],
)
def test_schema_and_reference_are_what_the_model_says(name: str, text: Any) -> None:
    written = (ROOT / config_docs.FOLDER / name).read_text(encoding="utf-8")
    assert written == text(), "run `isoflop docs`"


def test_the_schema_agrees_with_the_model(good: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(good, config_docs.schema())
    for wrong in ({"seed": "3"}, {"selektors": []}, {"policies": {"a/b": {"model": "x"}}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(good | wrong, config_docs.schema())


def test_every_key_is_explained() -> None:
    def unexplained(node: Any, place: str) -> list[str]:
        found = []
        for key, value in node.get("properties", {}).items():
            if not value.get("description"):
                found.append(f"{place}.{key}")
        return found

    schema = config_docs.schema()
    entries = {"Config": schema, **schema["$defs"]}
    assert len(entries) > 15
    assert [line for name, entry in entries.items() for line in unexplained(entry, name)] == []


@pytest.mark.parametrize("path", [ROOT / "config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))], ids=str)
def test_shipped_configs_fit_the_model(path: Path) -> None:
    config = Config.model_validate_json(json.dumps(read_yaml(path)))
    assert path.name == "config.yaml" or config.experiment == path.stem
