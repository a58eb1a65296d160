"""A training spread over processes is the training of one; killed, it goes on to the same weights."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from problem_tables import write_problems
from transformers import AutoModelForCausalLM

from isoflop.config.loading import build_config
from isoflop.errors import UserError
from isoflop.files import write_table
from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.stages import train
from isoflop.tables import LABELS


def spec(model: str, **changes: object) -> str:
    recipe = {
        "kind": "policy",
        "init": {"model": model},
        "data": {"dataset": "a", "held_out": "b"},
        "epochs": 2,
        "batch_size": 8,
        "device_batch_size": 2,
        "learning_rate": 0.002,
        "weight_decay": 0.01,
        "seed": 1,
        **changes,
    }
    return json.dumps({"name": "t", "training": recipe, "grader": "number", "regenerate": "x", "version": 1})


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("problems")
    # 61 examples: the last step of an epoch has five, two device batches of two and one of one.
    train_path = write_problems(folder / "train.parquet", "train", 61, seed=3, levels=(1, 2))
    dev_path = write_problems(folder / "dev.parquet", "dev", 8, seed=3, levels=(1, 2))
    return [str(train_path), str(dev_path)]


@pytest.fixture(scope="module")
def pythia(tmp_path_factory: pytest.TempPathFactory, paths: list[str]) -> Path:
    """A folder with a model of Pythia's architecture, and what two processes made of it."""
    folder = tmp_path_factory.mktemp("pythia")
    train.main([spec(save_tiny(folder / "model", "gpt-neox"), gpus=2), *paths, str(folder / "2")])
    return folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory, paths: list[str]) -> Path:
    """The same of a model whose embeddings are tied."""
    folder = tmp_path_factory.mktemp("llama")
    train.main([spec(save_tiny(folder / "model", "llama"), gpus=2), *paths, str(folder / "2")])
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(AutoModelForCausalLM.from_pretrained(folder).state_dict())


def losses(folder: Path) -> list[float]:
    card = (folder / "README.md").read_text(encoding="utf-8")
    rows = card.split("## Loss curve")[1].splitlines()[4:]
    return [float(row.split("|")[2]) for row in rows if row.count("|") == 3 and row[2].isdigit()]


@pytest.mark.parametrize("architecture", ["pythia", "llama"])
def test_two_processes_train_what_one_trains(
    architecture: str, request: pytest.FixtureRequest, tmp_path: Path, paths: list[str]
) -> None:
    folder: Path = request.getfixturevalue(architecture)
    train.main([spec(str(folder / "model"), gpus=1), *paths, str(tmp_path / "1")])
    alone, together = weights(tmp_path / "1"), weights(folder / "2")
    begun = weights(folder / "model")
    moved = max(float((alone[name] - begun[name]).abs().max()) for name in alone)
    apart = max(float((alone[name] - together[name]).abs().max()) for name in alone)
    assert moved > 0.005
    assert apart < 0.02 * moved
    assert len(losses(tmp_path / "1")) == 16
    assert losses(folder / "2") == pytest.approx(losses(tmp_path / "1"), abs=2e-4)
    assert not [*tmp_path.glob(".*.work"), *folder.glob(".*.work")]


def test_reward_models_are_shared_out_alike(tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model", "llama")
    rows = [
        {
            "problem_id": f"p{number}",
            "prompt": "How many?",
            "policy": "p",
            "steps": ["1 + 1 = 2.\n", f"The answer is {number}."],
            "labels": [1.0, float(number % 2)],
            "truth": None,
        }
        for number in range(20)
    ]
    columns = {name: [row[name] for row in rows] for name in LABELS.names}
    write_table(tmp_path / "l.parquet", columns, LABELS, {})
    recipe = {"kind": "prm", "data": {"labels": "a", "held_out": "b"}}
    for gpus in (1, 2):
        path = str(tmp_path / "l.parquet")
        train.main([spec(model, gpus=gpus, **recipe), path, path, str(tmp_path / str(gpus))])
    alone, together = weights(tmp_path / "1"), weights(tmp_path / "2")
    assert max(float((alone[name] - together[name]).abs().max()) for name in alone) < 1e-4


def test_a_killed_training_goes_on_from_its_last_step(pythia: Path, tmp_path: Path, paths: list[str]) -> None:
    text = spec(str(pythia / "model"), gpus=2)
    out = tmp_path / "resumed"
    command = [sys.executable, "-m", "isoflop.stages.train", text, *paths, str(out)]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 240
    while not list(tmp_path.glob(".resumed.*.work/step-*/state.json")):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    train.main([text, *paths, str(out)])
    whole, resumed = weights(pythia / "2"), weights(out)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert losses(out) == losses(pythia / "2")


def test_what_no_process_can_do_is_said_without_a_traceback(tmp_path: Path, paths: list[str]) -> None:
    model = save_tiny(tmp_path / "model", "gpt-neox")
    with pytest.raises(UserError, match=r"training on 2 processes: .*max_length 600 is more than"):
        train.main([spec(model, gpus=2, max_length=600), *paths, str(tmp_path / "o")])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"gpus": 3}, "3 gpus, 2 at once each, do not share batch_size 8 evenly"),
        ({"gpus": 2, "optimizer": "muon"}, "optimizer muon runs on one GPU"),
        (
            {
                "kind": "prm",
                "gpus": 2,
                "surprise_weight": 1.0,
                "init": {"model": "m", "extra_layers": 4},
                "data": {"labels": "l", "held_out": "l"},
            },
            "surprise_weight is for trainings on one GPU",
        ),
    ],
)
def test_recipes_that_cannot_be_shared_out_are_refused(changes: dict[str, object], says: str) -> None:
    raw = {
        "experiment": "x",
        "seed": 1,
        "datasets": {"a": {"source": "wordproblems", "split": "train", "size": 4}},
        "training": {"t": json.loads(spec("m", **changes))["training"]},
    }
    with pytest.raises(UserError, match=says):
        build_config(raw, "x.yaml", Path())
