"""Commands of the how-to pages that name entries of the shipped config are planned as they stand there."""

import re
import shlex
from pathlib import Path

from snakemake_runs import ROOT, snakemake


def test_the_trial_of_a_new_model_is_a_small_study(tmp_path: Path) -> None:
    text = (ROOT / "docs/how-to/add-a-model.md").read_text(encoding="utf-8")
    [command] = re.findall(r"`snakemake ([^`]* experiment=try)`", text)
    options = ["--dry-run", "--snakefile", str(ROOT / "Snakefile"), "--printshellcmds", *shlex.split(command)]
    run = snakemake(tmp_path, *options, environment={"COLUMNS": "200"})
    assert run.code == 0, run.output
    assert "results/try/problems/wordproblems.parquet" in run.output
    assert '"size":5' in run.output
