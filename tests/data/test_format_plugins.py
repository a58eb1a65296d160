"""A format of another package: found by its entry point, named by a config, read by the stage's own door."""

from pathlib import Path

from other_package import install, run

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
    install(tmp_path, MODULE, "[isoflop.import_formats]\npairs = elsewhere:PAIRS\n", "elsewhere")
    done = run(tmp_path, "-c", SCRIPT)
    assert done.returncode == 0, done.stderr
