"""What reruns after which edit: a table, checked against snakemake's own plan."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from snakemake_runs import planned, snakemake
from workspace import TINY, finished_tiny_study

ALL_CURVES = {"fit": 1, "report": 1, "plan_comparison": 1, "times": 1}
SELECTION = {"select": 4, **ALL_CURVES}
SAMPLED_SELECTION = {"select": 2, **ALL_CURVES}
JUDGED = {"verifier_quality": 1}
EVERYTHING_SAMPLED = {"sample": 4, "score": 2, "grade": 4, **SELECTION, **JUDGED}

Edit = Callable[[Path], None]


def _append(path: str, text: str = "\n# edited\n") -> Edit:
    def edit(folder: Path) -> None:
        with (folder / path).open("a", encoding="utf-8") as file:
            file.write(text)

    return edit


def _replace(path: str, old: str, new: str) -> Edit:
    def edit(folder: Path) -> None:
        text = (folder / path).read_text(encoding="utf-8")
        assert old in text
        (folder / path).write_text(text.replace(old, new), encoding="utf-8")

    return edit


def _touch(path: str) -> Edit:
    return lambda folder: (folder / path).touch()


def _all(*edits: Edit) -> Edit:
    def edit(folder: Path) -> None:
        for one in edits:
            one(folder)

    return edit


RERUNS: dict[str, tuple[Edit, Mapping[str, int]]] = {
    "nothing": (lambda folder: None, {}),
    "what decides no result": (
        _all(
            _append("tiny.yaml"),
            _append("tiny.yaml", "engine_settings: {batch_size: 3, chunk_problems: 2, threads: 2}\n"),
            _append("src/isoflop/messages.py"),
            _append("src/isoflop/engines/hf_policy.py"),
            _append("src/isoflop/stages/sample.py"),
            _append("src/isoflop/stages/train.py"),
            _append("src/isoflop/data/word_problems.py"),
            _append("src/isoflop/stages/shared/chunks.py"),
            _append("workflow/rules/sample.smk"),
            _append("workflow/report/curves.rst"),
            _append("envs/torch.yaml"),
            _append("models/small/README.md"),
            _touch("models/small/model.safetensors"),
            _touch("results/tiny/problems/words.parquet"),
            _append("README.md"),
        ),
        {},
    ),
    "a figure": (_append("src/isoflop/report/figures/curves.py"), {"report": 1}),
    "the report's template": (_append("src/isoflop/report/templates/report.html.j2"), {"report": 1}),
    "what a plan assumes": (_append("tiny.yaml", "planning: {solution_tokens: 9}\n"), {"plan_comparison": 1}),
    "the headline": (
        _replace("tiny.yaml", "selector: weighted", "selector: majority"),
        {"report": 1, "plan_comparison": 1},
    ),
    "a fit": (_append("src/isoflop/fits/scaling_laws.py"), ALL_CURVES),
    "bootstrap draws": (_append("tiny.yaml", "bootstrap: {draws: 200}\n"), {**ALL_CURVES, **JUDGED}),
    "a selector's code": (_append("src/isoflop/selection/voting.py"), {**SELECTION, **JUDGED}),
    "budgets": (_replace("tiny.yaml", "[1, 2, 4]", "[1, 4]"), SAMPLED_SELECTION),
    "one more selector": (_replace("tiny.yaml", "weighted]", "weighted, pass]"), SAMPLED_SELECTION),
    "the answers' code": (_append("src/isoflop/grading/grader.py"), {"grade": 4, **SELECTION, **JUDGED}),
    "the verifier's settings": (
        _replace("tiny.yaml", "models/prm}", "models/prm, step_tag: '#'}"),
        {"score": 2, **SAMPLED_SELECTION, **JUDGED},
    ),
    "the verifier's weights": (
        _append("models/prm/model.safetensors"),
        {"score": 2, **SAMPLED_SELECTION, **JUDGED},
    ),
    "the temperature": (
        _replace("tiny.yaml", "temperature: 1.0", "temperature: 0.7"),
        {"sample": 2, "score": 2, "grade": 2, **SAMPLED_SELECTION, **JUDGED},
    ),
    "one policy's weights": (
        _append("models/large/model.safetensors"),
        {"sample": 2, "score": 1, "grade": 2, "select": 2, **ALL_CURVES, **JUDGED},
    ),
    "the seed": (_replace("tiny.yaml", "seed: 1", "seed: 2"), EVERYTHING_SAMPLED),
    "the problems": (_replace("tiny.yaml", "size: 200", "size: 201"), {"problems": 1, **EVERYTHING_SAMPLED}),
    "one more policy": (
        _all(
            lambda folder: shutil.copytree(folder / "models/small", folder / "models/medium") and None,
            _replace("tiny.yaml", "  large:", "  medium: {model: models/medium}\n  large:"),
        ),
        {"sample": 2, "score": 1, "grade": 2, "select": 2, **ALL_CURVES, **JUDGED},
    ),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "study"
    folder.mkdir()
    finished_tiny_study(folder)
    return folder


@pytest.mark.parametrize("edit", RERUNS)
def test_an_edit_reruns_what_it_decides_and_nothing_else(edit: str, finished: Path, tmp_path: Path) -> None:
    change, expected = RERUNS[edit]
    assert _planned_after(change, finished, tmp_path) == expected


def _planned_after(change: Edit, finished: Path, folder: Path) -> Mapping[str, int]:
    """The jobs that a finished study would run again after an edit of a copy of it."""
    copy = folder / finished.name
    shutil.copytree(finished, copy, symlinks=True)
    change(copy)
    return planned(snakemake(copy, "-n", "--configfile", "tiny.yaml"))


TOUCHED = _all(
    _touch("models/small/model.safetensors"),
    _touch("models/prm/config.json"),
    _touch("results/tiny/problems/words.parquet"),
    _touch("results/tiny/sample/words/small/sampling.parquet"),
)
EIGHT = _append("tiny.yaml", "shards: 8\n")
SHARD_RERUNS: dict[str, tuple[Edit, Mapping[str, int]]] = {
    "shards of a finished study": (EIGHT, {}),
    "shards, and files that look newer": (_all(EIGHT, TOUCHED), {}),
    "shards and the temperature": (
        _all(EIGHT, _replace("tiny.yaml", "temperature: 1.0", "temperature: 0.7")),
        {
            "sample": 16, "merge_sample": 2, "score": 16, "merge_score": 2, "grade": 2, **SAMPLED_SELECTION,
            **JUDGED,
        },
    ),
    # There are 8 chunks of 25 problems, and 4 of 50.
    "more shards than chunks": (
        _all(
            _append("tiny.yaml", "shards: 64\nengine_settings: {chunk_problems: 50}\n"),
            _replace("tiny.yaml", "temperature: 1.0", "temperature: 0.7"),
        ),
        {
            "sample": 8, "merge_sample": 2, "score": 8, "merge_score": 2, "grade": 2, **SAMPLED_SELECTION,
            **JUDGED,
        },
    ),
    "more shards than one chunk, that of fewer problems": (
        _all(
            _append("tiny.yaml", "shards: 64\n"),
            _replace("tiny.yaml", "temperature: 1.0", "temperature: 0.7"),
            _replace("tiny.yaml", "size: 200", "size: 4"),
        ),
        {
            "problems": 1, "sample": 4, "merge_sample": 4, "score": 2, "merge_score": 2, "grade": 4,
            "select": 4, **ALL_CURVES, **JUDGED,
        },
    ),
    "shards and a policy's weights": (
        _all(EIGHT, _append("models/large/model.safetensors")),
        {
            "sample": 16, "merge_sample": 2, "score": 8, "merge_score": 1, "grade": 2, "select": 2,
            **ALL_CURVES, **JUDGED,
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("edit", SHARD_RERUNS)
def test_shards_repeat_nothing_that_is_finished(edit: str, finished: Path, tmp_path: Path) -> None:
    change, expected = SHARD_RERUNS[edit]
    assert _planned_after(change, finished, tmp_path) == expected


TREE = "  tree: {kind: rebase, budgets: [2, 4], max_tokens: 24, max_step_tokens: 8}\n"
GATHERED = {"gather_trees_words_small_tree": 1, "gather_trees_words_large_tree": 1}
SEARCHED = {**GATHERED, "grade": 2, "select": 2, **ALL_CURVES}
SEARCH_RERUNS: dict[str, tuple[Edit, Mapping[str, int]]] = {
    "nothing": (lambda folder: None, {}),
    "one more budget": (_replace("tiny.yaml", "[2, 4], max", "[2, 4, 8], max"), {"search": 2, **SEARCHED}),
    "one budget less": (_replace("tiny.yaml", "[2, 4], max", "[4], max"), SEARCHED),
    "more runs": (
        _replace("tiny.yaml", "budgets: [2, 4], max", "budgets: [2, 4], runs: 2, max"),
        {"search": 4, **SEARCHED},
    ),
    # What a search is expected to take follows from its code.
    "a search's code": (_append("src/isoflop/search/algorithms/rebase.py"), {"plan_comparison": 1}),
    "how trees are gathered": (_append("src/isoflop/stages/gather_trees.py"), SEARCHED),
    "the guide's weights": (
        _append("models/prm/model.safetensors"),
        {"search": 4, "score": 2, **GATHERED, "grade": 2, "select": 4, **ALL_CURVES, **JUDGED},
    ),
    "the samples": (
        _replace("tiny.yaml", "temperature: 1.0", "temperature: 0.7"),
        {"sample": 2, "score": 2, "grade": 2, **SAMPLED_SELECTION, **JUDGED},
    ),
    "a claim": (_append("src/isoflop/claims/wu2024.py"), {"report": 1}),
}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched") / "copy"
    finished_tiny_study(folder, TINY.replace("budgets: [1, 2, 4]", f"{TREE.rstrip()}\nbudgets: [1, 2, 4]"))
    return folder


@pytest.mark.parametrize("edit", SEARCH_RERUNS)
def test_searches_rerun_by_budget(edit: str, searched: Path, tmp_path: Path) -> None:
    change, expected = SEARCH_RERUNS[edit]
    assert _planned_after(change, searched, tmp_path) == expected


CHOICE = """\
difficulty: {generator: sampling, bins: 2}
compute_optimal: {families: {selectors: [sampling, sampling+majority]}, splits: 3}
exchange: {greedy: greedy, pairs: [{small: small, large: large}]}
"""
CHOSEN = {"allocate": 1, "report": 1}
CHOICE_RERUNS: dict[str, tuple[Edit, Mapping[str, int]]] = {
    "nothing": (lambda folder: None, {}),
    "bins": (_replace("tiny.yaml", "bins: 2", "bins: 4"), {"difficulty": 2, **CHOSEN}),
    "splits": (_replace("tiny.yaml", "splits: 3", "splits: 4"), CHOSEN),
    "a ratio": (_replace("tiny.yaml", "{greedy: greedy,", "{greedy: greedy, ratios: [1.0],"), CHOSEN),
    "how bins are made": (_append("src/isoflop/allocation/difficulty.py"), {"difficulty": 2, **CHOSEN}),
    "how is chosen": (_append("src/isoflop/allocation/compute_optimal.py"), CHOSEN),
    "a figure of choices": (_append("src/isoflop/report/figures/allocation.py"), {"report": 1}),
    "one policy's greedy answers": (
        _append("results/tiny/select/words/large/greedy.parquet"),
        {"allocate": 1, **ALL_CURVES},
    ),
}


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chosen") / "copy"
    finished_tiny_study(folder, TINY + CHOICE)
    return folder


@pytest.mark.parametrize("edit", CHOICE_RERUNS)
def test_choices_rerun_by_what_decides_them(edit: str, chosen: Path, tmp_path: Path) -> None:
    change, expected = CHOICE_RERUNS[edit]
    assert _planned_after(change, chosen, tmp_path) == expected


def test_difficulty_and_choice_added_later_repeat_nothing(finished: Path, tmp_path: Path) -> None:
    """But the credits of the pools that now tell difficulty: they are of halves too."""
    added = _planned_after(_append("tiny.yaml", CHOICE), finished, tmp_path)
    assert added == {"difficulty": 2, "select": 2, **ALL_CURVES, **CHOSEN}


def _stopped_between_parts(folder: Path) -> None:
    """One of a table's two parts is there, and not the table nor what is made of it."""
    for name in ("grade/words/large/greedy.parquet", "select/words/large/greedy.parquet", "report.html"):
        (folder / "results/tiny" / name).unlink()
    for ending in ("parquet", "ledger.json", "times.json"):
        table = folder / f"results/tiny/sample/words/large/greedy.{ending}"
        part = table.with_name("greedy.shards") / f"1-of-2-by-25.{ending}"
        part.parent.mkdir(exist_ok=True)
        table.rename(part)


# Of a study of two samplings and two searches that two shards made.
PARTS_RERUNS: dict[str, tuple[Edit, Mapping[str, int]]] = {
    "nothing": (lambda folder: None, {}),
    "more shards, and larger chunks": (
        _all(
            _replace("tiny.yaml", "shards: 2", "shards: 3"),
            _append("tiny.yaml", "engine_settings: {chunk_problems: 50}\n"),
        ),
        {},
    ),
    "no shards": (_replace("tiny.yaml", "shards: 2", "shards: 1"), {}),
    "files that look newer": (TOUCHED, {}),
    "no shards, and files that look newer": (
        _all(_replace("tiny.yaml", "shards: 2", "shards: 1"), TOUCHED),
        {},
    ),
    "one more budget": (
        _replace("tiny.yaml", "[2, 4], max", "[2, 4, 8], max"),
        {"search": 4, "merge_search": 2, **SEARCHED},
    ),
    "the verifier's settings, which searches have too": (
        _replace("tiny.yaml", "models/prm}", "models/prm, step_tag: '#'}"),
        {
            "search": 8, "merge_search": 4, "score": 4, "merge_score": 2, **GATHERED, "grade": 2, "select": 4,
            **ALL_CURVES, **JUDGED,
        },
    ),
    "one policy's weights": (
        _append("models/large/model.safetensors"),
        {
            "sample": 4, "merge_sample": 2, "search": 4, "merge_search": 2, "score": 2, "merge_score": 1,
            "gather_trees_words_large_tree": 1, "grade": 3, "select": 3, **ALL_CURVES,
            **JUDGED,
        },
    ),
    "a part that is left": (
        _stopped_between_parts,
        {"sample": 1, "merge_sample": 1, "grade": 1, "select": 1, **ALL_CURVES},
    ),
    "a part that is left, of a model that has changed": (
        _all(_stopped_between_parts, _append("models/large/model.safetensors")),
        {
            "sample": 4, "merge_sample": 2, "search": 4, "merge_search": 2, "score": 2, "merge_score": 1,
            "gather_trees_words_large_tree": 1, "grade": 3, "select": 3, **ALL_CURVES,
            **JUDGED,
        },
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def in_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in_shards") / "study"
    config = TINY.replace("budgets: [1, 2, 4]", f"{TREE.rstrip()}\nbudgets: [1, 2, 4]")
    finished_tiny_study(folder, f"{config}shards: 2\n")
    return folder


@pytest.mark.parametrize("edit", PARTS_RERUNS)
def test_parts_that_are_merged_are_not_made_again(edit: str, in_shards: Path, tmp_path: Path) -> None:
    change, expected = PARTS_RERUNS[edit]
    assert _planned_after(change, in_shards, tmp_path) == expected
