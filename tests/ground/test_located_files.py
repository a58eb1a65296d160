"""Where files are that a config names, and models that the experiment trained."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop import files
from isoflop.files import located, of_run

SHIPPED = "resources/models/policy-0.1M"


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A clone without the model, and an installed package's data with it."""
    clone, data = tmp_path / "clone", tmp_path / "data"
    (clone / "resources").mkdir(parents=True)
    (data / SHIPPED).mkdir(parents=True)
    (data / "models/mine").mkdir(parents=True)
    monkeypatch.setattr(files, "_HOMES", (clone, data))
    return clone, data


def test_the_working_directory_comes_first_then_what_is_shipped(
    homes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone, data = homes
    monkeypatch.chdir(tmp_path)
    assert located(SHIPPED) == data / SHIPPED
    (clone / SHIPPED).mkdir(parents=True)
    assert located(SHIPPED) == clone / SHIPPED
    Path(SHIPPED).mkdir(parents=True)
    assert located(SHIPPED) == Path(SHIPPED)
    assert located(SHIPPED, tmp_path / "elsewhere") == clone / SHIPPED


@pytest.mark.parametrize("path", ["models/mine", "resources/none", "owner/name", "/models/mine"])
def test_nothing_else_is_looked_for_elsewhere(path: str, homes: tuple[Path, Path]) -> None:
    assert located(path) == Path(path)


NAMES = st.sampled_from(["a", "b", "ab"])
FOLDERS = st.lists(NAMES | st.just("results"), max_size=4).map(lambda names: "".join(f"{n}/" for n in names))


@given(FOLDERS, NAMES, NAMES, NAMES)
def test_a_trained_model_is_under_the_folder_of_the_output(
    folder: str, experiment: str, model: str, table: str
) -> None:
    trained = f"results/{experiment}/train/{model}"
    assert of_run(trained, f"{folder}results/{experiment}/sample/{table}") == folder + trained


@pytest.mark.parametrize(
    ("path", "output"),
    [
        ("results/other/train/m", "below/results/study/sample/a"),
        ("results/study/train/m", "below/myresults/study/sample/a"),
        ("resources/models/m", "below/resources/models/m"),
        ("results/study/train/m", ""),
    ],
)
def test_other_paths_stay(path: str, output: str) -> None:
    assert of_run(path, output) == path
