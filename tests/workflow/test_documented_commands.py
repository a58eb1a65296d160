"""Commands of the how-to pages that name entries of the shipped config are planned as they stand there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from workspace import ROOT


def test_the_trial_of_a_new_model_is_a_small_study(tmp_path: Path) -> None:
    text = (ROOT / "docs/how-to/add-a-model.md").read_text(encoding="utf-8")
    [command] = re.findall(r"`snakemake ([^`]* experiment=try)`", text)
    options = ["--dry-run", "--snakefile", str(ROOT / "Snakefile"), "--printshellcmds", *shlex.split(command)]
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", *options],
        cwd=tmp_path, env=os.environ | {"COLUMNS": "200"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "results/try/problems/wordproblems.parquet" in run.stdout
    assert '"size":5' in run.stdout
