"""A package of somebody else, with entry points, and programs that run where it is installed."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def install(folder: Path, module: str, entry_points: str, name: str = "mine") -> Path:
    """The module `name` as pip leaves it in a folder of the path; returns its file."""
    source = folder / f"{name}.py"
    source.write_text(module, encoding="utf-8")
    information = folder / f"{name}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(entry_points)
    return source


def install_documented(folder: Path, page: str, group: str) -> Path:
    """The module `mine` of a page of docs/how-to, with the entry points of the group that are beside it."""
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    (module,) = re.findall(r"```python\n(# mine\.py\n.*?)```", text, re.DOTALL)
    (points,) = re.findall(rf'\[project\.entry-points\."{re.escape(group)}"\]\n(.*?)```', text, re.DOTALL)
    return install(folder, module, f"[{group}]\n" + re.sub(r'"([^"]*)"', r"\1", points))


def run(folder: Path, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Python's own `command`, with the package of `folder` and the tests' support on the path."""
    path = [str(folder), str(ROOT / "tests" / "support"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
    )
