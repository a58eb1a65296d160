"""The replay stage: tables and ledgers of imported solutions, and where their files come from."""

import gzip
import hashlib
import http.server
import io
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from isoflop.data import rows, sources
from isoflop.errors import UserError, printable
from isoflop.files import read_table, table_metadata, write_table
from isoflop.stages import replay
from isoflop.tables import CANDIDATES, PROBLEMS, SCORES

SIZE = {"parameters": 8000, "layers": 2, "attention_width": 16}
COMMIT = "a" * 40
ROWS = [
    {"problem_id": "p1", "steps": ["It is ", "5."], "step_scores": [0.5, 0.25], "tokens": 7},
    {"problem_id": "p1", "text": "It is 6.", "score": 0.125},
    {"problem_id": "p2", "text": "It is 8.", "score": 0.75, "finish": "length"},
]


def write_inputs(folder: Path, rows: list[dict[str, Any]] = ROWS) -> None:
    columns: dict[str, list[object]] = {
        "problem_id": ["p1", "p2"], "prompt": ["What is 2 + 3?", "What is 4 + 4?"], "answer": ["5", "8"],
        "level": [1, 2], "subject": [None, None], "solution": [None, None],
    }  # fmt: skip
    write_table(folder / "problems.parquet", columns, PROBLEMS, {})
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def spec(source: dict[str, Any], **rest: Any) -> str:
    generator = {
        "kind": "import", "format": "table", "dataset": "d", "verifier": "v",
        "characters_per_token": 4.0, "sources": [{"policy": "p"} | source],
    }  # fmt: skip
    verifiers = (
        [] if rest.pop("unscored", False) else [{"name": "v", "model": {"kind": "imported", "size": SIZE}}]
    )
    mirror = rest.pop("mirror", None)
    return json.dumps(
        {
            "generator": generator | rest,
            "policy": {"size": SIZE},
            "verifiers": verifiers,
            "mirror": mirror,
            "code": "c",
        }
    )


SHIPPED = Path(__file__).parents[2] / "resources" / "models" / "policy-0.1M"


def test_a_named_tokenizer_counts_what_the_files_do_not(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    counted = {"characters_per_token": None, "tokenizer": {"model": str(SHIPPED)}}
    table = read_table(
        run(tmp_path, spec({"files": [{"path": str(tmp_path / "a.jsonl")}]}, **counted))[0], CANDIDATES
    )
    tokenizer = Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    expected = [7, count("It is 6."), count("It is 8.")]
    assert table.column("tokens").to_pylist() == expected
    prompts = [count("What is 2 + 3?"), count("What is 4 + 4?")]
    assert table.column("prompt_tokens").to_pylist() == [prompts[0], prompts[0], prompts[1]]
    (tmp_path / "tokenizer.json").write_text("{}")
    counted["tokenizer"] = {"model": str(tmp_path)}
    with pytest.raises(UserError, match=r"tokenizer\.json: cannot be read as a tokenizer"):
        run(tmp_path, spec({"files": [{"path": str(tmp_path / "a.jsonl")}]}, **counted))


def run(folder: Path, text: str, outputs: int = 4) -> list[Path]:
    names = ["out.parquet", "out.ledger.json", "scores.parquet", "scores.ledger.json"][:outputs]
    paths = [folder / name for name in names]
    replay.main([text, str(folder / "problems.parquet"), *map(str, paths)])
    return paths


def test_solutions_become_candidates_scores_and_ledgers(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    out, ledger, scores, scores_ledger = run(tmp_path, spec({"files": [{"path": str(tmp_path / "*.jsonl")}]}))
    rows = read_table(out, CANDIDATES).to_pylist()
    assert [(row["problem_id"], row["candidate"], row["tokens"]) for row in rows] == [
        ("p1", 0, 7), ("p1", 1, 2), ("p2", 0, 2),
    ]  # fmt: skip
    assert (rows[0]["steps"], sum(rows[0]["step_tokens"])) == (["It is ", "5."], 7)
    assert rows[0]["source"] == f"{tmp_path}/a.jsonl, line 1"
    assert [row["finish"] for row in rows] == ["stop", "stop", "length"]
    assert [row["prompt_tokens"] for row in rows] == [4, 4, 4]
    assert read_table(scores, SCORES)["step_scores"].to_pylist() == [[0.5, 0.25], [0.125], [0.75]]
    written = json.loads(ledger.read_text())
    assert (written["candidates"], written["generated_tokens"], written["counts_not_in_files"]) == (3, 11, 2)
    assert written["model"]["parameters"] == 8000
    assert "seconds" not in written
    assert json.loads(scores_ledger.read_text())["verifier_tokens"] == 11 + 12


def test_without_a_verifier_scores_are_left_out(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    text = spec({"files": [{"path": str(tmp_path / "a.jsonl")}]}, unscored=True, verifier=None, at_least=2)
    [out, ledger] = run(tmp_path, text, outputs=2)
    table = read_table(out, CANDIDATES)
    assert table["steps"].to_pylist() == [["It is 5."], ["It is 6."]]
    assert table_metadata(table)["left_out"] == {"p2": 1}
    assert json.loads(ledger.read_text())["problems_left_out"] == 1


def test_the_message_of_a_fault_names_file_and_row(tmp_path: Path) -> None:
    write_inputs(tmp_path, [*ROWS, {"problem_id": "p2", "text": "It is 9.", "score": 1.5}])
    with pytest.raises(UserError, match=r"a\.jsonl, line 4: the score 1\.5 is no probability"):
        run(tmp_path, spec({"files": [{"path": str(tmp_path / "a.jsonl")}]}))
    with pytest.raises(UserError, match="sha256 is"):
        run(tmp_path, spec({"files": [{"path": str(tmp_path / "a.jsonl"), "sha256": "0" * 64}]}))


def pinned(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"repo": "who/what", "revision": COMMIT, "files": [{"path": "x/a b.jsonl", "sha256": digest}]}


def test_a_mirror_stands_in_for_the_network(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    source = pinned(tmp_path / "a.jsonl")
    (tmp_path / "mirror/who/what/x").mkdir(parents=True)
    with pytest.raises(UserError, match=r"the mirror must hold x/a b\.jsonl of who/what"):
        run(tmp_path, spec(source, mirror=str(tmp_path / "mirror")))
    (tmp_path / "a.jsonl").rename(tmp_path / "mirror/who/what/x/a b.jsonl")
    out, *_ = run(tmp_path, spec(source, mirror=str(tmp_path / "mirror")))
    assert read_table(out, CANDIDATES)["source"].to_pylist()[0] == "who/what/x/a b.jsonl, line 1"


class Server(http.server.BaseHTTPRequestHandler):
    """Sends `content`, in part where asked to, and breaks off once after `limit` bytes."""

    content = b""
    large = b""
    limit: int | None = None
    ranges: list[str | None] = []  # noqa: RUF012

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        content = self.content
        if self.path.startswith("/media/"):
            content, self.path = self.large, self.path.removeprefix("/media")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if self.path != f"/who/what/{COMMIT}/x/a%20b.jsonl":
            self.send_error(404)
            return
        rest = content[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: type(self).limit])
        type(self).limit = None

    def log_message(self, format: str, *arguments: object) -> None:
        return


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(sources, "_GITHUB", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("ISOFLOP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "_GITHUB_LARGE", f"{sources._GITHUB}/media")
    monkeypatch.setattr(Server, "ranges", [])
    yield Server
    server.shutdown()
    server.server_close()


def test_a_download_goes_on_where_it_broke_off_and_is_kept(tmp_path: Path, served: type[Server]) -> None:
    write_inputs(tmp_path)
    source = pinned(tmp_path / "a.jsonl")
    served.content, served.limit = (tmp_path / "a.jsonl").read_bytes(), 50
    with pytest.raises(UserError, match="run again to go on"):
        run(tmp_path, spec(source))
    run(tmp_path, spec(source))
    out, *_ = run(tmp_path, spec(source))
    assert served.ranges == [None, "bytes=50-"]
    assert read_table(out, CANDIDATES).num_rows == 3


def test_a_pointer_to_a_large_file_is_followed(tmp_path: Path, served: type[Server]) -> None:
    write_inputs(tmp_path)
    source = pinned(tmp_path / "a.jsonl")
    content = (tmp_path / "a.jsonl").read_bytes()
    served.large = content
    oid = hashlib.sha256(content).hexdigest()
    served.content = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 9\n".encode()
    out, *_ = run(tmp_path, spec(source))
    assert read_table(out, CANDIDATES).num_rows == 3


def test_a_download_of_other_content_is_refused_and_not_kept(tmp_path: Path, served: type[Server]) -> None:
    write_inputs(tmp_path)
    source = pinned(tmp_path / "a.jsonl")
    served.content = b"something else"
    with pytest.raises(UserError, match="sha256 is"):
        run(tmp_path, spec(source))
    served.content = (tmp_path / "a.jsonl").read_bytes()
    run(tmp_path, spec(source))
    source["files"][0]["path"] = "x/none.jsonl"
    with pytest.raises(UserError, match="the server says 404"):
        run(tmp_path, spec(source))


def test_a_file_at_an_address_is_downloaded_once_by_its_sum(
    tmp_path: Path, served: type[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    served.content, digest = content, hashlib.sha256(content).hexdigest()
    address = f"{sources._GITHUB}/who/what/{COMMIT}/x/a%20b.jsonl"
    local = sources.url_file(address, digest, None)
    assert local == tmp_path / "cache" / "url" / digest / "a%20b.jsonl"
    assert local.read_bytes() == content
    assert sources.url_file(address, digest, None) == local
    assert served.ranges == [None]
    # What a disk has damaged is had again.
    local.write_bytes(content[:-1] + b"!")
    assert sources.url_file(address, digest, None).read_bytes() == content
    assert served.ranges == [None, None]
    monkeypatch.setattr(sources, "_MOST_BYTES", 10)
    with pytest.raises(UserError, match="is larger than 10 bytes"):
        sources.url_file(address, "0" * 64, None)


@pytest.mark.parametrize("address", ["https://x:abc/y", "https://[::1/y", "https://a b.org/\x7f"])
def test_an_address_that_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("ISOFLOP_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="cannot be downloaded") as caught:
        sources.url_file(address, "0" * 64, None)
    assert str(caught.value).startswith(printable(address))


def test_parquet_text_that_is_not_utf8_is_refused_by_file() -> None:
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    )
    data = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": broken}), data)
    with pytest.raises(UserError, match=r"^a\.parquet, rows 1 to 1: hold text that is not UTF-8"):
        list(rows.read_rows("a.parquet", data.getvalue().to_pybytes()))


def test_no_server_leads_from_https_to_anything_else() -> None:
    handler, request = sources._SameScheme(), urllib.request.Request("https://a.org/x")
    with pytest.raises(urllib.error.HTTPError, match=r"leads from https to http://b\.org"):
        handler.redirect_request(request, io.BytesIO(), 302, "", HTTPMessage(), "http://b.org/x")
    assert handler.redirect_request(request, io.BytesIO(), 302, "", HTTPMessage(), "https://b.org/x")


def test_a_mirror_has_what_is_at_addresses_by_host(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    (tmp_path / "mirror/a.org/x").mkdir(parents=True)
    digest = hashlib.sha256((tmp_path / "a.jsonl").read_bytes()).hexdigest()
    source = {"files": [{"url": "https://a.org/x/a.jsonl", "sha256": digest}]}
    with pytest.raises(UserError, match=r"the mirror must hold what is at https://a\.org/x/a\.jsonl"):
        run(tmp_path, spec(source, mirror=str(tmp_path / "mirror")))
    (tmp_path / "a.jsonl").rename(tmp_path / "mirror/a.org/x/a.jsonl")
    out, *_ = run(tmp_path, spec(source, mirror=str(tmp_path / "mirror")))
    assert read_table(out, CANDIDATES)["source"].to_pylist()[0] == "https://a.org/x/a.jsonl, line 1"


def test_the_same_rows_are_the_same_in_every_kind_of_file(tmp_path: Path) -> None:
    solutions: list[dict[str, Any]] = [
        {"problem_id": "p1", "text": "It is 5.", "score": 0.5, "tokens": 7, "reference": 5, "finish": None},
        {"problem_id": "p2", "text": "", "score": None, "tokens": None, "reference": 8, "finish": "length"},
    ]
    write_inputs(tmp_path, solutions)
    lines = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "b.json").write_text(json.dumps(solutions))
    (tmp_path / "c.json").write_bytes(lines)
    (tmp_path / "d.json").write_text(json.dumps({"run": {"rows": solutions}}))
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress(lines))
    frame = pd.DataFrame(solutions)
    frame.to_csv(tmp_path / "f.csv", index=False)
    frame.to_csv(tmp_path / "g.csv.gz", index=False, lineterminator="\r\n")
    frame.to_parquet(tmp_path / "h.parquet")
    seen = set()
    for name in ("a.jsonl", "b.json", "c.json", "d.json", "e.jsonl.gz", "f.csv", "g.csv.gz", "h.parquet"):
        further = {"rows": "run.rows"} if name == "d.json" else {}
        source = {"files": [{"path": str(tmp_path / name)}]}
        paths = run(tmp_path, spec(source, **further))
        tables = [read_table(paths[0], CANDIDATES).drop_columns(["source"]), read_table(paths[2], SCORES)]
        seen.add(json.dumps([table.to_pylist() for table in tables]))
    (only,) = seen
    candidates, scores = json.loads(only)
    assert [(row["steps"], row["tokens"], row["finish"]) for row in candidates] == [
        (["It is 5."], 7, "stop"), ([""], 1, "length"),
    ]  # fmt: skip
    assert [row["step_scores"] for row in scores] == [[0.5], []]
    assert json.loads(paths[3].read_text())["too_long"] == 1
    assert json.loads(paths[1].read_text())["notes"] == ["1 solution is empty, which counts as wrong."]


def test_a_small_file_that_unpacks_to_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_MOST_UNPACKED", 1000)
    write_inputs(tmp_path)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b" " * 1001))
    with pytest.raises(UserError, match="holds more than 1,000 bytes unpacked"):
        run(tmp_path, spec({"files": [{"path": str(tmp_path / "b.jsonl.gz")}]}))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b"{}")[:-9])
    with pytest.raises(UserError, match="cannot be unpacked"):
        run(tmp_path, spec({"files": [{"path": str(tmp_path / "b.jsonl.gz")}]}))


def test_completions_go_on_where_the_problem_ends(tmp_path: Path) -> None:
    write_inputs(tmp_path, [{"problem_id": "p1", "text": " 5.", "score": 0.5, "tokens": 2}])
    source = {"files": [{"path": str(tmp_path / "a.jsonl")}]}
    out, *_ = run(tmp_path, spec(source, continuation=True))
    [row] = read_table(out, CANDIDATES).to_pylist()
    assert (row["steps"], row["step_tokens"]) == (["What is 2 + 3? 5."], [2])


def test_scores_of_several_verifiers_are_tables_of_their_own(tmp_path: Path) -> None:
    write_inputs(
        tmp_path, [{"problem_id": "p1", "steps": ["It is ", "5."], "prm": [0.5, 0.25], "rm": {"orm": 7}}]
    )
    text = json.loads(spec({"files": [{"path": str(tmp_path / "a.jsonl")}]}, verifier=None))
    text["generator"]["verifiers"] = {"prm": "prm", "orm": "rm.orm"}
    model = {"kind": "imported", "size": SIZE}
    text["verifiers"] = [
        {"name": "orm", "column": "rm.orm", "model": model | {"scale": "unbounded", "outcome": True}},
        {"name": "prm", "column": "prm", "model": model},
    ]
    names = [tmp_path / f"{name}.{kind}" for name in ("out", "orm", "prm") for kind in ("parquet", "json")]
    replay.main([json.dumps(text), str(tmp_path / "problems.parquet"), *map(str, names)])
    found = [read_table(path, SCORES)["step_scores"].to_pylist() for path in names[2::2]]
    assert found == [[[7.0]], [[0.5, 0.25]]]


def test_a_file_is_of_the_search_that_the_config_says(tmp_path: Path) -> None:
    told = [
        {"problem_id": row["problem_id"], "text": f"It is {n}.", "score": 0.5} for n, row in enumerate(ROWS)
    ]
    write_inputs(tmp_path, told)
    files = [{"path": str(tmp_path / "a.jsonl"), "budget": 2, "run": 3}]
    out, *_ = run(tmp_path, spec({"files": files}, budgets=[2]))
    table = read_table(out, CANDIDATES)
    assert table.select(["budget", "run"]).to_pylist() == [{"budget": 2, "run": 0}] * 3
    write_inputs(tmp_path, [told[0] | {"budget": 4}])
    with pytest.raises(UserError, match="line 1: its budget is 4, and 2 by the config"):
        run(tmp_path, spec({"files": files}, budgets=[2]))
