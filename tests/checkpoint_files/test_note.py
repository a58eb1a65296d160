"""What is kept beside a trained checkpoint, and what a changed byte of it comes to."""

import json
from pathlib import Path

import pytest

from isoflop.checkpoint_files.note import NOTE, Convention, check_sums, file_sum, read_note, write_note
from isoflop.errors import UserError

SHIPPED = sorted((Path(__file__).parents[2] / "resources" / "models").iterdir())
READ = Convention(prompt="{problem}\n", step_tag=" ки", good_token=" +", bad_token=" -", history=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(bytes(range(100)))
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "README.md").write_text("A card.", encoding="utf-8")
    write_note(tmp_path, READ)
    return tmp_path


def test_the_note_names_what_loading_reads(folder: Path) -> None:
    note = read_note(folder)
    assert note is not None
    assert sorted(note.files) == ["config.json", "model.safetensors"]
    assert note.convention == READ
    (folder / "README.md").write_text("Another card.", encoding="utf-8")
    check_sums(folder)


@pytest.mark.parametrize("place", [0, 50, 99])
def test_a_changed_byte_is_refused_with_the_file(folder: Path, place: int) -> None:
    check_sums(folder)
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"model\.safetensors: is not the file that was trained .*copy it again"
    ):
        check_sums(folder)


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"config\.json is missing; copy it again"):
        check_sums(folder)


ADDED = [
    "model.safetensors.index.json", "adapter_model.safetensors", "chat_template.jinja", "tokenizer.json",
    "generation_config.json", "adapter_config.json", "vocab.txt", "tokenizer.model", "pytorch_model.bin",
    "additional_chat_templates/tools.jinja",
]  # fmt: skip


@pytest.mark.parametrize("name", ADDED)
def test_an_added_file_that_loading_may_read_is_refused(name: str, folder: Path) -> None:
    check_sums(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"{}")
    with pytest.raises(UserError, match=rf"{name}: was not there when the model was trained.*; take it away"):
        check_sums(folder)
    told = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    told["files"][name] = file_sum(folder / name)
    (folder / NOTE).write_text(json.dumps(told), encoding="utf-8")
    check_sums(folder)


@pytest.mark.parametrize("name", ["README.md", "loss.png", ".gitattributes", "figures/loss.json"])
def test_what_loading_does_not_read_may_be_added(name: str, folder: Path) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"{}")
    check_sums(folder)


def test_what_was_changed_on_purpose_gets_a_new_sum(folder: Path) -> None:
    (folder / "config.json").write_text('{"max_position_embeddings": 5}', encoding="utf-8")
    with pytest.raises(UserError, match=r"put its own \(sha256sum\) there"):
        check_sums(folder)
    told = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    told["files"]["config.json"] = file_sum(folder / "config.json")
    (folder / NOTE).write_text(json.dumps(told), encoding="utf-8")
    check_sums(folder)


def test_folders_without_a_note_are_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"anything")
    check_sums(tmp_path)
    assert read_note(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"files": 1}', '{"files": {"a": "no sum"}}', '{"files": {}, "more": 1}', "[" * 100_000],
)
def test_a_note_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / NOTE).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"isoflop\.json: cannot be read"):
        check_sums(tmp_path)


@pytest.mark.parametrize("model", SHIPPED, ids=lambda model: model.name)
def test_shipped_models_are_what_they_were_and_say_how_they_are_read(model: Path) -> None:
    note = read_note(model)
    assert note is not None
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(note.files)
    check_sums(model)
    assert (note.convention is not None) == model.name.startswith(("prm", "orm"))
