"""A cost model of another package: found by its entry point, and what a config's headline counts."""

from pathlib import Path

from other_package import install, run

from isoflop.pipeline.code_digest import import_closure

MODULE = """
from dataclasses import dataclass

from isoflop.costs.registry import CostModel


@dataclass(frozen=True, kw_only=True)
class Joules(CostModel):
    def charge(self, work):
        return 0.5 * work.generated + 0.125 * work.prompt


JOULES = Joules(name="joules", column="joules", unit="joules", label="half a joule a token", needs="a meter")
"""

# A config whose headline counts joules, its specifications, and the stages up to the fits on a small pool.
SCRIPT = """
import json, sys
from pathlib import Path

import pandas as pd
from small_pool import Study

from isoflop.config.loading import build_config
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_report import ReportPlan
from isoflop.report.figures.panels import flops_label
from isoflop.report.spec import ReportSpec, cost_column
from isoflop.stages import fit, select

folder = Path(sys.argv[1])
raw = {
    "experiment": "e", "seed": 1,
    "datasets": {"words": {"source": "wordproblems", "split": "test", "size": 3}},
    "policies": {"small": {"model": "model"}},
    "verifiers": {"prm": {"kind": "math-shepherd", "model": "model"}},
    "generators": {"sampling": {"kind": "sampling", "samples": 4, "max_tokens": 8}},
    "budgets": [1, 2, 4], "selectors": ["majority"],
    "headline": {"selector": "majority", "cost_model": "joules"},
}
plan = Plan(build_config(raw, "test", folder), folder)
spec = plan.select("small", "sampling")
print(sorted(json.loads(spec)["plugins"]), json.loads(spec)["costs"])
paths = Study(folder).write()
pool = str(folder / "pool.parquet")
names = ("problems", "candidates", "grades", "sample_ledger", "scores", "score_ledger")
select.main([spec, *(paths[name] for name in names), pool, str(folder / "seconds.parquet")])
outputs = [str(folder / name) for name in ("curves.csv", "fits.csv", "differences.csv", "draws", "credits")]
fit.main([plan.fit(), pool, *outputs])
curves = pd.read_csv(outputs[0]).query("subset == 'all'")
# 20 prompt tokens on average, read once.
print((curves["joules"] - curves["tokens_per_problem"] / 2).round(2).tolist(), curves.columns[-1])
fits = pd.read_csv(outputs[1])
print(sorted(set(fits["cost_model"])))
about = ReportSpec.model_validate_json(ReportPlan(plan).report())
print(about.costs, cost_column(about), flops_label(about))
"""


def test_a_headline_counts_what_another_package_registers(tmp_path: Path) -> None:
    install(tmp_path, MODULE, "[isoflop.cost_models]\njoules = elsewhere:JOULES\n", "elsewhere")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    done = run(tmp_path, "-c", SCRIPT, str(tmp_path))
    assert done.returncode == 0, done.stderr
    asked, measured, fitted, shown = done.stdout.splitlines()
    assert asked == "['joules'] ['joules']", "the specification knows the file that defines it"
    assert measured == "[2.5, 2.5, 2.5] joules"
    assert "joules" in fitted
    assert shown == "('wu2024', 'total', 'joules') joules joules per problem (half a joule a token)"


def test_a_change_of_a_cost_model_picks_again_and_grades_nothing() -> None:
    found = set(import_closure("isoflop.stages.select"))
    assert {f"isoflop.costs.models.{name}" for name in ("wu2024", "dollars", "kv_bytes")} <= found
    assert not any(name.startswith("isoflop.costs") for name in import_closure("isoflop.stages.grade"))
