"""A package of somebody else that breaks when it is imported: one line that names it, whatever is started."""

import pytest
from other_package import ROOT, install, run


@pytest.mark.parametrize(
    "command",
    [
        ("-m", "isoflop.stages.search"),
        ("-m", "isoflop.stages.report"),
        ("-m", "isoflop.cli", "plan", str(ROOT / "config.yaml")),
        ("-m", "snakemake", "-n", "--snakefile", str(ROOT / "Snakefile")),
    ],
    ids=lambda command: command[1],
)
def test_a_broken_package_is_named_without_a_traceback(tmp_path, command):
    install(tmp_path, 'raise RuntimeError("half installed")\n', "[isoflop.searches]\nmine = mine:SEARCH\n")
    done = run(tmp_path, *command, cwd=ROOT)
    said = done.stdout + done.stderr
    assert "search 'mine' (entry point mine:SEARCH of group isoflop.searches): cannot be loaded (half" in said
    assert done.returncode != 0
    assert "Traceback" not in said
    assert "registries.py" not in said
