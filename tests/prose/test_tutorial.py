"""The code of docs/tutorial/notebook.md runs, block after block, and finds what its text says."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs/tutorial/notebook.md"


def test_the_notebook_runs(tmp_path: Path) -> None:
    blocks = re.findall(
        r"^```python\n(.*?)^```$", NOTEBOOK.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert len(blocks) == 6
    told = (
        "import sys\nassert not {'torch', 'transformers'} & set(sys.modules)\naccuracy.to_csv('accuracy.csv')"
    )
    (tmp_path / "notebook.py").write_text("\n".join([*blocks, told]), encoding="utf-8")
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    command = [sys.executable, "notebook.py"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    accuracy = pd.read_csv(tmp_path / "accuracy.csv", index_col="samples")
    one = accuracy.loc[1]
    assert one.max() - one.min() < 1e-9
    assert (accuracy["pass"] >= accuracy.max(axis=1) - 1e-9).all()
    assert accuracy.loc[64, "weighted"] > accuracy.loc[64, "majority"]
    assert "64 weighted votes minus 64 equal ones: +" in run.stdout
    assert (tmp_path / "weighted.png").stat().st_size > 10_000


def test_the_pool_is_small() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "docs/tutorial/pool").iterdir()) < 300_000
