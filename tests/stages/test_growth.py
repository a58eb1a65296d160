"""What an edit of a study computes, in requests to its models; the table is that of a run from nothing."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from growing import PROBLEM_TEXTS, STAGES, Asked, Setting, Study, assert_same, counting, rows_of

from isoflop.growth.former import Former, kept
from isoflop.rehearsal.tiny_models import save_tiny

NEW = {"e": "Eva has 7 cups and breaks 2. How many cups does Eva have?"}
EDITED = PROBLEM_TEXTS | {"b": "Tom has 13 pens and loses 5. How many pens does Tom have?"}
FEWER = {name: text for name, text in PROBLEM_TEXTS.items() if name != "b"}

ALL, NOTHING = "all", 0
# Texts that a new limit of tokens changes, and in chains those after them; samples whose texts no one had.
CHANGED, NEW_TEXTS = "changed", "new texts"


@dataclass(frozen=True)
class Edit:
    """What changes, and the requests that follow in every stage; scores are of the samples."""

    change: Mapping[str, Any]
    sample: int | str
    revise: int | str
    search: int | str
    score: int | str


# Before: 4 problems, 4 samples, 2 chains of 2 answers, 1 run of a search: 16, 16, 4 searches and 16 scores.
EDITS = {
    "nothing": Edit({}, NOTHING, NOTHING, NOTHING, NOTHING),
    "samples 4 -> 8": Edit({"samples": 8}, 16, NOTHING, NOTHING, 16),
    "samples 4 -> 2": Edit({"samples": 2}, NOTHING, NOTHING, NOTHING, NOTHING),
    "a problem more, at the end": Edit({"problems": PROBLEM_TEXTS | NEW}, 4, 4, 1, 4),
    "a problem more, in front": Edit({"problems": NEW | PROBLEM_TEXTS}, 4, 4, 1, 4),
    "a problem less": Edit({"problems": FEWER}, NOTHING, NOTHING, NOTHING, NOTHING),
    "a problem edited": Edit({"problems": EDITED}, 4, 4, 1, 4),
    "problems in another order": Edit(
        {"problems": dict(reversed(PROBLEM_TEXTS.items()))}, NOTHING, NOTHING, NOTHING, NOTHING
    ),
    "chains 2 -> 3": Edit({"chains": 3}, NOTHING, 8, NOTHING, NOTHING),
    "chains 2 -> 1": Edit({"chains": 1}, NOTHING, NOTHING, NOTHING, NOTHING),
    "length 2 -> 3": Edit({"length": 3}, NOTHING, 8, NOTHING, NOTHING),
    "length 2 -> 1": Edit({"length": 1}, NOTHING, NOTHING, NOTHING, NOTHING),
    "runs 1 -> 3": Edit({"runs": 3}, NOTHING, NOTHING, 8, NOTHING),
    "another budget": Edit({"budget": 4}, NOTHING, NOTHING, ALL, NOTHING),
    "max_tokens up": Edit({"max_tokens": 60}, CHANGED, CHANGED, ALL, NEW_TEXTS),
    "max_tokens down": Edit({"max_tokens": 12}, CHANGED, CHANGED, ALL, NEW_TEXTS),
    "the temperature": Edit({"temperature": 0.9}, ALL, ALL, ALL, NEW_TEXTS),
    "a stop string": Edit({"stop": ("zzz",)}, ALL, ALL, ALL, NOTHING),
    "the prompt": Edit({"prompt": "Q: {problem}\n"}, ALL, ALL, ALL, NEW_TEXTS),
    "what the verifier is told": Edit({"judged": "Q: {problem}\n"}, NOTHING, NOTHING, ALL, ALL),
    "what a revision is shown": Edit({"history": 1}, NOTHING, ALL, NOTHING, NOTHING),
    "the seed": Edit({"seed": 6}, ALL, ALL, ALL, NEW_TEXTS),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    # Not so flat that no text ends.
    save_tiny(folder / "policy", scale=1.0)
    save_tiny(folder / "other", seed=3)
    save_tiny(folder / "verifier", seed=7)
    return folder


@pytest.fixture(scope="module")
def setting(models: Path) -> Setting:
    return Setting(policy=str(models / "policy"), verifier=str(models / "verifier"))


@pytest.fixture(scope="module")
def finished(setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose four tables are finished."""
    folder = tmp_path_factory.mktemp("finished")
    for stage in STAGES:
        Study(folder).run(stage, setting)
    return folder


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", EDITS)
def test_an_edit_computes_what_is_new(
    name: str, stage: str, setting: Setting, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = EDITS[name]
    after = replace(setting, **edit.change)
    shutil.copytree(finished, tmp_path / "grown")
    study, alone = Study(tmp_path / "grown"), Study(tmp_path / "alone")
    if stage == "score":
        study.run("sample", after)
        alone.run("sample", after)
    with counting(monkeypatch) as asked:
        grown = study.run(stage, after)
    with counting(monkeypatch) as from_nothing:
        whole = alone.run(stage, after)
    assert_same(grown, whole)
    expected = getattr(edit, stage)
    if expected == ALL:
        assert asked.of(stage) == from_nothing.of(stage) > 0
    else:
        texts = "sample" if stage == "score" else stage
        before, now = rows_of(Study(finished).table(texts)), rows_of(study.table(texts))
        computed = COMPUTED[stage](before, now, after) if isinstance(expected, str) else expected
        assert asked.of(stage) == computed
        assert expected == NEW_TEXTS or computed < from_nothing.of(stage)
    assert (asked.loaded == 0) is (expected == NOTHING)
    assert not list(study.results.glob("**/.*.chunks"))


@pytest.mark.parametrize("stage", STAGES)
def test_the_weights_count_and_not_where_they_lie(
    stage: str,
    setting: Setting,
    models: Path,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(finished, tmp_path / "grown")
    study = Study(tmp_path / "grown")
    for name in ("policy", "verifier"):
        shutil.copytree(models / name, tmp_path / name)
    (tmp_path / "policy" / "README.md").write_text("a card")
    moved = replace(setting, policy=str(tmp_path / "policy"), verifier=str(tmp_path / "verifier"))
    with counting(monkeypatch) as asked:
        study.run(stage, moved)
    assert asked == Asked()
    other = replace(setting, policy=str(models / "other"), verifier=str(models / "other"))
    with counting(monkeypatch) as asked:
        study.run(stage, other)
    assert asked.of(stage) == len(rows_of(study.table(stage)))


@pytest.mark.parametrize("stage", STAGES)
def test_rows_of_another_experiment_are_taken_up(
    stage: str, setting: Setting, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the pool is called there, with its chunks where it is unfinished."""
    shutil.copytree(finished, tmp_path / "both")
    other = Study(tmp_path / "both", "second", "numbers/model/samples")
    if stage == "score":
        other.run("sample", setting)
    with counting(monkeypatch) as asked:
        table = other.run(stage, setting)
    assert asked == Asked()
    assert_same(table, Study(finished).table(stage))
    alone = Study(tmp_path / "both", "third")
    if stage == "score":
        alone.run("sample", setting)
    with counting(monkeypatch) as asked:
        alone.run(stage, setting, reuse=False)
    assert asked.of(stage) == len(rows_of(table))


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("stage", STAGES)
def test_a_study_that_grew_while_it_was_unfinished_loses_nothing(
    stage: str, shards: int, setting: Setting, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two problems more, killed after the first chunk of them; two more again, and twice as many rows."""
    shutil.copytree(finished, tmp_path / "grown")
    study, alone = Study(tmp_path / "grown"), Study(tmp_path / "alone")
    texts = PROBLEM_TEXTS | {f"x{number}": f"Max has {number} apples. How many?" for number in range(4)}
    first = replace(setting, problems=dict(list(texts.items())[:6]))
    second = replace(setting, problems=texts, samples=8, chains=4, runs=2)
    if stage == "score":
        study.run("sample", first)
    with counting(monkeypatch) as asked:
        killed_at_the_end(monkeypatch, lambda: study.run(stage, first, shards, chunk=1))
    rows = {"sample": 4, "revise": 4, "search": 1, "score": 4}[stage]
    done = asked.of(stage)
    assert done == (2 * rows if shards == 1 else 0)
    if stage == "score":
        study.run("sample", second)
        alone.run("sample", second)
    with counting(monkeypatch) as asked:
        grown = study.run(stage, second, shards)
    assert asked.of(stage) == 8 * 2 * rows - 4 * rows - done
    assert_same(grown, alone.run(stage, second))
    assert not list(study.results.glob("**/.*.chunks"))


def killed_at_the_end(monkeypatch: pytest.MonkeyPatch, run: Callable[[], object]) -> None:
    """A run whose process dies when its chunks are there and its table is not; the workflow removes that."""

    def stop(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patched:
        for stage in STAGES.values():
            patched.setattr(stage, "write_measured", stop)
        with pytest.raises(InterruptedError):
            run()


@pytest.mark.parametrize("stage", STAGES)
def test_a_job_that_fails_keeps_the_former_table(
    stage: str,
    setting: Setting,
    models: Path,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Snakemake removes a job's outputs before it runs."""
    shutil.copytree(finished, tmp_path / "grown")
    study, table = Study(tmp_path / "grown"), Study(tmp_path / "grown").table(stage)
    content = table.read_bytes()
    hopeless = replace(setting, policy=str(models / "other"), verifier=str(models / "other"))
    for ending in (".parquet", ".ledger.json", ".times.json"):
        table.with_suffix(ending).unlink()
    killed_at_the_end(monkeypatch, lambda: study.run(stage, hopeless))
    with counting(monkeypatch) as asked:
        study.run(stage, setting)
    assert asked == Asked()
    assert table.read_bytes() == content
    assert not list(study.results.glob("**/.*.chunks"))


@pytest.mark.parametrize("stage", STAGES)
def test_a_table_that_cannot_be_read_is_computed(
    stage: str,
    setting: Setting,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(finished, tmp_path / "grown")
    study = Study(tmp_path / "grown")
    table = study.table(stage)
    content = table.read_bytes()
    for path in (table, kept(table)):
        path.write_bytes(content[:4] + bytes(60) + content[64:])
    with counting(monkeypatch) as asked:
        study.run(stage, setting)
    assert asked.of(stage) == len(rows_of(table))
    assert "not taken up: " in capsys.readouterr().err
    assert_same(table, Study(finished).table(stage))


def test_tables_of_other_problems_are_not_read(
    setting: Setting, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished, tmp_path / "grown")
    monkeypatch.setattr(Former, "table", property(lambda former: pytest.fail(f"{former.path} was read")))
    Study(tmp_path / "grown").run("sample", replace(setting, problems=NEW))


@pytest.mark.parametrize("stage", STAGES)
def test_seconds_of_rows_that_are_taken_up_are_those_they_took(
    stage: str, setting: Setting, finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "grown")
    study = Study(tmp_path / "grown")
    path = study.table(stage).with_suffix(".times.json")
    measured = json.loads(path.read_text())
    path.write_text(json.dumps(measured | {"seconds": 1000.0}))
    if stage == "score":
        study.run("sample", setting)
    study.run(stage, setting)
    assert json.loads(path.read_text())["seconds"] == pytest.approx(1000.0, abs=1.0)


Row = dict[str, Any]


def again(row: Row, after: Setting) -> bool:
    """Whether a text is another one under a new limit."""
    return row["finish"] == "length" or row["tokens"] > after.max_tokens


def cut_samples(before: list[Row], _: list[Row], after: Setting) -> int:
    """Samples that have to be written again."""
    return sum(again(row, after) for row in before)


def cut_chains(before: list[Row], _: list[Row], after: Setting) -> int:
    """Answers that have to be written again, and all that follow them."""
    chains: dict[tuple[str, int], list[Row]] = {}
    for row in before:
        chains.setdefault((row["problem_id"], row["run"]), []).append(row)
    kept = (
        next((place for place, row in enumerate(chain) if again(row, after)), len(chain))
        for chain in chains.values()
    )
    return len(before) - sum(kept)


def new_texts(before: list[Row], now: list[Row], _: Setting) -> int:
    """Samples whose texts no one had."""
    known, found = ({(row["problem_id"], *row["steps"]) for row in rows} for rows in (before, now))
    return len(found - known)


COMPUTED: Mapping[str, Callable[[list[Row], list[Row], Setting], int]] = {
    "sample": cut_samples,
    "revise": cut_chains,
    "score": new_texts,
}
