"""Files that are not what they should be: stages and commands name them in one line, never a traceback."""

import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import pytest
from small_pool import SPEC as SELECT
from small_pool import Study

from isoflop import cli
from isoflop.errors import run_main
from isoflop.files import write_table
from isoflop.stages import grade, problems, replay, select
from isoflop.tables import PROBLEMS

REPOSITORY = Path(__file__).parents[2]
DIGITS = b"7" * 5000
BAD: dict[str, bytes | str] = {
    "empty": b"",
    "zeros": b"\0" * 4096,
    "not UTF-8": b'{"question": "\xff\xfe", "answer": "1"}\n',
    "nested": b"[" * 200_000,
    "nested objects": b'{"a":' * 200_000,
    "five thousand digits": b'{"question": ' + DIGITS + b', "answer": "1", "seed": ' + DIGITS + b"}\n",
    "cut": b'{"question": "a", "answer"',
    "a folder": "folder",
    "a broken link": "link",
}


def place(path: Path, name: str) -> Path:
    """A bad file called `path`."""
    content = BAD[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    if content == "folder":
        path.mkdir()
    elif content == "link":
        path.symlink_to(path.parent / "nowhere")
    else:
        assert isinstance(content, bytes)
        path.write_bytes(content)
    return path


class Ends(Protocol):
    """Runs a program on arguments; gives the line that it ends with."""

    def __call__(self, main: Callable[[Sequence[str]], None], *arguments: object) -> str: ...


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ends:
    """What a program ends with on standard error; anything but a fault in one line is a failure."""

    def run(main: Callable[[Sequence[str]], None], *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run_main(main)
        assert ended.value.code == 2
        told = capsys.readouterr().err.splitlines()
        [line] = [line for line in told if line.startswith("error: ")]
        assert told[-1] == line or "config" in line, told
        assert "Traceback" not in "".join(told)
        assert len(line) < 1500, line[:2000]
        return line

    return run


def dataset(path: Path) -> str:
    fields = {"prompt": "question", "answer": "answer"}
    entry = {"source": "file", "path": str(path), "fields": fields, "grader": "number"}
    return json.dumps({"dataset": entry, "mirror": None, "version": 1})


def imported(path: Path) -> str:
    size = {"parameters": 8000, "layers": 2, "attention_width": 16}
    generator = {
        "kind": "import", "format": "table", "dataset": "d", "characters_per_token": 4.0,
        "sources": [{"policy": "p", "files": [{"path": str(path)}]}],
    }  # fmt: skip
    return json.dumps(
        {"generator": generator, "policy": {"size": size}, "verifiers": [], "mirror": None, "code": "c"}
    )


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet", "eval"])
def test_a_file_of_problems(
    name: str,
    ending: str,
    tmp_path: Path,
    ends: Ends,
) -> None:
    path = place(tmp_path / f"bad.{ending}", name)
    line = ends(problems.main, dataset(path), tmp_path / "out.parquet")
    assert f"bad.{ending}" in line or "data set 'bad' has no problems" in line
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet", "jsonl.gz"])
def test_a_file_of_solutions(
    name: str,
    ending: str,
    tmp_path: Path,
    ends: Ends,
) -> None:
    columns: dict[str, list[object]] = {
        "problem_id": ["p"], "prompt": ["?"], "answer": ["5"], "level": [1], "subject": [None],
        "solution": [None],
    }  # fmt: skip
    write_table(tmp_path / "problems.parquet", columns, PROBLEMS, {})
    path = place(tmp_path / f"bad.{ending}", name)
    outputs = [tmp_path / "problems.parquet", tmp_path / "out.parquet", tmp_path / "out.json"]
    line = ends(replay.main, imported(path), *outputs)
    assert f"bad.{ending}" in line


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(
    "table", ["problems", "candidates", "grades", "scores", "sample_ledger", "score_ledger"]
)
def test_a_table_or_ledger_of_an_earlier_stage(
    name: str,
    table: str,
    tmp_path: Path,
    ends: Ends,
) -> None:
    paths = Study(tmp_path).write()
    Path(paths[table]).unlink()
    place(Path(paths[table]), name)
    names = ["problems", "candidates", "grades", "sample_ledger", "scores", "score_ledger"]
    inputs = [paths[one] for one in names]
    outputs = [tmp_path / "out.parquet", tmp_path / "seconds.parquet"]
    line = ends(select.main, json.dumps(SELECT), *inputs, *outputs)
    assert Path(paths[table]).name in line


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", ["check", "plan", "show", "diff", "pin", "rehearse", "run"])
def test_a_config(
    name: str,
    command: str,
    tmp_path: Path,
    ends: Ends,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(REPOSITORY)
    path = place(tmp_path / "bad.yaml", name)
    assert "bad.yaml" in ends(cli.main, command, path)


@pytest.mark.parametrize("name", BAD)
def test_a_specification(name: str, tmp_path: Path, ends: Ends) -> None:
    path = place(tmp_path / "bad.json", name)
    ends(grade.main, f"@{path}", "a", "b", "c")
    ends(grade.main, "--runtime", "[" * 200_000, "{}", "a", "b", "c")


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_what_cannot_be_written_is_named_and_nothing_is_left(
    fault: int, tmp_path: Path, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system refuses when a table is put on the disk."""

    def refuse(*_: object) -> None:
        raise OSError(fault, os.strerror(fault))

    paths = Study(tmp_path).write()
    names = ["problems", "candidates", "grades", "sample_ledger", "scores", "score_ledger"]
    out = tmp_path / "out" / "credits.parquet"
    monkeypatch.setattr(os, "fsync", refuse)
    inputs = [paths[one] for one in names]
    outputs = [out, tmp_path / "seconds.parquet"]
    line = ends(select.main, json.dumps(SELECT), *inputs, *outputs)
    assert f"{out}: cannot be written ({os.strerror(fault)})" in line
    assert not list(out.parent.iterdir())


FULL = [
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    PermissionError(errno.EACCES, os.strerror(errno.EACCES), "some/file"),
    RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
    RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
]


@pytest.mark.parametrize("fault", FULL, ids=str)
def test_a_fault_of_the_system_anywhere_is_a_line(fault: Exception, ends: Ends) -> None:
    def main(_: Sequence[str]) -> None:
        raise fault

    line = ends(main)
    assert "some/file: Permission denied" in line or "o space left" in line or "disk is full" in line


@pytest.mark.parametrize("fault", [ValueError("a fault of ours"), OSError("a library's own")], ids=str)
def test_other_faults_keep_their_traceback(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def main(_: Sequence[str]) -> None:
        raise fault

    with pytest.raises(type(fault), match=str(fault)):
        run_main(main)
