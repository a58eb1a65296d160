"""A selector and a step aggregation of another package: found by its entry points, used by a config."""

from other_package import install, run

from isoflop.pipeline.code_digest import import_closure

MODULE = """
from dataclasses import dataclass

import numpy as np

from isoflop.selection.aggregation import StepAggregation
from isoflop.selection.kinds import BestScore


@dataclass(frozen=True, kw_only=True)
class Lowest(BestScore):
    def weights(self, scores):
        return -scores


def median(steps):
    return np.array([np.median(part) for part in np.split(steps.scores, steps.starts[1:])])


LOWEST = Lowest(name="lowest", label="the lowest score", short="low", reads="verifier")
MEDIAN = StepAggregation(name="median", combine=median)
"""

ENTRY_POINTS = """
[isoflop.selectors]
lowest = elsewhere:LOWEST

[isoflop.step_aggregations]
median = elsewhere:MEDIAN
"""

# A config, its specification of the select stage, and the stage on a small pool.
SCRIPT = """
import json, sys
from pathlib import Path

from isoflop.pipeline.code_digest import import_closure

import numpy as np
from small_pool import Study

from isoflop.config.loading import build_config
from isoflop.files import read_table
from isoflop.pipeline.plan import Plan
from isoflop.report.figures.style import selector_style
from isoflop.stages import select
from isoflop.strategy import Strategy, selector_order
from isoflop.tables import CREDITS

folder = Path(sys.argv[1])
raw = {
    "experiment": "e", "seed": 1,
    "datasets": {"words": {"source": "wordproblems", "split": "test", "size": 3}},
    "policies": {"small": {"model": "model"}},
    "verifiers": {"prm": {"kind": "math-shepherd", "model": "model"}},
    "generators": {"sampling": {"kind": "sampling", "samples": 4, "max_tokens": 8}},
    "budgets": [1, 4], "selectors": ["pass", "lowest"], "step_aggregations": ["last", "median"],
    "headline": {"selector": "lowest", "step_aggregation": "median"},
}
spec = Plan(build_config(raw, "test", folder), folder).select("small", "sampling")
print(sorted(json.loads(spec)["plugins"]))
study = Study(folder)
study.grades["answer_class"] = [0, 1, 2, 3] * 3
study.grades["correct"] = [True, False, False, False] * 3
study.candidates["steps"] = [["x"] * 3] * 12
study.scores["step_scores"] = [[0.5, 0.25, 1.0], [0.75, 0.5, 0.125], [1.0] * 3, [1.0] * 3] * 3
paths = study.write()
output = str(folder / "credits.parquet")
names = ("problems", "candidates", "grades", "sample_ledger", "scores", "score_ledger")
select.main([spec, *(paths[name] for name in names), output, str(folder / "seconds.parquet")])
frame = read_table(output, CREDITS).to_pandas().query("budget == 4 and selector == 'lowest'")
print(frame.groupby("step_aggregation")["credit"].mean().to_dict())
print(selector_order()[-1], Strategy("sampling", "lowest").name, Strategy("sampling", "lowest").short)
assert selector_style("lowest")
"""


def test_a_config_picks_with_what_another_package_registers(tmp_path):
    install(tmp_path, MODULE, ENTRY_POINTS, "elsewhere")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    done = run(tmp_path, "-c", SCRIPT, str(tmp_path))
    assert done.returncode == 0, done.stderr
    plugins, credits, names = done.stdout.splitlines()
    assert plugins == "['lowest', 'median']", "the specification knows the files that define them"
    # By the last score the second candidate is the lowest, by the median (0.5 in both) the first two tie.
    assert credits == "{'last': 0.0, 'median': 0.5}"
    assert names == "lowest the lowest score sampling+low"


def test_what_cannot_be_used_is_refused_by_its_entry_point(tmp_path):
    look = "from isoflop.registries import SELECTORS; SELECTORS.names"
    for number, (line, message) in enumerate(
        {
            "majority = elsewhere:LOWEST": "the name is taken; give it another one",
            "highest = elsewhere:LOWEST": "calls itself 'lowest'; give it the name of its entry point",
            "lowest = elsewhere:MEDIAN": "is no SelectorTraits",
            "lowest = elsewhere:NOTHING": "cannot be loaded",
        }.items()
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        install(folder, MODULE, f"[isoflop.selectors]\n{line}\n", "elsewhere")
        done = run(folder, "-c", look)
        name, _, value = line.partition(" = ")
        assert f"UserError: selector '{name}' (entry point {value} of group isoflop.selectors)" in done.stderr
        assert message in done.stderr


def test_a_change_of_a_selector_selects_again_and_grades_nothing():
    found = set(import_closure("isoflop.stages.select"))
    assert {f"isoflop.selection.selectors.{name}" for name in ("majority", "confidence")} <= found
    assert "isoflop.selection.aggregations.product" in found
    assert not any(name.startswith("isoflop.selection") for name in import_closure("isoflop.stages.grade"))
