"""What `plan` and `diff` say is left, against what a run then asks for."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from growing import PROBLEM_TEXTS, Setting, Study, counting

from isoflop.growth.folders import kept
from isoflop.growth.left import Left, left_of, scores_left
from isoflop.growth.wanted import sample_rows, score_rows
from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.specs import SampleSpec, ScoreSpec


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("models")
    save_tiny(folder / "policy", scale=1.0)
    save_tiny(folder / "verifier", seed=7)
    return Setting(policy=str(folder / "policy"), verifier=str(folder / "verifier"))


def samples_left(study: Study, setting: Setting, *, reuse: bool = True) -> Left:
    rows = sample_rows(SampleSpec.model_validate_json(setting.specs()["sample"]))
    return left_of(rows, list(PROBLEM_TEXTS.items()), study.table("sample"), reuse=reuse)


def left_to_score(study: Study, setting: Setting, *, reuse: bool = True) -> Left:
    rows = score_rows(ScoreSpec.model_validate_json(setting.specs()["score"]))
    candidates = samples_left(study, setting)
    sampled = study.table("sample").is_file()
    return scores_left(rows, candidates, study.table("score"), sampled=sampled, reuse=reuse)


def test_scores_of_another_pool_are_not_those_of_this(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Study(tmp_path, "one", "words/policy/pool"), Study(tmp_path, "one", "words/policy/two")
    other = replace(setting, seed=99)
    first.run("sample", setting)
    first.run("score", setting)
    assert left_to_score(first, setting) == Left(16, 0)
    assert left_to_score(second, other) == Left(16, 16), "which is not sampled"
    second.run("sample", other)
    assert left_to_score(second, other) == Left(16, 16)
    with counting(monkeypatch) as asked:
        second.run("score", other)
    assert asked.judged == 16
    assert left_to_score(second, other) == Left(16, 0)
    third = Study(tmp_path, "two", "words/policy/pool")
    assert left_to_score(third, setting) == Left(16, 0), "the pool of another experiment, sampled and scored"


def test_without_reuse_a_table_is_whole_or_all_is_left(setting: Setting, tmp_path: Path) -> None:
    study, other = Study(tmp_path, "one"), Study(tmp_path, "two")
    for stage in ("sample", "score"):
        study.run(stage, setting)
    more = replace(setting, samples=5)
    lefts: Sequence[tuple[Study, Setting, bool, int]] = [
        (study, setting, True, 0), (study, setting, False, 0), (study, more, True, 4),
        (study, more, False, 20), (other, setting, True, 0), (other, setting, False, 16),
    ]  # fmt: skip
    for place, wanted, reuse, missing in lefts:
        assert samples_left(place, wanted, reuse=reuse).missing == missing
    assert left_to_score(study, setting, reuse=False).missing == 0
    assert left_to_score(study, more, reuse=False).missing == 20
    assert left_to_score(other, setting, reuse=False).missing == 16


def test_what_a_run_would_not_take_up_is_left(setting: Setting, tmp_path: Path) -> None:
    """A byte of a text is wrong, which only the sum tells."""
    study = Study(tmp_path)
    table = study.run("sample", setting)
    assert samples_left(study, setting) == Left(16, 0)
    content = bytearray(table.read_bytes())
    content[len(content) // 4] ^= 1
    kept(table).unlink()
    table.write_bytes(content)
    assert samples_left(study, setting) == Left(16, 16)
