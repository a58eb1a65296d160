"""The command line of a stage: where its specification may be, what a job may use, wrong usage."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from isoflop import stages
from isoflop.errors import UserError
from isoflop.files import read_json
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.runtime import Runtime

STAGES = sorted(path.stem for path in Path(stages.__path__[0]).glob("*.py") if not path.stem.startswith("_"))
TEXT = '{"a": 1}'


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int


@pytest.fixture
def command() -> StageCommand:
    return StageCommand("x", "What it does.", File("inputs", "some tables", many="+"), File("out", "a table"))


def test_a_specification_is_the_same_from_wherever_it_comes(
    command: StageCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spec.json").write_text(f"{TEXT}\n")
    # A here-string ends in a newline.
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{TEXT}\n".encode())))
    for argument in (TEXT, f"@{tmp_path / 'spec.json'}", "-"):
        given = command.read(Asked, [argument, "i", "j", "o"])
        assert (given.text, given.spec) == (TEXT, Asked(a=1)), argument
        assert (given.files.inputs, given.files.out) == (["i", "j"], "o")
        assert given.runtime == Runtime(output="o")


def test_what_a_job_may_use_stands_before_or_after_the_rest(command: StageCommand) -> None:
    option = ["--runtime", '{"chunk_problems": 3}']
    for arguments in ([*option, TEXT, "i", "o"], [TEXT, "i", "o", *option]):
        assert command.read(Asked, arguments).runtime.chunk() == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([TEXT], "the following arguments are required: INPUTS, OUT (usage: python -m isoflop.stages.x"),
        ([TEXT, "i", "o", "--run", "{}"], "unrecognized arguments: --run {} (usage:"),
        (["@nowhere.json", "i", "o"], "SPEC @nowhere.json: cannot be read as text ("),
        (["spec.json", "i", "o"], "SPEC 'spec.json': is neither JSON nor @FILE nor - (standard input)"),
        (['{"a": 1', "i", "o"], "x specification: is not JSON ("),
        (
            ['{"b": 1}', "i", "o"],
            "x specification: a: this key is missing; it has no default; b: unknown key",
        ),
        (["--runtime", "{", TEXT, "i", "o"], "--runtime: is not JSON ("),
        (["--runtime", '{"gpu": 1}', TEXT, "i", "o"], "--runtime: gpu: unknown key; did you mean 'gpus'?"),
        (
            ["--runtime", '{"batch_size": 0}', TEXT, "i", "o"],
            "--runtime: batch_size: 0 is not allowed: must be",
        ),
        (
            ["--runtime", '{"models": {"m": {"gpus": "a"}}}', TEXT, "i", "o"],
            "--runtime: models.m.gpus: 'a' is",
        ),
    ],
)
def test_wrong_usage_is_told_in_one_line(command: StageCommand, arguments: list[str], says: str) -> None:
    with pytest.raises(UserError) as error:
        command.read(Asked, arguments)
    assert str(error.value).startswith(says)
    assert "\n" not in str(error.value)


def test_by_hand_a_stage_has_what_it_always_had() -> None:
    usual = Runtime()
    assert (usual.gpus, usual.gpus_given, usual.batch_size, usual.batch_tokens) == (None, False, 512, 8192)
    assert (usual.chunk(), usual.chunk(100), usual.graders, usual.allow_unsandboxed) == (25, 100, 1, False)
    assert (usual.of_model("m").gpus, usual.of_model("m").memory_share) == (1, 0.9)
    assert read_json(Runtime, '{"chunk_problems": 7}', "--runtime").chunk(100) == 7


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_says_how_it_is_called(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    main = __import__(f"isoflop.stages.{stage}", fromlist=["main"]).main
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert told.startswith(f"usage: python -m isoflop.stages.{stage} [-h] [--runtime JSON]")
    with pytest.raises(UserError, match=rf"required: .* \(usage: python -m isoflop\.stages\.{stage} "):
        main([])


def test_a_specification_of_megabytes_goes_in_by_standard_input(tmp_path: Path) -> None:
    """Linux allows an argument 128 KB; what is wrong is told at the end of one line all the same."""
    rows = [{"question": f"{number}?", "answer": "1"} for number in range(3)]
    path = tmp_path / "set.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = {"source": "file", "path": str(path), "fields": {"prompt": "question", "answer": "answer"}}
    spec = json.dumps({"dataset": dataset | {"grader": "number"}, "mirror": "x" * 2**21, "version": 1})
    command = [sys.executable, "-m", "isoflop.stages.problems", "-", str(tmp_path / "out.parquet")]
    done = subprocess.run(command, input=spec, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, f"problems: 3 from {path}\n")
