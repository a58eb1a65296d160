"""The workflow as a module of another one: what it takes for its config, and what it leaves to the other."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake_runs import ROOT, Run, snakemake
from snakemake_runs import planned as all_planned
from workspace import TINY

SNAKEFILE = str(ROOT / "workflow/Snakefile")
SMALL: dict[str, Any] = yaml.safe_load(
    TINY.replace("models/small", "resources/models/policy-0.1M")
    .replace("models/large", "resources/models/policy-0.3M")
    .replace("models/prm}", 'resources/models/prm-1.7M, prompt: "{problem}\\n"}')
)
JOBS = {
    "problems": 1, "sample": 4, "score": 2, "grade": 4, "select": 4, "fit": 1, "report": 1,
    "verifier_quality": 1, "plan_comparison": 1, "times": 1,
}  # fmt: skip

MODULE = """
configfile: "config/config.yaml"

module isoflop:
    snakefile: {snakefile}
    config: {config}

use rule * from isoflop{names}
"""


def run(folder: Path, content: str, *options: str, environment: Mapping[str, str] | None = None) -> Run:
    """A run of a workflow with this content: its config is under `config/`."""
    (folder / "workflow").mkdir(exist_ok=True)
    (folder / "workflow/Snakefile").write_text(content, encoding="utf-8")
    return snakemake(folder, *options, environment=environment)


def dry_run(folder: Path, content: str, *options: str, environment: Mapping[str, str] | None = None) -> Run:
    return run(folder, content, "--dry-run", *options, environment=environment)


def configured(folder: Path, config: object) -> Path:
    (folder / "config").mkdir()
    path = folder / "config/config.yaml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config), encoding="utf-8")
    return folder


def module(snakefile: str = repr(SNAKEFILE), config: str = "config", names: str = "") -> str:
    return MODULE.format(snakefile=snakefile, config=config, names=names)


def planned(plan: Run) -> dict[str, int]:
    return {name: count for name, count in all_planned(plan).items() if not name.endswith("default")}


def test_the_config_is_that_of_the_module_with_what_the_command_line_says(tmp_path: Path) -> None:
    configured(tmp_path, SMALL)
    (tmp_path / "config.yaml").write_text("not: this one", encoding="utf-8")
    assert planned(dry_run(tmp_path, module())) == JOBS
    sharded = planned(dry_run(tmp_path, module(), "--config", "shards=2"))
    assert sharded == JOBS | {"sample": 8, "score": 4, "merge_sample": 4, "merge_score": 2}
    (tmp_path / "further.yaml").write_text("datasets: {words: {size: 1}}", encoding="utf-8")
    plan = dry_run(tmp_path, module(), "--configfile", "further.yaml", "--printshellcmds")
    assert planned(plan) == JOBS
    assert '"size":1' in plan.output


def test_it_may_be_a_part_of_another_config_and_have_names_of_its_own(tmp_path: Path) -> None:
    configured(tmp_path, {"theirs": {3: "x"}, "study": SMALL})
    content = "rule first:\n    input: 'done.txt'\n" + module(
        config="config['study']", names=" as study_*\n\nrule done:\n    output: 'done.txt'"
    )
    # What the workflow itself makes first stays its target.
    assert planned(dry_run(tmp_path, content)) == {"first": 1, "done": 1}
    assert planned(dry_run(tmp_path, content, "study_all")) == {
        f"study_{name}": count for name, count in JOBS.items()
    } | {"study_all": 1}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sed": 3}, "config/config.yaml: 1 fault in the config\n  sed: unknown key; did you mean 'seed'?"),
        ({"seed": None}, "config/config.yaml: 1 fault in the config\n  seed: "),
    ],
)
def test_faults_are_told_with_their_file(changes: dict[str, object], says: str, tmp_path: Path) -> None:
    plan = dry_run(configured(tmp_path, SMALL | changes), module())
    assert plan.code != 0
    assert says in plan.output
    assert "Traceback" not in plan.output


def test_a_key_that_is_there_twice_is_a_fault_with_its_line(tmp_path: Path) -> None:
    text = yaml.safe_dump(SMALL, sort_keys=False) + "seed: 2\n"
    plan = dry_run(configured(tmp_path, text), module())
    assert plan.code != 0
    assert (
        f"config/config.yaml, line {text.count(chr(10))}, column 1: key 'seed' is here twice" in plan.output
    )


def test_what_is_not_pinned_is_planned_but_not_run(tmp_path: Path) -> None:
    policies = SMALL["policies"] | {"large": {"model": "somebody/model", "revision": "unpinned"}}
    configured(tmp_path, SMALL | {"policies": policies})
    assert planned(dry_run(tmp_path, module())) == JOBS
    stopped = run(tmp_path, module(), "--cores", "1")
    assert stopped.code != 0
    assert "policies.large.revision: not pinned yet" in stopped.output
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("names", ["", " as study_*"])
def test_models_are_looked_at_before_the_first_job(names: str, tmp_path: Path) -> None:
    """Of a module no `onstart` runs; that of the workflow that uses it still does, where nothing is wrong."""
    shutil.copytree(ROOT / "resources/models/policy-0.3M", tmp_path / "broken")
    path = tmp_path / "broken/config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"num_hidden_layers": 4}
    path.write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "broken/isoflop.json").unlink()
    configured(tmp_path, SMALL | {"policies": SMALL["policies"] | {"large": {"model": "broken"}}})
    started = "\n\nonstart:\n    print('theirs ran')\n"
    content = module(names=names) + started
    assert "theirs ran" not in dry_run(tmp_path, content).output
    target = [] if not names else ["study_all"]
    stopped = run(tmp_path, content, "--cores", "1", *target)
    assert stopped.code != 0
    assert "1 fault in the models\n  model 'broken': lacks tensors model.layers.3." in stopped.output
    assert "nothing was run" in stopped.output
    assert "theirs ran" not in stopped.output
    assert not (tmp_path / "results").exists()
    # Data alone needs no model.
    problems = run(tmp_path, content, "--cores", "1", "results/tiny/problems/words.parquet")
    assert problems.code == 0, problems.output
    assert "theirs ran" in problems.output


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment where somebody/isoflop at v1 on GitHub is the workflow: Snakemake has a clone."""
    folder = tmp_path_factory.mktemp("published")
    files = subprocess.run(
        ["git", "ls-files", "Snakefile", "workflow", "envs", "config"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    repository = folder / "isoflop"
    for name in files:
        target = repository / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            target.symlink_to((ROOT / name).readlink())
        else:
            target.write_bytes((ROOT / name).read_bytes())
    git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "The workflow")
    git(repository, "tag", "v1")
    cache = folder / "cache/snakemake/snakemake/source-cache/snakemake-git-cache/github.com/somebody"
    cache.mkdir(parents=True)
    git(cache, "clone", "--quiet", "--bare", str(repository), "isoflop")
    return {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(ROOT / "src")}


def _conda(folder: Path) -> Path:
    """A stand-in, of which a dry run asks its version and settings."""
    folder.mkdir()
    asked = """'{"conda_prefix": "/opt/conda", "conda_version": "25.1.0", "platform": "linux-64"}'"""
    set_to = """'{"get": {"channel_priority": "strict"}}'"""
    answers = {"--version": "conda 25.1.0", "info": asked, "config": set_to}
    script = "#!/bin/sh\n" + "".join(f"[ $1 != {one} ] || echo {said}\n" for one, said in answers.items())
    (folder / "conda").write_text(script, encoding="utf-8")
    (folder / "conda").chmod(0o755)
    return folder


def test_it_may_be_on_github_as_snakedeploy_writes_it(published: dict[str, str], tmp_path: Path) -> None:
    configured(tmp_path, SMALL)
    content = module('github("somebody/isoflop", path="workflow/Snakefile", tag="v1")')
    plan = dry_run(tmp_path, content, "--printshellcmds", environment=published)
    assert planned(plan) == JOBS
    # Without sources beside the Snakefile the installed package runs; conda environments are shown it alone.
    assert "export PYTHONPATH" not in plan.output
    with_conda = published | {"PATH": f"{_conda(tmp_path / 'programs')}:{os.environ['PATH']}"}
    plan = dry_run(tmp_path, content, "--printshellcmds", "--sdm", "conda", environment=with_conda)
    assert planned(plan) == JOBS
    [shown] = set(re.findall(r"export PYTHONPATH=(\S+);", plan.output))
    assert [path.resolve() for path in Path(shown).iterdir()] == [ROOT / "src/isoflop"]
