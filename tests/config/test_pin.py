"""Revisions and sums asked of a local stand-in for the hub, and written without touching anything else."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from isoflop.config.loading import load_config
from isoflop.config.pin import filled, gaps
from isoflop.errors import UserError

COMMIT = {"owner/policy": "a" * 40, "owner/prm": "b" * 40, "owner/set": "c" * 40}
SMALL = b'{"q": "1 + 1?", "a": "2"}\n'
LARGE = "d" * 64
CONFIG = """\
# A study whose pins are still to be asked for.
experiment: study   # its name
seed: 1
datasets:
  own:
    source: hub
    repo: owner/set
    split: test
    revision: unpinned  # filled in by `make pin`
    files: [{path: large.jsonl, sha256: unpinned}, {path: small.jsonl, sha256: "unpinned"}]
    fields: {prompt: q, answer: a}
    grader: number
policies:
  one: {model: owner/policy, revision: unpinned}
  two: {model: owner/policy, revision: 0123456789abcdef0123456789abcdef01234567}
verifiers:
  prm: {kind: math-shepherd, model: owner/prm, revision: 'unpinned', prompt: "unpinned {problem}"}
generators:
  sampling: {kind: sampling, samples: 4, max_tokens: 16}
budgets: [1, 2, 4]
selectors: [weighted]
step_aggregations: [last]
headline: {selector: weighted}
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """What the hub says of a repository, and one small file."""

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, body: bool) -> None:
        parts = urlsplit(self.path).path.strip("/").split("/")
        headers: dict[str, str] = {}
        content, code = b"", 404
        if parts[0] == "api" and "/".join(parts[2:4]) in COMMIT:
            kind, repo = parts[1], "/".join(parts[2:4])
            files: list[dict[str, object]] = []
            if kind == "datasets":
                files = [
                    {
                        "rfilename": "large.jsonl",
                        "size": 9,
                        "blobId": "x",
                        "lfs": {"oid": LARGE, "sha256": LARGE, "size": 9, "pointerSize": 1},
                    },
                    {"rfilename": "small.jsonl", "size": len(SMALL), "blobId": "y"},
                ]
            content = json.dumps({"id": repo, "sha": COMMIT[repo], "siblings": files}).encode()
            code = 200
        elif parts[-1] == "small.jsonl":
            headers = {"ETag": '"small"', "X-Repo-Commit": COMMIT["owner/set"]}
            content, code = SMALL, 200
        self.send_response(code)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def pin(path: Path, hub: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: huggingface_hub reads its endpoint when it is imported."""
    environment = os.environ | {"HF_ENDPOINT": hub, "HF_HOME": str(path.parent / "home")}
    command = [sys.executable, "-m", "isoflop.cli", "pin", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_gaps_are_filled_and_nothing_else_changes(hub: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(CONFIG)
    with pytest.raises(UserError, match=r"5 faults[\s\S]*datasets\.own\.files\[1\]\.sha256: not pinned yet"):
        load_config([path])
    run = pin(path, hub)
    assert run.returncode == 0, run.stderr
    assert "policies.one.revision: " + "a" * 40 in run.stderr
    small = hashlib.sha256(SMALL).hexdigest()
    expected = (
        CONFIG.replace("revision: unpinned  #", f"revision: {COMMIT['owner/set']}  #")
        .replace("large.jsonl, sha256: unpinned", f"large.jsonl, sha256: {LARGE}")
        .replace('small.jsonl, sha256: "unpinned"', f"small.jsonl, sha256: {small}")
        .replace("owner/policy, revision: unpinned", f"owner/policy, revision: {COMMIT['owner/policy']}")
        .replace("revision: 'unpinned'", f"revision: {COMMIT['owner/prm']}")
    )
    assert path.read_text() == expected
    assert load_config([path]).policies["one"].revision == "a" * 40
    again = pin(path, hub)
    assert (again.returncode, path.read_text()) == (0, expected)


def test_a_hub_that_does_not_know_changes_nothing(hub: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    for old, new, says in (
        ("owner/prm", "owner/lost", "owner/lost: the hub does not say its commit"),
        ("large.jsonl", "lost.jsonl", "owner/set: has no file 'lost.jsonl' at " + "c" * 40),
    ):
        text = CONFIG.replace(old, new)
        path.write_text(text)
        run = pin(path, hub)
        assert run.returncode == 2
        assert says in run.stderr
        assert "Traceback" not in run.stderr
        assert path.read_text() == text


def test_only_the_hub_is_asked() -> None:
    github = "datasets:\n  own: {source: github, repo: a/b, revision: unpinned}\n"
    with pytest.raises(UserError, match=r"datasets\.own: only the hub can be asked"):
        gaps(github)
    imported = "generators:\n  runs:\n    sources:\n      - {repo: a/b, host: hub, revision: unpinned}\n"
    assert [gap.place for gap in gaps(imported)] == ["generators.runs.sources[0].revision"]


def test_sums_are_of_the_revision_that_the_entry_names() -> None:
    text = f"own: {{source: hub, repo: a/b, revision: {'e' * 40}, files: [{{path: x, sha256: unpinned}}]}}\n"
    asked: list[tuple[str, ...]] = []

    def commit(*about: str) -> str:
        asked.append(about)
        return about[2]

    def sha256(*about: str) -> str:
        asked.append(about)
        return "f" * 64

    written, found = filled(text, commit, sha256)
    assert asked == [("dataset", "a/b", "e" * 40), ("dataset", "a/b", "e" * 40, "x")]
    assert found == [("own.files[0].sha256", "f" * 64)]
    assert written == text.replace("unpinned", "f" * 64)
