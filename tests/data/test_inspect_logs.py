"""Logs of inspect_ai: a true one, hostile and broken ones, and published ones with independent values.

`cases/inspect/sums.eval` was written by inspect_ai 0.3.285 with its model mockllm: two problems, three
epochs, two scorers, thoughts that hold another answer, and one answer of four cut off at the token limit.
"""

import importlib.util
import io
import json
import os
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isoflop.config.imports.entries import ImportSource, LogDemands
from isoflop.data import eval_logs
from isoflop.data.eval_logs import zip_members
from isoflop.data.format import import_format
from isoflop.data.loading import file_rows
from isoflop.data.pooling import Demands, Target, pool
from isoflop.data.problems import FieldMapping, build_problems
from isoflop.data.rows import rows_where
from isoflop.data.solutions import Solution
from isoflop.errors import UserError
from isoflop.grading.grader import make_grader

LOG = Path(__file__).parents[1] / "cases" / "inspect" / "sums.eval"
REAL = Path(os.environ.get("ISOFLOP_DATA") or Path(__file__).parents[3] / "shared" / "data") / "otis-aime"
MODEL = "mockllm/model"


def source(log: dict[str, Any] | None = None, policy: str = "mock") -> ImportSource:
    demands = LogDemands(**({"model": MODEL, "scorer": "exact"} | (log or {})))
    return ImportSource.model_validate({"policy": policy, "files": ({"path": "x"},), "log": demands})


def read(*files: Path, log: dict[str, Any] | None = None, policy: str = "mock") -> list[Solution]:
    chosen = import_format("inspect")
    assert chosen.open is not None
    named = [
        (f"{path.parent.name}/{path.name}" if path.name in _HALVES else path.name, path) for path in files
    ]
    parts = chosen.open(source(log, policy), named)
    return [solution for _, rows in parts for solution in chosen.read(rows)]


_HALVES = ("header.json", "summaries.json")


def content() -> dict[str, Any]:
    """The true log as one JSON object, as its .json form has it."""
    members = {name: json.loads(data) for name, data in zip_members("sums.eval", LOG.read_bytes())}
    return members.pop("header.json") | {"samples": [members[name] for name in sorted(members)]}


def written(folder: Path, log: dict[str, Any]) -> Path:
    (folder / "log.json").write_text(json.dumps(log))
    return folder / "log.json"


@pytest.fixture(autouse=True)
def _own_reader(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Our own reader, also where inspect_ai is installed."""
    if "library" not in request.node.name:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)


def test_a_true_archive() -> None:
    solutions = read(LOG)
    assert [(one.problem, one.correct) for one in solutions] == [
        ("s1", True), ("s2", True), ("s1", False), ("s2", False), ("s1", False), ("s2", False),
    ]  # fmt: skip
    first = solutions[0]
    assert (first.prompt, first.reference) == ("What is 2 + 3?", "5")
    assert first.text.startswith("Because of the sum")
    assert first.text.endswith("ANSWER: 5")
    assert "99" not in first.text  # the thought's answer
    assert [one.tokens for one in solutions] == [300, 301, 302, 303, 304, 305]
    assert {(one.thinking, one.prompt_tokens) for one in solutions} == {(200, 12)}
    assert [one.truncated for one in solutions] == [False, False, False, True, False, False]
    assert all(one.seconds is not None and 0 < one.seconds < 60 and not one.partial for one in solutions)
    assert len({one.identity for one in solutions}) == 6


def test_the_json_form_and_other_packings_are_the_same_log(tmp_path: Path) -> None:
    def told(path: Path) -> list[tuple[object, ...]]:
        return [(one.identity, one.text, one.correct, one.tokens, one.seconds) for one in read(path)]

    log = content()
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        other = tmp_path / f"{method}.eval"
        with zipfile.ZipFile(other, "w", method) as archive:
            archive.writestr("header.json", json.dumps(log | {"samples": None}))
            for sample in log["samples"]:
                archive.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
        assert told(other) == told(LOG)
    assert sorted(told(written(tmp_path, log)), key=str) == sorted(told(LOG), key=str)


@pytest.mark.skipif(importlib.util.find_spec("inspect_ai") is None, reason="inspect_ai is not installed")
def test_the_library_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    by_library = read(LOG)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    own = read(LOG)
    assert [one.text for one in by_library] == [one.text for one in own]
    key = (
        "problem",
        "prompt",
        "reference",
        "tokens",
        "thinking",
        "seconds",
        "correct",
        "truncated",
        "identity",
    )
    assert [[getattr(one, name) for name in key] for one in by_library] == [
        [getattr(one, name) for name in key] for one in own
    ]


def summaries(folder: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> list[Path]:
    """The log as its viewer publishes it: texts cut to 1,024 characters, no output."""
    log = content()
    samples = []
    for sample in log.pop("samples"):
        kept = {
            key: sample[key] for key in sample if key not in ("output", "messages", "attachments", "events")
        }
        for score in kept["scores"].values():
            answer = score.get("answer", "")
            score["answer"] = answer if len(answer) <= 60 else answer[:57] + "..."
        samples.append(kept)
        change(kept)
    (folder / "header.json").write_text(json.dumps(log))
    (folder / "summaries.json").write_text(json.dumps(samples))
    return [folder / name for name in _HALVES]


def test_summaries_have_the_answer_that_the_scorer_read(tmp_path: Path) -> None:
    solutions = read(*summaries(tmp_path))
    assert [one.text for one in solutions][:2] == ["\\boxed{5}", "\\boxed{9}"]
    assert not any(one.partial for one in solutions)
    # The other scorer repeats the text, which is cut: what was answered is not known.
    cut = read(*summaries(tmp_path), log={"scorer": "includes"})
    assert all(one.partial for one in cut)
    assert [one.correct for one in cut] == [True, True, False, False, False, False]


def test_a_scorer_that_finds_nothing_and_one_that_says_nothing(tmp_path: Path) -> None:
    def no_answer(sample: dict[str, Any]) -> None:
        if sample["epoch"] == 2:
            sample["scores"]["exact"].pop("answer")

    none = [one for one in read(*summaries(tmp_path, no_answer)) if not one.text]
    assert [(one.partial, one.correct) for one in none] == [(False, False)] * 2

    def never(sample: dict[str, Any]) -> None:
        sample["scores"]["exact"].pop("answer")

    assert all(one.partial for one in read(*summaries(tmp_path, never)))


def test_tokens_of_the_whole_log_are_shared_out(tmp_path: Path) -> None:
    shared = read(*summaries(tmp_path, lambda sample: sample.pop("model_usage")))
    assert {(one.prompt_tokens, one.tokens, one.thinking) for one in shared} == {(12, 302, None)}

    def refused(sample: dict[str, Any]) -> None:
        if sample["epoch"] == 1:
            sample["model_usage"] = {"grader/model": {"input_tokens": 9, "output_tokens": 1}}

    tokens = Counter(one.tokens for one in read(*summaries(tmp_path, refused)))
    assert tokens[0] == 2  # the service counted nothing of this model, but of the scorer's


def usage(
    read_in: int, written: int, total: int, thought: int | None = None, cache: int = 0
) -> dict[str, int]:
    found = {"input_tokens": read_in, "output_tokens": written, "total_tokens": total}
    found |= {} if thought is None else {"reasoning_tokens": thought}
    return found | ({"input_tokens_cache_read": cache} if cache else {})


@pytest.mark.parametrize(
    ("given", "counted"),
    [
        (usage(10, 5050, 5060, 5000), (10, 5050, 5000)),
        (usage(10, 50, 5060, 5000), (10, 5050, 5000)),  # as Google counts: thoughts beside the output
        (usage(10, 50, 5960, 5000, cache=900), (910, 5050, 5000)),
        (usage(10, 50, 60, 5000), (10, 50, None)),  # no room for the thoughts
        (usage(1000, 50, 1050, cache=900), (1000, 50, None)),  # the cached ones are in the input
        (usage(100, 50, 1050, cache=900), (1000, 50, None)),
        (usage(1000, 50, 1050, 50, cache=50), (1000, 50, 50)),
        ({"input_tokens": 100, "input_tokens_cache_read": 900, "output_tokens": 50}, (1000, 50, None)),
    ],
)
def test_the_total_tells_what_is_part_of_what(
    given: dict[str, int], counted: tuple[int, int, int | None], tmp_path: Path
) -> None:
    log = content()
    log["samples"][0]["model_usage"] = {MODEL: given}
    [one] = [one for one in read(written(tmp_path, log)) if one.identity == log["samples"][0]["uuid"]]
    assert (one.prompt_tokens, one.tokens, one.thinking) == counted
    # Of a log that has them of all samples only, alike.
    for sample in log["samples"]:
        sample.pop("model_usage")
    log["stats"]["model_usage"] = {MODEL: {name: value * 6 for name, value in given.items()}}
    shared = read(written(tmp_path, log))
    assert {(one.prompt_tokens, one.tokens) for one in shared} == {counted[:2]}


def test_tokens_that_go_by_another_models_name_are_not_0(tmp_path: Path) -> None:
    log = content()
    for sample in log["samples"]:
        sample["model_usage"] = {"mockllm/model-2025": sample["model_usage"][MODEL]}
    with pytest.raises(
        UserError, match=r"log\.json: no sample counts tokens of .* only of 'mockllm/model-2025'"
    ):
        read(written(tmp_path, log))


def test_messages_limits_and_several_targets(tmp_path: Path) -> None:
    log = content()
    first = log["samples"][0]
    first["input"] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is 2 + 3?"},
    ]
    first["target"] = ["5", "five"]
    first["limit"] = {"type": "message", "limit": 6}
    [read_first] = [one for one in read(written(tmp_path, log)) if one.identity == first["uuid"]]
    assert (read_first.prompt, read_first.reference, read_first.truncated) == ("What is 2 + 3?", None, True)


def test_texts_that_are_kept_apart_are_put_back(tmp_path: Path) -> None:
    log = content()
    first = log["samples"][0]
    first["output"]["choices"][0]["message"]["content"] = "attachment://abc"
    first["attachments"] = {"abc": "It is \\boxed{5}."}
    assert read(written(tmp_path, log))[0].text == "It is \\boxed{5}."


def damage(*path: object, value: object) -> Callable[[dict[str, Any]], None]:
    """Set what a path leads to."""

    def change(log: dict[str, Any]) -> None:
        place: Any = log
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value

    return change


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], None], dict[str, Any], str]] = {
    "unfinished": (damage("status", value="cancelled"), {}, "its status is 'cancelled', not success"),
    "invalid": (damage("invalidated", value=True), {}, "was marked as invalid"),
    "no log": (damage("eval", value=[]), {}, "is no log of inspect_ai"),
    "no samples": (damage("samples", value=None), {}, "holds no list of samples"),
    "none": (damage("samples", value=[]), {}, "holds no samples"),
    "lost": (damage("results", "total_samples", value=9), {}, "says 9 samples, and there are 6"),
    "twice": (damage("samples", 0, "epoch", value=2), {}, "is epoch 2 of sample 's1', as "),
    "error": (
        damage("samples", 0, "error", value={"message": "service gone\nline", "traceback": ""}),
        {},
        "sample 1: ended in an error (service gone)",
    ),
    "model": (
        lambda _: None,
        {"model": None},
        "is of the model 'mockllm/model', and the policy is called 'mock'",
    ),
    "other model": (lambda _: None, {"model": "a/b"}, "log.model is 'a/b'"),
    "setting": (lambda _: None, {"settings": {"reasoning_effort": "low"}}, "reasoning_effort is 'low'"),
    "scorers": (lambda _: None, {"scorer": None}, "has scores by exact, includes; say which counts"),
    "scorer": (lambda _: None, {"scorer": "graded"}, "has no score by 'graded'; it has exact, includes"),
    "half right": (
        damage("samples", 0, "scores", "exact", "value", value=0.5),
        {},
        "score exact: is 0.5, neither right (C, 1) nor wrong (I, N, 0)",
    ),
    "partly": (damage("samples", 0, "scores", "exact", "value", value="P"), {}, "is 'P', neither right"),
    "parts": (damage("samples", 0, "scores", "exact", "value", value={"a": 1}), {}, "neither right"),
    "nan": (damage("samples", 0, "scores", "exact", "value", value=float("nan")), {}, "is nan, neither"),
    "unscored": (damage("samples", 0, "scores", value={}), {}, "has no score by exact; it has none"),
    "id": (damage("samples", 0, "id", value=[1]), {}, "its id is [1]"),
    "picture": (
        damage("samples", 0, "output", "choices", 0, "message", "content", value=[{"type": "image"}]),
        {},
        "holds a part of type 'image'",
    ),
    "tokens": (
        damage("samples", 0, "model_usage", MODEL, "output_tokens", value=-4),
        {},
        "output_tokens is -4; a whole number is needed",
    ),
    "time": (damage("samples", 0, "working_time", value=-1.0), {}, "working_time is -1.0"),
    "sample": (damage("samples", 0, value=7), {}, "sample 1: holds int (7)"),
    "score": (damage("samples", 0, "scores", value=[]), {}, "scores: holds list"),
    "output": (damage("samples", 0, "output", "choices", value={"a": 1}), {}, "choices is dict"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault: str, tmp_path: Path) -> None:
    change, demands, said = FAULTS[fault]
    log = content()
    change(log)
    with pytest.raises(UserError) as caught:
        read(written(tmp_path, log), log=demands)
    assert said in str(caught.value)
    assert "log.json" in str(caught.value)


def test_samples_that_ended_in_an_error_can_be_left_out(tmp_path: Path) -> None:
    log = content()
    log["samples"][0]["error"] = "service gone"
    assert len(read(written(tmp_path, log), log={"errors": "leave_out"})) == 5


def test_a_policy_that_goes_by_the_models_name_needs_no_model() -> None:
    assert len(read(LOG, log={"model": None}, policy="model")) == 6


def test_two_ways_of_asking_are_not_one_policy(tmp_path: Path) -> None:
    log = content()
    log["plan"]["config"] = {"reasoning_effort": "high", "max_retries": 3}
    with pytest.raises(
        UserError, match=r"was asked otherwise \(reasoning_effort: high\) than sums.eval \(no set"
    ):
        read(LOG, written(tmp_path, log))
    log["plan"]["config"] = {"max_retries": 3, "seed": 7}
    assert len(read(LOG, written(tmp_path, log))) == 12


def test_half_a_log_and_another_file_are_refused(tmp_path: Path) -> None:
    header, samples = summaries(tmp_path)
    with pytest.raises(UserError, match=r"is half of a log; list the header\.json"):
        read(samples)
    with pytest.raises(UserError, match="is given twice"):
        read(header, header, samples)
    other = tmp_path / "a.csv"
    other.write_text("a,b\n")
    with pytest.raises(UserError, match=r"is no log of inspect_ai; give \.eval or \.json"):
        read(other)
    samples.write_text("{}")
    with pytest.raises(UserError, match="a list of samples is needed"):
        read(header, samples)
    samples.write_text('[{"id": ')
    with pytest.raises(UserError, match="not valid JSON"):
        read(header, samples)


def archive(*members: tuple[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        for name, value in members:
            made.writestr(name, value)
    return data.getvalue()


def test_hostile_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = ("header.json", b'{"status": "success", "eval": {}}')
    monkeypatch.setattr(eval_logs, "_MOST_UNPACKED", 10_000)
    monkeypatch.setattr(eval_logs, "_MOST_IN_ALL", 25_000)
    monkeypatch.setattr(eval_logs, "_MOST_MEMBERS", 40)
    sound = archive(header, ("samples/a_epoch_1.json", b"{}"))
    cases = {
        "more than 10,000 bytes unpacked": archive(header, ("samples/a.json", b" " * 20_000)),
        "more than 25,000 bytes": archive(
            header, *((f"samples/{n}.json", b"{}" + b" " * 9000) for n in range(4))
        ),
        "more than 40": archive(*((f"{n}", b"") for n in range(50))),
        "cannot be unpacked": sound[: len(sound) // 2],
        "has no header.json": archive(("samples/a.json", b"{}")),
        "not valid JSON": archive(header, ("samples/a.json", b"\xff\xfe")),
        "checksum|Bad CRC": _flipped(LOG.read_bytes()),
    }
    for said, data in cases.items():
        path = tmp_path / "a.eval"
        path.write_bytes(data)
        with pytest.raises(UserError, match=said):
            read(path)
    # Files that no sample is in are not even unpacked.
    names = [name for name, _ in zip_members("a", archive(header, ("_journal/x", b" " * 20_000)))]
    assert names == ["header.json"]


def _flipped(data: bytes) -> bytes:
    """An archive whose header claims another checksum."""
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        info = made.getinfo("samples/s1_epoch_1.json")
    entry = data.index(info.filename.encode(), data.index(b"PK\x01\x02")) - 46 + 16
    return data[:entry] + b"\0\0\0\0" + data[entry + 4 :]


def test_problems_are_read_from_the_log() -> None:
    rows = rows_where(file_rows("sums.eval", LOG.read_bytes()), {"epoch": ["1"]})
    problems = build_problems(rows, FieldMapping(prompt="input", answer="target", id="id"), "sums")
    assert [(one.problem_id, one.prompt, one.answer) for one in problems] == [
        ("s1", "What is 2 + 3?", "5"),
        ("s2", "What is 4 + 5?", "9"),
    ]


# pass@1 and the mean tokens of an answer (thinking included), by the run, scorer and effort of its header.
# Calculated by another program from the same files; a sample that the service refused has 0 tokens.
PUBLISHED = {
    "6J9aPwieMfq2eSse8ZknBW": (0.639, 0.759, 4328),
    "k7inKYrGDT2LFcCiQhGfTP": (0.856, 0.889, 11280),
    "mYKKTdV27TRJv9FpUg7rkn": (0.886, 0.922, 21847),
    "5Hcw3Td96qF66quWrDMKJB": (0.789, 0.900, 4538),
    "Z2ZwwqLDDrBrEYhtKtFLCQ": (0.939, 0.956, 7995),
    "LiUMZyNSM8q93KDubWgYCh": (0.961, 0.956, 11017),
    "R82gycJfm5jaCdh32tFkH4": (0.867, 0.922, 16537 * 359 / 360),
    "Y9YnaJQWpPFAPhe6jtKMhH": (0.811, 0.889, 31208),
}


def of_run(run: str, scorer: str | None) -> list[Solution]:
    header = json.loads((REAL / run / "header.json").read_text())
    log = {"model": header["eval"]["model"], "scorer": scorer}
    return read(*(REAL / run / name for name in _HALVES), log=log)


@pytest.mark.skipif(not REAL.is_dir(), reason="the published logs are not here")
@pytest.mark.parametrize("run", PUBLISHED)
def test_published_logs_have_the_independent_values(run: str) -> None:
    solutions = of_run(run, "model_extracted_exact_match")
    assert [one.partial for one in solutions] == [False] * 360
    accuracy, majority, tokens = PUBLISHED[run]
    assert np.mean([bool(one.correct) for one in solutions]) == pytest.approx(accuracy, abs=0.0005)
    assert np.mean([one.tokens for one in solutions]) == pytest.approx(tokens, abs=0.6)
    by_problem = defaultdict(list)
    for one in solutions:
        by_problem[one.problem].append(one)
    won = []
    for members in by_problem.values():
        votes = Counter(one.text for one in members if one.text)
        tied = [text for text, count in votes.items() if count == max(votes.values())]
        right = {one.text for one in members if one.correct}
        won.append(np.mean([text in right for text in tied]) if tied else 0.0)
    # Answers here are one if they are written alike; an answer and its leading zeros are not.
    assert np.mean(won) == pytest.approx(majority, abs=0.0005)


@pytest.mark.skipif(not REAL.is_dir(), reason="the published logs are not here")
def test_published_logs_whose_answers_are_not_known() -> None:
    for run in ("65DJZN2XzPw4RGpa4TCfA5", "XRFS8R4WV7q6RMv5keEAdM"):
        assert all(one.partial and not one.text for one in of_run(run, None))
    # These have the whole texts, and tokens in all only.
    for run, tokens in (("67YbVQfJh7sd77KH3zFgTn", 958), ("WNE7cveVN8rsi7DmsFsFVy", 596)):
        solutions = of_run(run, None)
        assert not any(one.partial for one in solutions)
        assert {one.tokens for one in solutions} == {tokens}


@pytest.mark.skipif(not REAL.is_dir(), reason="the published logs are not here")
def test_our_grader_agrees_with_the_published_grades() -> None:
    with make_grader("math", allow_unsandboxed=True) as grader:
        for run in PUBLISHED:
            for one in of_run(run, "model_extracted_exact_match"):
                answer = grader.extract(one.text, truncated=False)
                assert one.reference is not None
                right = answer is not None and answer in grader.classes([answer], one.reference).correct
                assert right == one.correct, one.place


PROBLEMS = [Target("s1", "What is 2 + 3?", "5"), Target("s2", "What is 4 + 5?", "9")]


def demands(**asked: bool) -> Demands:
    return Demands(scored=False, probabilities=False, at_least=1, **asked)


def test_answers_that_are_not_known_are_neither_graded_nor_voted_on(tmp_path: Path) -> None:
    cut = read(*summaries(tmp_path), log={"scorer": "includes"})
    with pytest.raises(
        UserError, match=r"cannot be graded here; .* `grades: imported` and `selectors: \[pass"
    ):
        pool([("f", cut)], PROBLEMS, demands())
    with pytest.raises(
        UserError, match=r"cannot be voted on; .* `selectors: \[pass\]` in an import of their"
    ):
        pool([("f", cut)], PROBLEMS, demands(graded=False))
    found = pool([("f", cut)], PROBLEMS, demands(graded=False, voted=False))
    assert [len(members) for members in found.solutions.values()] == [3, 3]
    ungraded = [replace(one, correct=None, partial=False) for one in cut]
    with pytest.raises(UserError, match="the file does not say whether it is right; leave out `grades"):
        pool([("f", ungraded)], PROBLEMS, demands(graded=False))


def test_samples_are_the_same_by_their_name_not_by_their_answer(tmp_path: Path) -> None:
    """Two runs often answer alike; a sample that a later log repeats keeps its uuid."""
    once = read(*summaries(tmp_path))
    alike = [replace(one, identity=f"again/{one.identity}") for one in once]
    assert pool([("f", once), ("g", alike)], PROBLEMS, demands()).repeated == 0
    assert pool([("f", once), ("g", once)], PROBLEMS, demands()).repeated == 6


def test_problems_and_targets_must_be_the_data_sets(tmp_path: Path) -> None:
    solutions = read(LOG)
    assert pool([("f", solutions)], PROBLEMS, demands()).solutions
    for target, said in (
        (Target("s1", "What is 2 + 2?", "5"), "has another text"),
        (Target("s1", "What is 2 + 3?", "6"), "is '5' there and '6' in the data set"),
    ):
        with pytest.raises(UserError, match=said):
            pool([("f", solutions)], [target, PROBLEMS[1]], demands())
