"""Folders whose weights are not there, not whole, or pickled."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from isoflop.checkpoint_files.folder import INDEX, SINGLE, check_weights, weight_files
from isoflop.errors import UserError


def shard(folder: Path, name: str, *tensors: str) -> None:
    save_file({tensor: np.ones(2, dtype=np.float32) for tensor in tensors}, folder / name)


def index(folder: Path, files: object) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": files}), encoding="utf-8")


def test_one_file_or_all_that_the_index_names(tmp_path: Path) -> None:
    shard(tmp_path, SINGLE, "a")
    assert weight_files(tmp_path) == [tmp_path / SINGLE]
    (tmp_path / SINGLE).unlink()
    index(tmp_path, {"a": "1.safetensors", "b": "2.safetensors"})
    shard(tmp_path, "1.safetensors", "a")
    shard(tmp_path, "2.safetensors", "b")
    assert weight_files(tmp_path) == [tmp_path / "1.safetensors", tmp_path / "2.safetensors"]
    check_weights(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model.pt"])
def test_pickles_are_refused_by_name_with_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04N.")
    with pytest.raises(
        UserError, match=rf"as {name} and no model.safetensors; .*save it again as safetensors"
    ):
        check_weights(tmp_path)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (None, "has no weights; put model.safetensors there"),
        ({"a": "1.safetensors", "b": "gone.safetensors"}, "names gone.safetensors, which is not there"),
        ({"a": "1.safetensors", "b": "1.safetensors"}, "names tensor 'b', which its file has not"),
        ({"a": "../1.safetensors"}, "names '../1.safetensors', which is no safetensors file of this folder"),
        ({"a": "1.bin"}, "names '1.bin', which is no safetensors file"),
        ({"a": 5}, "names 5, which is no safetensors file"),
        ([], "weight_map is no mapping"),
        ({"a": "1.safetensors", "c": "2.safetensors"}, "'a' is both in 1.safetensors and in 2.safetensors"),
    ],
)
def test_folders_that_are_not_whole_are_refused(tmp_path: Path, files: object, says: str) -> None:
    shard(tmp_path, "1.safetensors", "a")
    shard(tmp_path, "2.safetensors", "a", "c")
    if files is not None:
        index(tmp_path, files)
    with pytest.raises(UserError, match=says):
        check_weights(tmp_path)


def test_one_file_beside_an_index_is_refused(tmp_path: Path) -> None:
    """Transformers reads the one file, other programs what the index names."""
    shard(tmp_path, SINGLE, "a")
    shard(tmp_path, "1.safetensors", "a")
    index(tmp_path, {"a": "1.safetensors"})
    with pytest.raises(UserError, match=rf"has both {SINGLE} and {INDEX}.*; keep the one"):
        check_weights(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"transformers_weights": "adapter_model.bin"},
        {"text_config": {"transformers_weights": "adapter_model.bin"}},
    ],
)
def test_a_config_that_names_other_weights_is_refused(config: object, tmp_path: Path) -> None:
    shard(tmp_path, SINGLE, "a")
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError, match=r"names 'adapter_model\.bin' as its weights .*; take that key out"):
        check_weights(tmp_path)
