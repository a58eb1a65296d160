"""The problems stage: generated, hub (through a mirror and a local stand-in for the hub) and local files."""

import csv
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isoflop.data.rows import read_rows
from isoflop.errors import UserError
from isoflop.files import read_table, table_metadata
from isoflop.grading import sandbox
from isoflop.stages.problems import main
from isoflop.tables import PROBLEMS

REAL_DATA = Path(os.environ.get("ISOFLOP_DATA") or Path(__file__).parents[3] / "shared" / "data")
REVISION = "0123456789abcdef0123456789abcdef01234567"
FIELDS = {"prompt": "question", "answer": "answer"}
ROWS = [
    {"question": "How many is 8 + 9?", "answer": "8 + 9 = 17\n#### 17", "level": "Level 2", "name": "a"},
    {"question": "How many is 2 x 600?", "answer": "#### 1,200", "level": 1, "name": "b"},
]
GOOD_LINE = '{"question": "a", "answer": "1"}\n'


def run(tmp_path, dataset, mirror=None, **settings):
    out = tmp_path / "out.parquet"
    spec = json.dumps({"dataset": dataset, "mirror": mirror and str(mirror), "version": 1})
    main(["--runtime", json.dumps(settings), spec, str(out)])
    table = read_table(out, PROBLEMS)
    return table.to_pylist(), table_metadata(table)


def jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def local(path, **options):
    return {"source": "file", "path": str(path), "fields": FIELDS, "grader": "number", **options}


def hub(path, digest, fields=FIELDS, **options):
    files = [{"path": path, "sha256": digest}]
    common = {"source": "hub", "repo": "owner/set", "split": "test", "revision": REVISION, "grader": "number"}
    return {**common, "files": files, "fields": fields, **options}


def test_wordproblems_are_written_with_levels_and_solutions(tmp_path):
    dataset = {"source": "wordproblems", "split": "dev", "size": 10, "levels": [2, 4], "seed": 3}
    rows, metadata = run(tmp_path, dataset)
    assert len(rows) == 10
    assert {row["level"] for row in rows} == {2, 4}
    assert all(row["answer"] in row["solution"] for row in rows)
    assert (metadata["source"], metadata["split"], metadata["seed"]) == ("wordproblems", "dev", 3)


def test_the_same_rows_from_jsonl_csv_and_parquet_are_the_same_problems(tmp_path):
    rows = [{**row, "level": str(row["level"])} for row in ROWS]
    jsonl(tmp_path / "set.jsonl", rows)
    with (tmp_path / "set.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set.parquet")
    fields = FIELDS | {"level": "level", "solution": "answer", "answer_pattern": "gsm8k"}
    read = [
        run(tmp_path, local(tmp_path / f"set.{end}", fields=fields))[0] for end in ("jsonl", "csv", "parquet")
    ]
    assert read[0] == read[1] == read[2]
    assert [(row["problem_id"], row["answer"], row["level"]) for row in read[0]] == [
        ("set-00000", "17", 2),
        ("set-00001", "1,200", 1),
    ]
    assert read[0][0]["solution"] == "8 + 9 = 17\n#### 17"
    assert read[0][0]["subject"] is None


def test_values_of_a_csv_stay_as_written(tmp_path):
    (tmp_path / "set.csv").write_text('question,answer\n"one, two?",007\nthree?,None\n')
    rows, _ = run(tmp_path, local(tmp_path / "set.csv", grader="math"))
    assert [(row["prompt"], row["answer"]) for row in rows] == [("one, two?", "007"), ("three?", "None")]


def test_ids_limit_pattern_and_provenance(tmp_path):
    path = jsonl(tmp_path / "set.jsonl", ROWS)
    fields = FIELDS | {"id": "name", "answer_pattern": r"####\s*([0-9,]+)"}
    rows, metadata = run(tmp_path, local(path, fields=fields, limit=1, sha256=sha256(path)))
    assert [(row["problem_id"], row["answer"]) for row in rows] == [("a", "17")]
    assert metadata["files"] == [{"path": str(path), "sha256": sha256(path)}]
    assert (metadata["limit"], metadata["problems"], metadata["license"]) == (1, 1, None)


def test_what_solutions_are_to_lack_is_cut_out(tmp_path):
    """GSM8K's annotations for a calculator."""
    solution = "48/2 = <<48/2=24>>24 clips.\n24+48 = <<24+48=72>>72.\n#### 72"
    path = jsonl(tmp_path / "set.jsonl", [{"question": "How many?", "answer": solution}])
    fields = FIELDS | {"solution": "answer", "answer_pattern": "gsm8k", "solution_without": "<<[^>]*>>"}
    rows, _ = run(tmp_path, local(path, fields=fields))
    assert rows[0]["solution"] == "48/2 = 24 clips.\n24+48 = 72.\n#### 72"
    assert rows[0]["answer"] == "72"


def test_where_keeps_rows_by_the_values_of_their_columns(tmp_path):
    pairs = zip(ROWS * 2, "abca", strict=True)
    rows = [row | {"type": kind, "part": 1 + place} for place, (row, kind) in enumerate(pairs)]
    path = jsonl(tmp_path / "set.jsonl", [row | {"name": f"n{row['part']}"} for row in rows])
    fields = FIELDS | {"id": "name", "answer_pattern": "gsm8k"}
    where = {"type": ["a", "b"], "part": ["2", "4"]}
    kept, metadata = run(tmp_path, local(path, fields=fields, where=where))
    assert [row["problem_id"] for row in kept] == ["n2", "n4"]
    assert metadata["where"] == where
    kept, _ = run(tmp_path, local(path, fields=fields, where={"type": ["a"]}, limit=1))
    assert [row["problem_id"] for row in kept] == ["n1"]
    kept, metadata = run(tmp_path, local(path, fields=fields, where={"type": ["a", "c"]}, skip=1, limit=1))
    assert ([row["problem_id"] for row in kept], metadata["skip"]) == (["n3"], 1)
    with pytest.raises(UserError, match=r"set\.jsonl, line 1: no field 'kind' \(mapped as where\)"):
        run(tmp_path, local(path, fields=fields, where={"kind": ["a"]}))
    with pytest.raises(UserError, match="has no problems; its files hold no rows, or `where` and"):
        run(tmp_path, local(path, fields=fields, where={"type": ["z"]}))


PROGRAM_FIELDS = {
    "prompt": "{text}\nTests: {{\n{test_list}\n}}",
    "tests": ["test_setup_code", "test_list"],
    "solution": "code",
    "id": "task_id",
}


def test_tests_of_programs_are_the_answer_and_may_be_in_the_prompt(tmp_path, monkeypatch):
    row = {
        "text": "Add one.", "code": "def f(x):\n    return x + 1", "task_id": 7,
        "test_setup_code": "", "test_list": ["assert f(1) == 2", "assert f(2) == 3"],
    }  # fmt: skip
    path = jsonl(tmp_path / "set.jsonl", [row, row | {"task_id": 8, "test_setup_code": "one = 1"}])
    dataset = local(path, fields=PROGRAM_FIELDS, grader="code")
    monkeypatch.setattr(sandbox, "bubblewrap_fault", lambda: "there is no `bwrap`")
    with pytest.raises(UserError, match=r"there is no `bwrap`"):
        run(tmp_path, dataset)
    rows, _ = run(tmp_path, dataset, allow_unsandboxed=True)
    assert rows[0]["answer"] == "assert f(1) == 2\nassert f(2) == 3"
    assert rows[1]["answer"] == "one = 1\nassert f(1) == 2\nassert f(2) == 3"
    assert rows[0]["prompt"] == "Add one.\nTests: {\nassert f(1) == 2\nassert f(2) == 3\n}"
    for change, message in [
        ({"test_list": [], "test_setup_code": ""}, r"line 1: there are no tests in test_setup_code, test_li"),
        ({"test_list": ["f(1)"]}, r"problem '7': reference answer 'f\(1\)': its tests assert nothing"),
        ({"test_list": 3}, r"line 1: field 'test_list' \(mapped as tests\) is neither text nor a list"),
    ]:
        jsonl(path, [row | change])
        wrong = local(path, fields=PROGRAM_FIELDS | {"prompt": "text"}, grader="code")
        with pytest.raises(UserError, match=message):
            run(tmp_path, wrong, allow_unsandboxed=True)


@pytest.mark.skipif(not (REAL_DATA / "mbpp").is_dir(), reason=f"real data not here: {REAL_DATA / 'mbpp'}")
def test_mbpp_has_974_problems(tmp_path):
    dataset = local(REAL_DATA / "mbpp" / "mbpp.jsonl", fields=PROGRAM_FIELDS, grader="code")
    rows, _ = run(tmp_path, dataset, allow_unsandboxed=True)
    assert len(rows) == 974
    assert rows[0]["prompt"].startswith("Write a function to find the minimum cost path")


def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_kept(tmp_path):
    (tmp_path / "set.jsonl").write_text('{"question": "\\ud800 \\ud83d\\ude00", "answer": "1"}\n')
    rows, _ = run(tmp_path, local(tmp_path / "set.jsonl"))
    assert rows[0]["prompt"] == "\ufffd \U0001f600"


@pytest.mark.parametrize(
    ("lines", "fields", "message"),
    [
        ('{"question": ' + "[" * 100000 + "\n", {}, r"set\.jsonl, line 1: not valid JSON"),
        (GOOD_LINE + '{oops\n', {}, r"set\.jsonl, line 2: not valid JSON"),
        ('[1]\n', {}, r"set\.jsonl, line 1: holds list"),
        ('{"question": "a"}\n', {}, r"line 1: no field 'answer' \(mapped as answer\); it has question"),
        ('{"question": " ", "answer": "1"}\n', {}, r"line 1: field 'question' \(mapped as prompt\) is empty"),
        ('{"question": "a", "answer": ""}\n', {}, r"line 1: field 'answer' \(mapped as answer\) is empty"),
        ('{"question": "a", "answer": null}\n', {}, r"line 1: field 'answer' .* is empty"),
        ('{"question": "a", "answer": [[1]]}\n', {}, r"line 1: field 'answer' .* is list"),
        (GOOD_LINE * 2, {"id": "question"}, r"line 2: id 'a' is that of .*line 1 too"),
        (GOOD_LINE, {"level": "question"}, r"line 1: level 'a' .* is not a number"),
        (GOOD_LINE, {"answer_pattern": "gsm8k"}, r"line 1: answer_pattern 'gsm8k'"),
        (GOOD_LINE, {"answer_pattern": "("}, r"answer_pattern '\('.* nor a regular"),
        (GOOD_LINE, {"solution": "answer", "solution_without": "."}, r"line 1: solution_without '.' leaves"),
        ("\n", {}, r"data set 'set' has no problems"),
    ],
)  # fmt: skip
def test_bad_rows_are_named(tmp_path, lines, fields, message):
    (tmp_path / "set.jsonl").write_text(lines)
    with pytest.raises(UserError, match=message):
        run(tmp_path, local(tmp_path / "set.jsonl", fields=FIELDS | fields))
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("set.csv", b"question,answer\na,1,2\n", r"set\.csv, line 2: more values"),
        ("set.csv", b"question,answer\na\n", r"set\.csv, line 2: no field 'answer'"),
        ("set.csv", b"question,answer\n\xff,1\n", r"set\.csv: not UTF-8"),
        ("set.csv", b'question,answer\n"a"b,1\n', r"set\.csv, line 2: not valid CSV"),
        ("set.parquet", b"question,answer\n", r"set\.parquet: cannot be read as Parquet"),
    ],
)
def test_bad_files_are_named(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message):
        run(tmp_path, local(tmp_path / name))


def test_a_missing_file_a_wrong_sum_and_a_bad_specification_are_named(tmp_path):
    path = jsonl(tmp_path / "set.jsonl", ROWS)
    with pytest.raises(
        UserError, match=rf"set\.jsonl: sha256 is {sha256(path)}, the config expects {'0' * 64}"
    ):
        run(tmp_path, local(path, sha256="0" * 64))
    with pytest.raises(UserError, match=r"none\.jsonl: cannot be read \(No such file"):
        run(tmp_path, local(tmp_path / "none.jsonl"))
    with pytest.raises(UserError, match=r"problems specification: .*spilt"):
        run(tmp_path, {"source": "wordproblems", "spilt": "dev", "size": 1})


def test_a_mirror_serves_hub_files_after_their_sum_is_checked(tmp_path):
    mirror = tmp_path / "mirror"
    path = jsonl(mirror / "owner/set/main/test.jsonl", [{**row, "level": 1} for row in ROWS])
    fields = FIELDS | {"answer_pattern": "gsm8k", "level": "level"}
    rows, metadata = run(tmp_path, hub("main/test.jsonl", sha256(path), fields), mirror)
    assert [(row["problem_id"], row["answer"]) for row in rows] == [
        ("test-00000", "17"),
        ("test-00001", "1,200"),
    ]
    assert metadata["revision"] == REVISION
    assert metadata["files"] == [{"path": "main/test.jsonl", "sha256": sha256(path)}]
    with pytest.raises(
        UserError, match=rf"main/test\.jsonl: sha256 is {sha256(path)}, the config expects 000"
    ):
        run(tmp_path, hub("main/test.jsonl", "0" * 64, fields), mirror)
    with pytest.raises(
        UserError, match=r"other\.jsonl: not there; the mirror must hold other\.jsonl of owner/set"
    ):
        run(tmp_path, hub("other.jsonl", "0" * 64, fields), mirror)


def test_hub_csv_and_parquet_are_read_as_written_and_broken_files_named(tmp_path):
    folder = tmp_path / "owner/set"
    folder.mkdir(parents=True)
    (folder / "set.csv").write_text("question,answer\nthree?,None\nfour?,007\n")
    pq.write_table(pa.table({"question": ["three?"], "answer": ["3"]}), folder / "set.parquet")
    (folder / "set.json").write_text('[{"question": "a"}, {oops')
    rows = [
        ("a?", "2024-01-05 10:30:00"),
        ("b?", 5),
        ("c?", 2.5),
        ("d?", 9007199254740993),
        ("e?", ["7"]),
        ("f?", [1, 2]),
    ]
    jsonl(folder / "set.jsonl", [{"question": one, "answer": other} for one, other in rows])
    rows, _ = run(tmp_path, hub("set.csv", sha256(folder / "set.csv"), grader="math"), tmp_path)
    assert [row["answer"] for row in rows] == ["None", "007"]
    rows, _ = run(tmp_path, hub("set.parquet", sha256(folder / "set.parquet")), tmp_path)
    assert [row["answer"] for row in rows] == ["3"]
    rows, _ = run(tmp_path, hub("set.jsonl", sha256(folder / "set.jsonl"), grader="math"), tmp_path)
    assert [row["answer"] for row in rows] == [
        "2024-01-05 10:30:00",
        "5",
        "2.5",
        "9007199254740993",
        "7",
        "1, 2",
    ]
    with pytest.raises(UserError, match=r"set\.json: not valid JSON"):
        run(tmp_path, hub("set.json", sha256(folder / "set.json")), tmp_path)


class HubFiles(http.server.BaseHTTPRequestHandler):
    """The part of the hub's protocol that a download of one file uses."""

    content = "".join(json.dumps(row) + "\n" for row in [{"question": "a?", "answer": "1"}]).encode()

    def answer(self, body):
        known = self.path == f"/datasets/owner/set/resolve/{REVISION}/test.jsonl"
        self.send_response(200 if known else 404)
        self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("Content-Length", str(len(self.content) if known else 0))
        self.end_headers()
        if body and known:
            self.wfile.write(self.content)

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def log_message(self, *_):
        """Keep the test's output quiet."""


def test_a_hub_file_is_downloaded_at_its_revision_and_checked(tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), HubFiles)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    environment = os.environ | {
        "HF_ENDPOINT": address,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "0",
    }

    def stage(path, digest):
        spec = json.dumps({"dataset": hub(path, digest), "mirror": None, "version": 1})
        command = [sys.executable, "-m", "isoflop.stages.problems", spec, str(tmp_path / "out.parquet")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    try:
        good = stage("test.jsonl", hashlib.sha256(HubFiles.content).hexdigest())
        assert (good.returncode, good.stdout) == (0, ""), good.stderr
        assert read_table(tmp_path / "out.parquet", PROBLEMS).column("answer").to_pylist() == ["1"]
        bad = stage("test.jsonl", "0" * 64)
        assert bad.returncode == 2
        assert "the config expects 000" in bad.stderr
        missing = stage("none.jsonl", "0" * 64)
        assert missing.returncode == 2
        assert f"error: owner/set: none.jsonl at {REVISION} cannot be downloaded" in missing.stderr
        assert "Traceback" not in missing.stderr
    finally:
        server.shutdown()


def test_the_real_data_sets_load_from_files_and_through_a_mirror(tmp_path):
    gsm8k, math500 = REAL_DATA / "gsm8k/test.jsonl", REAL_DATA / "math500/test.jsonl"
    if not (gsm8k.is_file() and math500.is_file()):
        pytest.skip(f"real data not here: {REAL_DATA}; set ISOFLOP_DATA")
    mirror = tmp_path / "mirror"
    for repo, source in (("openai/gsm8k", gsm8k), ("HuggingFaceH4/MATH-500", math500)):
        (mirror / repo).mkdir(parents=True)
        (mirror / repo / "test.jsonl").symlink_to(source)
    fields = {**FIELDS, "solution": "answer", "answer_pattern": "gsm8k"}
    mirrored, metadata = run(
        tmp_path, hub("test.jsonl", sha256(gsm8k), fields, repo="openai/gsm8k", config="main"), mirror
    )
    direct, _ = run(tmp_path, local(gsm8k, fields=fields))
    assert mirrored == direct
    assert (len(direct), metadata["license"]) == (1319, "MIT")
    assert direct[0]["answer"] == "18"
    fields = {"prompt": "problem", "answer": "answer", "id": "unique_id", "level": "level"}
    fields |= {"subject": "subject", "solution": "solution"}
    mirrored, _ = run(
        tmp_path,
        hub("test.jsonl", sha256(math500), fields, repo="HuggingFaceH4/MATH-500", grader="math"),
        mirror,
    )
    direct, _ = run(tmp_path, local(math500, fields=fields, grader="math"))
    assert mirrored == direct
    assert len(direct) == 500
    assert {row["level"] for row in direct} == {1, 2, 3, 4, 5}
    assert direct[0]["problem_id"] == "test/precalculus/807.json"


def test_reading_csv_leaves_the_limits_of_others_alone() -> None:
    before = csv.field_size_limit()
    list(read_rows("small.csv", b"prompt,answer\n1,2\n"))
    assert csv.field_size_limit() >= before
