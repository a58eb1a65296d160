"""The config that another workflow gives: its values as a config file has them, its faults with places."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from isoflop.config.loading import default_config, load_config, load_given
from isoflop.errors import UserError

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "config.yaml").read_text(encoding="utf-8")


@pytest.fixture
def content() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(TEXT)
    return loaded


def test_it_is_the_config_of_the_file(content: dict[str, Any]) -> None:
    assert load_given(content, root=ROOT) == load_config([ROOT / "config.yaml"], root=ROOT)


def test_numbers_and_days_are_what_a_config_file_has_for_them(content: dict[str, Any]) -> None:
    # YAML 1.1 reads the first as text and the second as a day.
    loosely = yaml.safe_load("level: 1e-1\ntitle: 2026-11-28")
    content["bootstrap"]["level"], content["title"] = loosely["level"], loosely["title"]
    given = load_given(content, root=ROOT)
    assert (given.bootstrap.level, given.title) == (0.1, "2026-11-28")


def test_what_the_command_line_says_is_read_as_ever(content: dict[str, Any]) -> None:
    given = load_given(content | {"budgets": ["1", "2"]}, overrides={"budgets": ["1", "2"]}, root=ROOT)
    assert given.budgets == (1, 2)


@pytest.mark.parametrize("own", [True, False])
def test_faults_are_told_with_the_files_that_were_read(own: bool, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT + "headline: {selector: majority}\n", encoding="utf-8")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not own:
        # A part of a bigger config: its file says nothing of this one.
        path.write_text(yaml.safe_dump({"study": content}), encoding="utf-8")
        assert load_given(content, [path], root=ROOT).seed == 20241120
        return
    with pytest.raises(UserError, match=r"mine\.yaml, line \d+, column 1: key 'headline' is here twice"):
        load_given(content, [path], root=ROOT)


def test_faults_of_a_config_from_nowhere_are_the_modules(content: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="config of the module: 1 fault in the config\n  sed: unknown key"):
        load_given(content | {"sed": 1}, root=ROOT)
    with pytest.raises(UserError, match="config of the module: 3 faults"):
        load_given({}, root=ROOT)


def test_without_a_name_it_is_the_one_here_or_that_of_the_workflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "source"
    assert default_config(source) == Path("config.yaml")
    for path in (source / "config.yaml", Path("config/config.yaml"), Path("config.yaml")):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        assert default_config(source) == path
