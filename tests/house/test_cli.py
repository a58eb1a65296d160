"""The command `isoflop`: its table of contents, what it refuses, and what it hands to snakemake."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from isoflop import cli
from isoflop.errors import UserError
from isoflop.stages.shared import warm

ROOT = Path(__file__).parents[2]


def isoflop(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "isoflop.cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_help_is_a_table_of_contents_of_all_commands() -> None:
    run = isoflop("--help")
    assert run.returncode == 0
    listed = [line.split()[0] for line in run.stdout.splitlines() if line.startswith("  ")]
    assert sorted(listed) == sorted(cli.COMMANDS)
    assert [name for names in cli.CONTENTS.values() for name in names] == list(cli.COMMANDS)


def test_help_loads_no_library() -> None:
    code = "import sys, isoflop.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.splitlines()[-1].split())
    assert not {"numpy", "pydantic", "yaml", "pyarrow", "torch", "pandas"} & loaded


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    assert f"isoflop {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "error: the following arguments are required: COMMAND (isoflop --help)\n"),
        (("check",), "error: the following arguments are required: CONFIG (isoflop check --help)\n"),
        (("pin", "a", "b"), "error: unrecognized arguments: b (isoflop --help)\n"),
        (("show", "a", "--", "b"), "error: isoflop show: nothing may follow --\n"),
        (("run", "none.yaml"), "error: none.yaml: there is no such config\n"),
        (("check", "none.yaml"), "error: none.yaml: cannot be read (No such file or directory)\n"),
    ],
)
def test_a_fault_is_one_line_and_exit_code_2(arguments: tuple[str, ...], says: str) -> None:
    run = isoflop(*arguments)
    assert (run.returncode, run.stdout, run.stderr) == (2, "", says)


def test_check_says_fine_or_lists_every_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["check", "config.yaml"])
    assert capsys.readouterr().out == "config.yaml: experiment shipped has no faults\n"
    cli.main(["check", "configs/wu2024.yaml"])
    assert "values are unpinned" in capsys.readouterr().out
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("experiment: x\nseed: 1\nbudget: [1]\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"2 faults(.|\n)*datasets(.|\n)*did you mean 'budgets'"):
        cli.main(["check", str(wrong)])


@pytest.mark.parametrize(
    ("further", "handed"),
    [
        ([], ["--cores", "all"]),
        (["--keep-going", "target"], ["--cores", "all", "--keep-going", "target"]),
        (["-n"], ["-n"]),
        (["--cores", "2"], ["--cores", "2"]),
        (["--config", "seed=2", "-j4"], ["--config", "seed=2", "-j4"]),
    ],
)
def test_run_hands_its_further_arguments_to_snakemake(
    further: list[str], handed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(os, "execv", lambda _, command: called.append(command))
    monkeypatch.setattr(warm, "available", lambda: False)
    cli.main(["run", "config.yaml", *further])
    cli.main(["run", "config.yaml", "--", *further])
    assert called == [[sys.executable, "-m", "snakemake", *handed, "--configfile", "config.yaml"]] * 2


def test_run_takes_several_configs_and_no_other_way_to_name_them(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(os, "execv", lambda _, command: called.append(command))
    cli.main(["run", "config.yaml", "configs/wu2024.yaml", "-n"])
    assert called[0][3:] == ["-n", "--configfile", "config.yaml", "configs/wu2024.yaml"]
    with pytest.raises(UserError, match="name all config files first"):
        cli.main(["run", "config.yaml", "--configfile", "configs/wu2024.yaml"])


@pytest.mark.parametrize(
    ("arguments", "gpus", "warmed"),
    [
        (["config.yaml"], "", True),
        (["config.yaml", "--cores", "2"], "", True),
        (["config.yaml"], "0", False),
        (["config.yaml", "-n"], "", False),
        (["config.yaml", "--profile", "profiles/slurm"], "", False),
        (["config.yaml", "--workflow-profile", "profiles/slurm"], "", False),
        (["config.yaml", "--sdm", "conda"], "", False),
        (["configs/wu2024.yaml"], "", False),
        (["configs/replay-qwen2-math-100.yaml"], "", False),
    ],
)
def test_run_starts_stages_warm_where_models_run_here_on_the_processor(
    arguments: list[str], gpus: str, warmed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[bool] = []

    def start(*, at_once: bool) -> dict[str, str]:
        started.append(at_once)
        return {"STAGES": "warm"}

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    monkeypatch.setenv("STAGES", "cold")
    monkeypatch.setattr(os, "execv", lambda *_: None)
    monkeypatch.setattr(warm, "available", lambda: True)
    monkeypatch.setattr(warm, "warm_for_this_process", start)
    cli.main(["run", *arguments])
    assert os.environ["STAGES"] == ("warm" if warmed else "cold")
    assert len(started) == warmed


def test_run_needs_a_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="run this in a clone of isoflop"):
        cli.main(["run", "config.yaml"])


def test_the_console_script_is_the_entry() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts == {"isoflop": f"{cli.__name__}:{cli.entry.__name__}"}
