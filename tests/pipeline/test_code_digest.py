"""A digest follows the code it covers, and no other."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isoflop.pipeline import code_digest as digests
from isoflop.pipeline.code_digest import code_digest, import_closure

CHEAP = ("grade", "select", "fit", "report", "plan_comparison")


ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the package that the digests look at."""
    copy = tmp_path_factory.mktemp("copy") / "isoflop"
    shutil.copytree(digests.ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests, "ROOT", copy)
        yield copy
    for cached in (code_digest, import_closure, digests._imports):
        cached.cache_clear()


@pytest.fixture(scope="module")
def before(package: Path) -> dict[str, str]:
    return _digests()


def _digests() -> dict[str, str]:
    for cached in (code_digest, import_closure, digests._imports):
        cached.cache_clear()
    return {
        stage: code_digest(f"isoflop.stages.{stage}", *(["report/templates"] if stage == "report" else []))
        for stage in CHEAP
    }


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("stages/grade.py", {"grade"}),
        ("grading/grader.py", {"grade"}),
        ("selection/samples.py", {"select"}),
        ("stages/fit.py", {"fit"}),
        ("fits/scaling_laws.py", {"fit", "report"}),
        ("report/figures/curves.py", {"report"}),
        ("report/templates/report.html.j2", {"report"}),
        ("files.py", set(CHEAP)),
        ("stages/shared/command.py", set(CHEAP)),
        ("stages/shared/runtime.py", set()),
        ("config/study.py", set()),
        ("config/planning.py", set()),
        ("forecast/work.py", {"plan_comparison"}),
        ("search/algorithms/rebase.py", {"plan_comparison"}),
        ("forecast/inputs.py", set()),
        ("engines/checkpoints.py", set()),
        ("specs.py", set()),
        ("engines/hf_policy.py", set()),
        ("stages/sample.py", set()),
        ("data/word_problems.py", set()),
    ],
)
def test_a_digest_changes_with_the_code_it_covers(
    file: str, stages: set[str], package: Path, before: dict[str, str]
) -> None:
    whole = (package / file).read_text(encoding="utf-8")
    (package / file).write_text(f"{whole}\n# edited\n", encoding="utf-8")
    after = _digests()
    (package / file).write_text(whole, encoding="utf-8")
    assert {stage for stage in CHEAP if before[stage] != after[stage]} == stages


def test_a_digest_does_not_depend_on_where_the_package_is(
    before: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "ROOT", ROOT / "src/isoflop")
    assert _digests() == before


@pytest.mark.parametrize("stage", CHEAP)
def test_a_closure_is_what_importing_the_stage_loads(stage: str) -> None:
    """Compared with a real import in a fresh interpreter; descriptions are left out on purpose."""
    code = f"import sys, isoflop.stages.{stage}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    ours = {name for name in loaded if name.startswith("isoflop.")}
    # A room's own `__init__` computes nothing, and gives it its face.
    rooms = {name for name in ours if digests.module_file(name).name == "__init__.py"} | {"isoflop._lazy"}
    described = {name for name in ours if digests.describes(name)}
    # The config loads all kinds of searches and verifiers, whose keys are beside their code.
    described |= {
        name for room in ("search", "verifiers") for name in import_closure(f"isoflop.{room}.registry")
    }
    assert ours - rooms - described <= set(import_closure(f"isoflop.stages.{stage}"))
    assert not {"torch", "transformers"} & loaded


def test_descriptions_are_modules_that_exist() -> None:
    for name in digests.DESCRIPTIONS:
        assert digests.module_file(name).is_file()


def test_a_foreign_module_has_no_digest() -> None:
    with pytest.raises(ValueError, match=r"isoflop\.nothing is not a module"):
        code_digest("isoflop.nothing")
