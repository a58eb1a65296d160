"""Programs as answers: extraction, verdicts, votes; programs that attack; MBPP's own solutions."""

import ctypes
import json
import os
import socket
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from isoflop.errors import UserError
from isoflop.grading import sandbox
from isoflop.grading.grader import is_right, make_grader
from isoflop.grading.graders import code
from isoflop.grading.graders.code import CodeGrader
from isoflop.grading.sandbox import Limits, Sandbox, bubblewrap_fault

CASES = Path(__file__).parents[1] / "cases"
REAL_DATA = Path(os.environ.get("ISOFLOP_DATA") or Path(__file__).parents[3] / "shared" / "data")
SHORT = Limits(cpu_seconds=1, idle_seconds=5.0, memory_bytes=256 * 2**20)
NO_BUBBLEWRAP = f"bubblewrap is not usable here: {bubblewrap_fault()}"


def programs(name):
    return yaml.safe_load((CASES / f"{name}.yaml").read_text())


@pytest.fixture(params=["bubblewrap", "limits only"])
def grader(request, monkeypatch):
    """Grader with short limits, in both ways in which programs may run."""
    if request.param == "limits only":
        monkeypatch.setattr(sandbox, "bubblewrap_fault", lambda: "there is no `bwrap`")
    elif bubblewrap_fault() is not None:
        pytest.skip(NO_BUBBLEWRAP)
    with CodeGrader(SHORT, allow_unsandboxed=True) as one:
        yield one


@pytest.fixture
def isolated():
    """A grader in a real sandbox."""
    if bubblewrap_fault() is not None:
        pytest.skip(NO_BUBBLEWRAP)
    with CodeGrader(SHORT) as one:
        yield one


@pytest.mark.parametrize(
    "case",
    [json.loads(line) for line in (CASES / "answers_code_extract.jsonl").read_text().splitlines()],
    ids=lambda case: case["why"],
)
def test_extraction(case):
    assert make_grader("code").extract(case["text"], truncated=case["truncated"]) == case["answer"]


@pytest.mark.parametrize("case", programs("programs"), ids=lambda case: case["name"])
def test_programs_are_judged_by_their_tests(grader, case):
    assert grader.correct(case["program"], case["tests"]) is case["verdict"]


def test_text_is_right_if_its_program_is(grader):
    text = "Here it is:\n```python\ndef f(x):\n    return 2 * x\n```\nfor example f(1) is 2."
    assert is_right(grader, text, "assert f(2) == 4", truncated=False)
    assert not is_right(grader, text, "assert f(2) == 5", truncated=False)
    assert not is_right(grader, "no code", "assert True", truncated=False)


# What YAML does not hold.
MALFORMED = {
    "nests": "f = " + "(" * 5000 + ")" * 5000,
    "null bytes": "f = 1\0",
    "surrogates": "f = '\udc80'\ng = 1 / 0",
    "too long": "f = 1\n" * 20000,
}
HOSTILE = [
    *programs("programs_hostile"),
    *({"name": name, "program": program, "verdict": False} for name, program in MALFORMED.items()),
    # A matter of the compiler's stack: a crash or no memory.
    {"name": "nests signs", "program": "f = " + "-" * 90000 + "1", "verdict": "no pass"},
]


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case["name"])
def test_hostile_programs_end_and_pass_nothing(grader, case, monkeypatch, tmp_path):
    monkeypatch.setenv("ISOFLOP_TEST_TOKEN", "secret")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = grader.correct(case["program"], "assert f() == 1")
    assert found is case["verdict"] or (case["verdict"] == "no pass" and found is not True)
    assert grader.correct("def f():\n    return 1", "assert f() == 1") is True
    assert _left_after_a_while() == []
    assert list(tmp_path.iterdir()) == [], "scratch folders are removed"


WAITS = """
import time
def f():
    time.sleep(999)
"""
WAITS_WITHOUT_OUTPUT = """
import os, time
os.closerange(0, 64)
time.sleep(999)
"""


WAITS_NOW_AND_THEN = """
import time
def f():
    while True:
        time.sleep(0.02)
"""
WAITS_IN_THREADS = """
import threading, time
def f():
    for _ in range(4):
        threading.Thread(target=time.sleep, args=(999,)).start()
    threading.Event().wait()
"""


@pytest.mark.parametrize("limits", [{"idle_seconds": 1.5}, {"wall_seconds": 2.0}], ids=["idle", "wall"])
@pytest.mark.parametrize("program", [WAITS, WAITS_WITHOUT_OUTPUT, WAITS_NOW_AND_THEN, WAITS_IN_THREADS])
def test_programs_that_wait_are_ended_by_the_clock(grader, program, limits):
    begun = time.monotonic()
    with CodeGrader(Limits(cpu_seconds=1, **limits), allow_unsandboxed=True) as impatient:
        assert impatient.correct(program, "assert f() == 1") is None
    assert time.monotonic() - begun < 40
    assert _left_after_a_while() == []


BUSY = """
import time
def f():
    until = time.process_time() + 0.6
    while time.process_time() < until:
        pass
    return 1
"""


def test_verdicts_do_not_depend_on_how_busy_a_machine_is(grader):
    """Nine at once on one processor: each waits for it much longer than it may sleep."""
    allowed = os.sched_getaffinity(0)
    limits = Limits(cpu_seconds=3, idle_seconds=1.0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        with (
            CodeGrader(limits, allow_unsandboxed=True) as crowded,
            ThreadPoolExecutor(9) as pool,
        ):
            found = list(pool.map(lambda n: crowded.correct(f"{BUSY}# {n}", "assert f() == 1"), range(9)))
    finally:
        os.sched_setaffinity(0, allowed)
    assert found == [True] * 9


RUNNER = b"Runs one program against its tests"


def _left_after_a_while():
    """The runners that do not end: what was killed is there until the kernel has come to it."""
    until = time.monotonic() + 20
    while (found := _runners()) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def _runners():
    """Processes that still run the runner, and were started here or have lost who started them.

    Tests in another process have runners of their own.
    """
    processes = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            # After the command's name, which may hold anything in its brackets: state, parent.
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        processes[int(folder.name)] = command, parent
    found = []
    for pid, (command, _) in processes.items():
        if RUNNER not in command:
            continue
        above = pid
        while above in processes and (RUNNER in processes[above][0] or b"bwrap" in processes[above][0]):
            above = processes[above][1]
        if above in {os.getpid(), 0, 1}:
            found.append(pid)
    return found


def test_programs_reach_no_server(grader):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = (
            f"import socket\ndef f():\n    socket.create_connection(('127.0.0.1', {port}), 1)\n    return 1"
        )
        assert grader.correct(program, "assert f() == 1") is False
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


def test_programs_in_the_sandbox_see_and_change_none_of_the_users_files(isolated, tmp_path, monkeypatch):
    secret, marker = tmp_path / "secret", tmp_path / "marker"
    secret.write_text("secret")
    monkeypatch.setenv("ISOFLOP_TEST_TOKEN", "secret")
    here = Path(__file__).parents[2]
    program = f"""
import os
def read():
    return os.path.exists({str(secret)!r}) or os.path.exists({str(here)!r})
def write():
    open({str(marker)!r}, "w").write("x")
def token():
    return os.environ.get("ISOFLOP_TEST_TOKEN")
def system():
    for folder in ("/", "/usr", "/etc", "/dev", "/dev/shm", "/proc", "/proc/self"):
        try:
            open(folder + "/marker", "w").write("x")
        except OSError:
            continue
        return folder
def many():
    for one in range(9):
        open("/tmp/" + str(one), "wb").write(b"x" * 4 * 2**20)
"""
    tests = "assert not read()\nassert token() is None\nassert system() is None"
    assert isolated.correct(program, tests) is True
    assert isolated.correct(program, "write()\nassert True") is False
    assert isolated.correct(program, "many()\nassert True") is False
    assert not marker.exists()


def test_without_bubblewrap_the_users_files_are_out_of_reach(monkeypatch, tmp_path):
    if not _has_landlock():
        pytest.skip("this kernel has no Landlock")
    monkeypatch.setattr(sandbox, "bubblewrap_fault", lambda: "there is no `bwrap`")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    program = f"""
import os
os.symlink({str(secret)!r}, "there")
def tried(act, *arguments):
    try:
        act(*arguments)
    except OSError:
        return False
    return True
def read():
    return tried(open, {str(secret)!r}) or tried(os.listdir, {str(tmp_path)!r}) or tried(open, "there")
def change():
    paths = [{str(secret)!r}, "there"]
    acts = (open, "a"), (os.truncate, 0), (os.utime, None), (os.chmod, 0)
    return (
        any(tried(act, path, argument) for path in paths for act, argument in acts)
        or tried(os.unlink, paths[0]) or tried(os.rename, paths[0], "x") or tried(os.mkdir, paths[0] + "s")
    )
def scratch():
    os.mkdir("a")
    open("a/b", "w").write("c")
    os.rename("a/b", "d")
    return open("d").read()
"""
    with CodeGrader(SHORT, allow_unsandboxed=True) as grader:
        tests = "assert not read()\nassert not change()\nassert scratch() == 'c'"
        assert grader.correct(program, tests) is True
    assert secret.read_text() == "secret"


def _has_landlock():
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) >= 3


@pytest.mark.parametrize("fault", ["Landlock", "processes"])
def test_root_runs_nothing_that_it_cannot_confine(monkeypatch, fault):
    monkeypatch.setattr(sandbox, "bubblewrap_fault", lambda: "there is no `bwrap`")
    if fault == "processes":
        monkeypatch.setattr(sandbox, "_filter_digits", lambda: None)
    else:
        lacking = code._runner().replace("_RESTRICT_SELF = 444,", "_RESTRICT_SELF = 9444,")
        assert "9444" in lacking
        monkeypatch.setattr(code, "_runner", lambda: lacking)
    with CodeGrader(SHORT, allow_unsandboxed=True) as grader:
        if os.getuid() != 0:
            assert grader.correct("def f():\n    return 1", "assert f() == 1") is True
            return
        with pytest.raises(UserError, match=f"{fault}.*another user than root"):
            grader.correct("def f():\n    return 1", "assert f() == 1")


def test_programs_find_no_leftovers_of_others(grader):
    program = "import os\nleft = os.listdir('.')\nopen('mine', 'w').write('x')\ndef f():\n    return left"
    assert [grader.correct(program, "assert f() == []") for _ in range(2)] == [True, True]


def test_without_a_sandbox_nothing_runs_unless_the_user_says_so(monkeypatch):
    monkeypatch.setattr(sandbox, "bubblewrap_fault", lambda: "there is no `bwrap`")
    with pytest.raises(UserError, match=r"there is no `bwrap`.*allow_unsandboxed: true"), CodeGrader():
        pass
    assert not Sandbox(allow_unsandboxed=True).isolated


def test_a_bubblewrap_that_does_not_work_is_not_used(monkeypatch, tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    bubblewrap_fault.cache_clear()
    try:
        assert "No permissions to create a new namespace" in bubblewrap_fault()
    finally:
        bubblewrap_fault.cache_clear()


def test_programs_vote_by_what_they_do(grader):
    tests = "assert f([3, 1]) == [1, 3]\nassert f([]) == []"
    alike = ["f = sorted", "def f(x):\n    return sorted(x)"]
    reversed_ones = ["def f(x):\n    return x[::-1][::-1]", "def f(x):\n    return x"]
    other = "def f(x):\n    return sorted(x)[::-1] + [0]"
    broken = ["f = 1", "def f():\n    return 2", "f = (", "while True: pass"]
    answers = [*alike, *reversed_ones, other, *broken]
    found = grader.classes([*answers, *answers], tests)
    assert found.correct == set(alike)
    assert found.undecided == (("while True: pass", tests),)
    together = {
        tuple(one for one in answers if found.number[one] == number) for number in found.number.values()
    }
    assert together == {tuple(alike), tuple(reversed_ones), (other,), *((one,) for one in broken)}
    assert found == grader.classes(reversed(answers), tests)


def test_a_class_holds_no_correct_and_wrong_programs(grader):
    # Both look alike.
    plain = """
class A(int):
    def __repr__(self):
        return "A"
def f():
    return A(%d)
"""
    answers = [plain % 1, plain % 2]
    found = grader.classes(answers, "assert f() == 1")
    assert found.correct == {answers[0]}
    assert found.number[answers[0]] != found.number[answers[1]]


def test_references_must_assert_something():
    fault = make_grader("code").reference_fault
    assert fault("assert f(1) == 2") is None
    assert "assert nothing" in fault("f(1)")
    assert "not Python" in fault("assert f(1) ==")
    assert "not Python" in fault("assert 1\0")
    assert fault("def check(f):\n    assert f(1)\ncheck(f)") is None
    assert fault("for one in (1, 2):\n    assert f(one)") is None
    assert "never called" in fault("def check(f):\n    assert f(1)")


def test_every_mbpp_solution_passes_its_own_tests():
    path = REAL_DATA / "mbpp" / "mbpp.jsonl"
    if not path.is_file():
        pytest.skip(f"real data not here: {path}; set ISOFLOP_DATA")
    if bubblewrap_fault() is not None:
        pytest.skip(NO_BUBBLEWRAP)
    rows = [json.loads(line) for line in path.read_text().splitlines()]

    def verdict(row):
        program = grader.extract(f"[BEGIN]\n{row['code']}\n[DONE]")
        return grader.correct(program, "\n".join([row["test_setup_code"], *row["test_list"]]))

    with CodeGrader() as grader, ThreadPoolExecutor(os.cpu_count()) as executor:
        verdicts = dict(zip((row["task_id"] for row in rows), executor.map(verdict, rows), strict=True))
    assert len(verdicts) == 974
    assert [task for task, passed in verdicts.items() if passed is not True] == []


def test_graders_work_in_threads(grader):
    verdicts = {}

    def judge(number):
        verdicts[number] = grader.correct(f"def f():\n    return {number}", "assert f() % 2 == 0")

    threads = [threading.Thread(target=judge, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == {number: number % 2 == 0 for number in range(6)}
