"""A grader of another package: found by its entry point, named by a config, used by the grade stage."""

from pathlib import Path

import pytest
from other_package import install, run

from isoflop.errors import UserError
from isoflop.grading.grader import make_grader
from isoflop.pipeline.code_digest import import_closure
from isoflop.registries import GRADERS

MODULE = """
import re

from isoflop.grading.equivalence import ComparingGrader
from isoflop.grading.grader import GraderKind


class ColourGrader(ComparingGrader):
    def extract(self, text, *, truncated=False):
        found = re.findall("red|green|blue", text)
        return found[-1] if found and not truncated else None

    def equivalent(self, first, second):
        return first == second

    def reference_fault(self, answer):
        return None if answer in ("red", "green", "blue") else "it is no colour"


COLOUR = GraderKind(name="colour", examples=("red", "green", "blue"), make=lambda settings: ColourGrader())
"""

ENTRY_POINTS = """
[isoflop.graders]
colour = elsewhere:COLOUR
"""

# A config, its specifications, and the stages problems and grade on a file of two problems.
SCRIPT = """
import json, sys
from pathlib import Path

from isoflop.config.loading import build_config
from isoflop.errors import UserError
from isoflop.files import read_table, write_table
from isoflop.pipeline.plan import Plan
from isoflop.rehearsal.problems import problem_rows, sentences
from isoflop.specs import GradeSpec
from isoflop.stages import grade, problems
from isoflop.tables import CANDIDATES, GRADES

folder = Path(sys.argv[1])
(folder / "sky.csv").write_text("q,a\\nsky?,blue\\ngrass?,green\\n")
raw = {
    "experiment": "e", "seed": 1,
    "datasets": {
        "own": {
            "source": "file", "path": str(folder / "sky.csv"), "fields": {"prompt": "q", "answer": "a"},
            "grader": "colour",
        }
    },
    "policies": {"small": {"model": "model"}},
    "generators": {"sampling": {"kind": "sampling", "samples": 2, "max_tokens": 8}},
    "budgets": [1, 2], "selectors": ["majority"], "headline": {"selector": "majority"},
}
config = build_config(raw, "test", folder)
plan = Plan(config, folder)
spec = plan.grade("own", "small", "sampling")
print(sorted(json.loads(spec)["plugins"]), plan.graders("own"))
assert GradeSpec.model_validate_json(spec).grader == "colour"
paths = [str(folder / f"{name}.parquet") for name in ("problems", "candidates", "grades")]
problems.main([plan.problems("own"), paths[0]])
texts = ["It is red. No, blue.", "green", "It is green", "red"]
write_table(paths[1], {
    "problem_id": ["sky-00000", "sky-00000", "sky-00001", "sky-00001"], "candidate": [0, 1, 0, 1],
    "steps": [[text] for text in texts], "step_tokens": [[1]] * 4, "finish": ["stop"] * 3 + ["length"],
    "prompt_tokens": [1] * 4, "tokens": [1] * 4, "logprob": [-1.0] * 4, "source": [None] * 4,
    "budget": [None] * 4, "run": [None] * 4,
}, CANDIDATES, {})
grade.main([spec, *paths])
rows = read_table(paths[2], GRADES).to_pylist()
print([(row["answer"], row["correct"]) for row in rows])
assert {row["a"] for row in problem_rows("own", config.datasets["own"])} == {"red", "green", "blue"}
assert any("red" in said for said in sentences([" "], ["colour"]))
(folder / "elsewhere.py").write_text((folder / "elsewhere.py").read_text() + "# edited\\n")
assert Plan(config, folder).grade("own", "small", "sampling") != spec, "another file, another digest"
(folder / "sky.csv").write_text("q,a\\nsky?,cyan\\n")
try:
    problems.main([plan.problems("own"), paths[0]])
except UserError as error:
    print(str(error).removeprefix(str(folder)))
"""


def test_a_config_grades_with_what_another_package_registers(tmp_path: Path) -> None:
    install(tmp_path, MODULE, ENTRY_POINTS, "elsewhere")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    done = run(tmp_path, "-c", SCRIPT, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "['colour'] 1",
        "[('blue', True), ('green', False), ('green', True), (None, False)]",
        "/sky.csv: problem 'sky-00000': reference answer 'cyan': it is no colour",
    ]


def test_a_name_that_nothing_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="grader 'choise' is not allowed; did you mean 'choice'"):
        make_grader("choise")


def test_a_change_of_a_grader_grades_again_and_selects_nothing() -> None:
    found = set(import_closure("isoflop.stages.grade"))
    assert {f"isoflop.grading.graders.{name}" for name in GRADERS.names} <= found
    assert not any(name.startswith("isoflop.grading") for name in import_closure("isoflop.stages.select"))
