"""Configs that attack their reader: one line on standard error and exit code 2, soon, and nothing else."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_config import GOOD, _changed

from isoflop import cli
from isoflop.config.checks import rule_name
from isoflop.config.loading import build_config, read_yaml
from isoflop.errors import run_main

ROOT = Path(__file__).parents[2]
CASES = yaml.safe_load((ROOT / "tests/cases/hostile_configs.yaml").read_text(encoding="utf-8"))
_REPEATED = re.compile(r"\{(\d+)\*(.*?)\}", re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the files that the good config names."""
    (tmp_path / "models/small").mkdir(parents=True)
    (tmp_path / "models/small/config.json").write_text("{}")
    (tmp_path / "own.csv").write_text("q,a\n1+1,2\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _written(text: str) -> str:
    return _REPEATED.sub(lambda found: found[2] * int(found[1]), text)


def _files(case: dict[str, Any], folder: Path) -> list[str]:
    """The config files of a case."""
    if "file" in case:
        return [_written(case["file"])]
    path = folder / "hostile.yaml"
    if "set" in case:
        raw = _changed(yaml.safe_load(GOOD), {"set": case["set"]})
        if "keys" in case:  # a copy of an entry under a name that no path can have
            section, name = case["keys"]
            raw[section][name] = copy.deepcopy(raw[section][name.partition(".")[0]])
        path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    else:
        path.write_bytes(bytes.fromhex(case["hex"]) if "hex" in case else _written(case["text"]).encode())
    if "over" not in case:
        return [path.name]
    (folder / "over.yaml").write_text(_written(case["over"]), encoding="utf-8")
    return [path.name, "over.yaml"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_hostile_config_is_one_line(
    case: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["isoflop", "check", *_files(case, folder)])
    with pytest.raises(SystemExit) as ended:
        run_main(cli.main)
    assert ended.value.code == 2
    out, said = capsys.readouterr()
    assert case["says"] in said
    first, *faults = said.rstrip("\n").split("\n")
    assert first.startswith("error: ")
    assert all(fault.startswith("  ") for fault in faults)
    assert len(faults) == (int(first.split(": ")[-1].split()[0]) if faults else 0)
    assert len(first) < 6000
    assert not set(said) & {"\x1b", "\0"}
    assert not (folder / "hacked").exists()
    assert out == ""


def test_what_looks_hostile_and_is_not_is_taken(folder: Path) -> None:
    """Aliases, merges, literal braces, names that end as files do, a deep config of many keys."""
    (folder / "good.yaml").write_text(GOOD, encoding="utf-8")
    text = """
    shared: &shared {max_tokens: 24, max_step_tokens: 8}
    tree: {<<: *shared, kind: rebase, budgets: [4]}
    other: *shared
    """
    path = folder / "shared.yaml"
    path.write_text(text, encoding="utf-8")
    shared = read_yaml(path)
    assert shared["tree"] == {"max_tokens": 24, "max_step_tokens": 8, "kind": "rebase", "budgets": [4]}
    raw = read_yaml(folder / "good.yaml")
    raw["generators"] |= {"tree.usage": shared["tree"], "sampling-2": raw["generators"]["sampling"]}
    raw["policies"]["small"]["prompt"] = "{problem} \\boxed{{}} {{problem:d}}"
    config = build_config(raw, "good", folder)
    prompt = config.policies["small"].prompt
    assert prompt.format(problem="1 + 1") == "1 + 1 \\boxed{} {problem:d}"
    assert rule_name("gather_trees", "words", "small", "tree.usage") == "gather_trees_words_small_tree_usage"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("[" * 5000, "cannot be read as YAML"),
        ("{a: &a [x, x], b: [*a, *a]}", "aliases"),
    ],
)
def test_hostile_overrides_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, value: str, says: str
) -> None:
    (folder / "good.yaml").write_text(GOOD, encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["isoflop", "plan", "good.yaml", "--config", f"title={value}"])
    with pytest.raises(SystemExit) as ended:
        run_main(cli.main)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
