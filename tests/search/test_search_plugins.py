"""The search of docs/how-to/search.md, from another package: found, named by a config, planned, run."""

import json
from pathlib import Path

import yaml
from other_package import ROOT, install, install_documented, run

from isoflop.pipeline.code_digest import import_closure

GROUP = "isoflop.searches"
MODELS = ROOT / "resources" / "models"
RAW = {
    "experiment": "e", "seed": 1,
    "datasets": {"words": {"source": "wordproblems", "split": "test", "size": 3}},
    "policies": {"small": {"model": str(MODELS / "policy-0.1M")}},
    "verifiers": {
        "prm": {"kind": "math-shepherd", "model": str(MODELS / "prm-1.7M"), "prompt": "{problem}\n"}
    },
    "generators": {
        "sampling": {"kind": "sampling", "samples": 4, "max_tokens": 60},
        "mine": {
            "kind": "best-first", "children": 3, "budgets": [2, 4], "max_tokens": 60, "max_step_tokens": 30
        },
    },
    "budgets": [1, 4], "selectors": ["weighted"], "step_aggregations": ["last"],
    "headline": {"selector": "weighted"},
}  # fmt: skip

# The search by hand, on scripted scores; what the config, the plan, the forecast and a rehearsal know of it.
KNOWN = """
import json, sys
from pathlib import Path

from scripted import play, texts, tree

from isoflop.config.docs import reference_page, schema
from isoflop.config.loading import build_config
from isoflop.errors import UserError
from isoflop.forecast.command import make_forecast
from isoflop.forecast.study_work import comparison_spec
from isoflop.pipeline.code_digest import file_digest
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_report import ReportPlan
from isoflop.registries import SEARCHES
from isoflop.rehearsal.overlay import override
from isoflop.search.registry import start
from isoflop.specs import SearchSpec

raw, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
config = build_config(raw, "test", folder)
entry = config.searches["mine"]

# The children of a node score less and less, those of the first all more than those of the second.
grown = tree(depth=3)
scores = {0: 0.9, 1: 0.5, 2: 0.1}
script = lambda path, child: (f"{len(path)}{child}", False, scores[child])
found, rounds = play(grown, start(entry, 3, grown), script)
assert [[question.parent for question in questions] for questions in rounds] == [[-1] * 3, [0] * 3, [3] * 3]
assert [texts(grown, node) for node in found] == [
    ("01",), ("02",), ("00", "11"), ("00", "12"), ("00", "10", "20"), ("00", "10", "21"), ("00", "10", "22")
]

plan = Plan(config, folder)
specs = {budget: plan.search("small", "mine", budget) for budget in (2, 4)}
assert SearchSpec.model_validate_json(specs[4]).generator.children == 3
assert json.loads(specs[4])["plugins"] == {"best-first": file_digest(folder / "mine.py")}
assert "plugins" not in plan.score("small", "prm")
assert json.loads(comparison_spec(plan))["plugins"] == json.loads(specs[4])["plugins"]
assert json.loads(ReportPlan(plan).report())["generations"] == {"mine": 3}
work = {one.job.output: one.job for one in make_forecast(plan, folder, offline=True).jobs}
forecast = work["search/words/small/mine/4.parquet"]
assert forecast.requests > 0 and forecast.flops > work["search/words/small/mine/2.parquet"].flops
assert override(config, {}, {}, "transformers")["generators"]["mine"]["budgets"] == [2, 4]
page = reference_page()
assert "## BestFirst\\n\\nBest-first search: the best open leaf goes on" in page
assert "or [Mcts](#mcts) or [BestFirst](#bestfirst)" in page
[generators] = schema()["properties"]["generators"]["patternProperties"].values()
assert "best-first" in generators["discriminator"]["mapping"]
assert SEARCHES.names[-1] == "best-first"
for wrong, message in (
    ({"kind": "best-frist"}, "generators.mine.kind: 'best-frist' is not allowed; did you mean 'best-first'? "
     "(allowed: greedy, sampling, revisions, import, rebase, beam, dvts, lookahead, mcts, best-first)"),
    ({"childs": 2}, "generators.mine.childs: unknown key; did you mean 'children'? (allowed: "),
    ({"children": 0}, "generators.mine.children: 0 is not allowed"),
    ({"budgets": [4, 2]}, "generators.mine: budgets: [4, 2] must be strictly increasing"),
):
    mine = raw["generators"]["mine"] | wrong
    try:
        build_config(raw | {"generators": raw["generators"] | {"mine": mine}}, "test", folder)
    except UserError as error:
        assert message in str(error), error
    else:
        raise AssertionError(wrong)
Path(folder / "spec.json").write_text(specs[4])
"""

# The stages, on the shipped models.
STAGES = """
import sys
from pathlib import Path

from problem_tables import write_problems

from isoflop.files import read_table
from isoflop.stages import search
from isoflop.tables import TREES

folder = Path(sys.argv[1])
problems = write_problems(folder / "problems.parquet", "test", 3, seed=0)
files = [str(problems), str(folder / "trees.parquet"), str(folder / "trees.ledger.json")]
search.main(["--runtime", "{}", (folder / "spec.json").read_text(), *files])
for tree in read_table(folder / "trees.parquet", TREES).to_pylist():
    parents = [node["parent"] for node in tree["nodes"]]
    assert parents[:3] == [-1] * 3 and len(parents) <= 4 * 3
    assert tree["nominal_samples"] == 4 * 3
    # All first steps were there when the second expansion was chosen.
    if len(parents) > 3:
        goes_on = [node["score"] for node in tree["nodes"][:3] if not node["ended"]]
        assert tree["nodes"][parents[3]]["score"] == max(goes_on)
    assert sorted(tree["candidates"]) == sorted(set(range(len(parents))) - set(parents))
"""


def test_a_config_searches_with_what_another_package_registers(tmp_path: Path) -> None:
    install_documented(tmp_path, "search.md", GROUP)
    known = run(tmp_path, "-c", KNOWN, json.dumps(RAW), str(tmp_path))
    assert known.returncode == 0, known.stderr
    done = run(tmp_path, "-c", STAGES, str(tmp_path))
    assert done.returncode == 0, done.stderr
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(RAW))
    dry = run(
        tmp_path, "-m", "snakemake", "-n", "-s", str(ROOT / "Snakefile"), "-d", str(tmp_path),
        "--configfile", str(tmp_path / "c.yaml"), cwd=tmp_path,
    )  # fmt: skip
    assert dry.returncode == 0, dry.stdout + dry.stderr
    assert "search/words/small/mine/4.parquet" in dry.stdout + dry.stderr


def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    module = """
from typing import Literal
from isoflop.config.base import Entry
from isoflop.config.generators import TreeSearch
from isoflop.search.registry import SearchKind

class Mine(TreeSearch):
    kind: Literal["mine"]

class Sampling(TreeSearch):
    kind: Literal["sampling"]

class Bare(Entry):
    kind: Literal["bare"]

SEARCH = SearchKind(name="mine", entry=Mine, start=lambda entry, budget, tree: None)
SAMPLING = SearchKind(name="sampling", entry=Sampling, start=lambda entry, budget, tree: None)
BARE = SearchKind(name="bare", entry=Bare, start=lambda entry, budget, tree: None)
OTHERS = lambda: SearchKind(name="other", entry=Mine, start=lambda entry, budget, tree: None)
"""
    look = "import isoflop.config.study"
    for number, (point, message) in enumerate(
        {
            "rebase = mine:SEARCH": "the name is taken; give it another one",
            "yours = mine:SEARCH": "calls itself 'mine'; give it the name of its entry point",
            "sampling = mine:SAMPLING": "search 'sampling': the name is taken; give it another one",
            "bare = mine:BARE": "search 'bare': its entry is no TreeSearch; make it one",
            "mine = mine:Mine": "is no EntryKind; repair or remove its package",
            "mine = mine:NOTHING": "cannot be loaded",
        }.items()
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        install(folder, module, f"[{GROUP}]\n{point}\n")
        done = run(folder, "-c", look)
        assert message in done.stderr, done.stderr
    done = run(folder, "-c", "import mine; mine.OTHERS()")
    assert "UserError: Mine: give it the key `kind: Literal['other']`" in done.stderr


def test_a_changed_search_repeats_what_plays_it_and_no_cheap_stage_else() -> None:
    played = {f"isoflop.search.algorithms.{name}" for name in ("rebase", "beam", "dvts", "lookahead", "mcts")}
    assert played <= set(import_closure("isoflop.stages.plan_comparison"))
    assert played <= set(import_closure("isoflop.stages.search"))
    for stage in ("gather_trees", "grade", "select", "fit", "report"):
        assert not played & set(import_closure(f"isoflop.stages.{stage}"))
