"""A format of another package: found by its entry point, named by a config, read by the stage's own door."""

import os
import subprocess
import sys
from pathlib import Path

MODULE = """
from isoflop.data.format import ImportFormat
from isoflop.data.solutions import Solution


def read(rows):
    for place, values in rows:
        yield Solution(place, values["id"], None, None, (values["text"],), None, None)


PAIRS = ImportFormat(name="pairs", read=read)
"""

SCRIPT = """
import json

from pydantic import TypeAdapter, ValidationError

from isoflop.config.imports.entries import Import
from isoflop.data.format import import_format
from isoflop.registries import IMPORT_FORMATS

raw = {
    "kind": "import", "format": "pairs", "dataset": "d", "characters_per_token": 4.0,
    "sources": [{"policy": "p", "files": [{"path": "a.jsonl"}]}],
}
entry = TypeAdapter(Import).validate_json(json.dumps(raw))
[solution] = import_format(entry.format).read([("line 1", {"id": "x", "text": "It is 3."})])
assert (solution.problem, solution.text) == ("x", "It is 3.")
assert IMPORT_FORMATS.source("pairs").name == "elsewhere.py"
assert IMPORT_FORMATS.names[-1] == "pairs"
try:
    TypeAdapter(Import).validate_json(json.dumps(raw | {"format": "pair"}))
except ValidationError as error:
    assert "did you mean 'pairs'?" in str(error)
else:
    raise AssertionError
"""


def test_a_format_of_another_package_is_named_by_a_config_and_read(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text(MODULE)
    info = tmp_path / "elsewhere-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[isoflop.import_formats]\npairs = elsewhere:PAIRS\n")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
