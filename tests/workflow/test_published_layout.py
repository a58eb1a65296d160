"""What others look for: the workflow catalogue's files, the image's files, a wheel's shipped models."""

import re
import subprocess
import tomllib
from pathlib import Path

import yaml
from snakemake_runs import ROOT


def tracked(*patterns: str) -> set[str]:
    command = ["git", "ls-files", "--", *patterns]
    return set(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split())


def test_the_catalogue_finds_its_files() -> None:
    assert (ROOT / "config/config.yaml").read_bytes() == (ROOT / "config.yaml").read_bytes()
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))["usage"]
    assert usage["report"]
    assert usage["software-stack-deployment"] == {"conda": True, "apptainer": True, "apptainer+conda": False}
    for link in re.findall(r"\]\((\.\./[^)]+)\)", (ROOT / "config/README.md").read_text(encoding="utf-8")):
        assert (ROOT / "config" / link).exists(), link


def test_a_wheel_brings_all_that_is_shipped() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    data = project["tool"]["setuptools"]["data-files"]
    folders = {str(Path(name).parent) for name in tracked("resources")}
    assert data == {f"share/isoflop/{folder}": [f"{folder}/*"] for folder in folders}


def test_both_recipes_of_the_image_have_the_same_files() -> None:
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    recipe = (ROOT / "container/isoflop.def").read_text(encoding="utf-8")
    copied = re.findall(r"^    (\S+) /opt/isoflop/\1$", recipe, re.MULTILINE)
    # In a definition a link is copied as what it points to.
    assert set(copied) | {"config"} == allowed
    assert all((ROOT / name).exists() for name in allowed)
    docker = (ROOT / "container/Dockerfile").read_text(encoding="utf-8")
    base = re.findall(r"^(?:FROM|From:) (.+)$", docker + recipe, re.MULTILINE)
    assert base == ["debian:bookworm-slim"] * 2
    for steps in (docker, recipe):
        assert re.search(r"install\.sh system\n(.|\n)*install\.sh python /opt/isoflop\n", steps)


def test_the_images_script_is_sound() -> None:
    script = ROOT / "container/install.sh"
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    wrong = subprocess.run([script, "all"], check=False, capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "usage:" in wrong.stderr
