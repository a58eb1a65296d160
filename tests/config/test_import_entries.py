"""What the config says of imports: what is allowed, what is refused before anything is read."""

import json
from pathlib import Path
from typing import Any

import pytest

from isoflop.config.imports.entries import Import
from isoflop.config.loading import build_config
from isoflop.config.study import Config
from isoflop.errors import UserError
from isoflop.pipeline.plan import Plan
from isoflop.specs import ReplaySpec

SIZE = {"parameters": 8000, "layers": 2, "attention_width": 16}
SHA = "0" * 64
SOURCE = {"policy": "p", "files": [{"path": "a.jsonl"}]}


INSPECT = {"format": "inspect", "verifier": None}
OF_REPOSITORY = {
    "policy": "p", "repo": "a/b", "revision": "0" * 40, "files": [{"path": "x.jsonl", "sha256": SHA}],
}  # fmt: skip


def _of_file(**told: int) -> dict[str, Any]:
    return {"policy": "p", "files": [{"path": "a.jsonl", **told}]}


def study(folder: Path, entry: dict[str, Any] | None = None, **rest: Any) -> Config:
    """A study of one import on disk."""
    for name in ("a.jsonl", "d.jsonl"):
        (folder / name).write_text("")
    raw: dict[str, Any] = {
        "experiment": "e",
        "seed": 1,
        "datasets": {
            "d": {
                "source": "file",
                "path": "d.jsonl",
                "fields": {"prompt": "q", "answer": "a"},
                "grader": "number",
            }
        },
        "policies": {"p": {"size": SIZE}},
        "verifiers": {"v": {"kind": "imported", "size": SIZE}},
        "generators": {
            "g": {
                "kind": "import",
                "format": "table",
                "dataset": "d",
                "verifier": "v",
                "characters_per_token": 4.0,
                "sources": [SOURCE],
            }
            | (entry or {})
        },
        "budgets": [1, 2, 4],
        "selectors": ["majority", "best_of_n"],
        "step_aggregations": ["last"],
        "headline": {"selector": "majority"},
    }
    return build_config(raw | rest, "c", folder)


def refusal(folder: Path, entry: dict[str, Any] | None = None, **rest: Any) -> str:
    with pytest.raises(UserError) as caught:
        study(folder, entry, **rest)
    return str(caught.value)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"columns": {"txt": "x"}}, "columns: format table reads no 'txt'; did you mean 'text'?"),
        ({"verifiers": {"v": "x"}}, "give one of verifier and verifiers"),
        ({"verifier": None, "verifiers": {"w": "x"}}, "'w' is not an entry of verifiers"),
        (
            {"format": "lm-eval", "step_separator": "\n"},
            "step_separator: goes with format table; format lm-eval has its own",
        ),
        ({"at_most": {"q": 2}}, "generators.g.at_most: 'q' is not an entry of the sources' policies"),
        ({"budgets": [4, 2]}, "budgets: [4, 2] must be strictly increasing"),
        ({"budgets": [2, 4], "at_least": 3}, "at_least: goes with samples"),
        ({"at_least": 2}, "generators.g.at_least: 2 is less than the largest budget, 4"),
        (
            {"sources": [{"policy": "p", "files": [{"path": "a.jsonl", "budget": 2}]}]},
            "files with a budget are of a published search; list its budgets in `budgets` too",
        ),
        (
            {"sources": [{"policy": "p", "files": [{"path": "a.jsonl", "run": 0}]}]},
            "files with a run are of a published search; list its budgets in `budgets` too",
        ),
        *(
            (INSPECT | change, f"{said}: format inspect has its own layout")
            for change, said in (
                ({"rows": "samples"}, "rows"),
                ({"columns": {"text": "x"}, "ignore": ["y"]}, "columns, ignore"),
                ({"budgets": [2], "sources": [_of_file(budget=2, run=0)]}, "a file's budget, a file's run"),
            )
        ),
        *(
            ({"sources": [OF_REPOSITORY | {"files": [{"path": path, "sha256": SHA}]}]}, "leads out of its")
            for path in ("/tmp/x.jsonl", "../../x.jsonl", "a/../../b.jsonl")
        ),
        ({"sources": [OF_REPOSITORY | {"repo": "../.."}]}, "'../..' is no repository; it is owner/name"),
        *(
            ({"sources": [{"policy": "p", "files": [{"url": url, "sha256": SHA}]}]}, said)
            for url, said in (
                ("https://x//tmp/w/s.jsonl", "has an empty part, '.' or '..'"),
                ("https://../a", "has an empty part, '.' or '..'"),
                ("https://x/../../a", "has an empty part, '.' or '..'"),
                ("https://x:abc/y", "'https://x:abc/y' is no address (Port"),
                ("https://[::1/y", "'https://[::1/y' is no address (Invalid IPv6"),
            )
        ),
        ({"sources": [{"policy": "p", "files": [{}]}]}, "give one of path and url"),
        (
            {"sources": [{"policy": "p", "files": [{"url": "https://a.org/b.jsonl"}]}]},
            "url: 'https://a.org/b.jsonl' needs its sha256",
        ),
        *(
            (
                {"sources": [{"policy": "p", "files": [{"url": url, "sha256": SHA}]}]},
                "must be the address of a file, https://host/path, without a key or a query",
            )
            for url in (
                "http://a.org/b.jsonl", "file:///etc/passwd", "https://key@a.org/b.jsonl", "https://a.org",
                "https://a.org/b.jsonl?key=1", "https://a.org/b/",
            )
        ),
    ],
)  # fmt: skip
def test_imports_at_fault(tmp_path: Path, entry: dict[str, Any], said: str) -> None:
    assert said in refusal(tmp_path, entry)


@pytest.mark.parametrize("path", ["/tmp/x.jsonl", "../../x.jsonl"])
def test_files_of_a_data_set_stay_in_its_repository(tmp_path: Path, path: str) -> None:
    dataset = {
        "source": "github", "repo": "a/b", "revision": "0" * 40, "files": [{"path": path, "sha256": SHA}],
        "fields": {"prompt": "q", "answer": "a"}, "grader": "number",
    }  # fmt: skip
    assert f"'{path}' leads out of its repository" in refusal(tmp_path, datasets={"d": dataset})


def test_scores_without_bounds_are_no_weights_of_votes(tmp_path: Path) -> None:
    """The shared case i_unbounded_weights."""
    unbounded = {"v": {"kind": "imported", "size": SIZE, "scale": "unbounded"}}
    selectors = ["majority", "weighted", "best_of_n"]
    assert "generators.g: verifiers.v has scale unbounded" in refusal(
        tmp_path, verifiers=unbounded, selectors=selectors
    )
    assert study(tmp_path, verifiers=unbounded).verifiers["v"].scale == "unbounded"
    assert study(tmp_path, selectors=selectors).selectors == tuple(selectors)


def test_every_policy_has_its_own_budgets_and_problems_need_as_many_solutions(tmp_path: Path) -> None:
    sources = [SOURCE, SOURCE | {"policy": "small", "where": {"model": "s", "seed": [0, 1], "greedy": False}}]
    policies = {"small": {"size": SIZE}, "p": {"size": SIZE}}
    config = study(tmp_path, {"sources": sources, "at_most": {"small": 3}}, policies=policies)
    plan = Plan(config, tmp_path)
    assert plan.pools.budgets("p", "g") == (1, 2, 4)
    assert plan.pools.budgets("small", "g") == (1, 2)
    least = {name: ReplaySpec.model_validate_json(plan.replay(name, "g")) for name in ("p", "small")}
    assert [spec.generator.at_least for spec in least.values()] == [4, 2]
    assert least["small"].generator.sources[0].where == {"model": "s", "seed": (0, 1), "greedy": False}
    said = refusal(tmp_path, {"at_most": {"p": 1}}, budgets=[2, 4])
    assert "generators.g.at_most.p: less than every budget" in said


def test_a_published_search_has_budgets_of_its_own_and_tells_no_difficulty(tmp_path: Path) -> None:
    entry = {"budgets": [3, 9], "verifier": "v"}
    config = study(tmp_path, entry, budgets=[])
    plan = Plan(config, tmp_path)
    assert plan.pools.budgets("p", "g") == (3, 9)
    assert json.loads(plan.select("p", "g"))["generator_kind"] == "published_search"
    assert plan.estimated("g")
    said = refusal(tmp_path, entry, budgets=[], difficulty={"generator": "g", "bins": 2})
    assert "'g' imports a search, whose budgets are no subsets of one pool" in said
    assert "budgets: set, but no generator samples or imports samples" in refusal(tmp_path, entry)


def test_several_verifiers_come_in_the_order_of_the_config(tmp_path: Path) -> None:
    verifiers = {name: {"kind": "imported", "size": SIZE} for name in ("z", "a")}
    entry = {"verifier": None, "verifiers": {"a": "x.orm", "z": "x.prm"}}
    plan = Plan(study(tmp_path, entry, verifiers=verifiers), tmp_path)
    assert plan.pools.verifiers("g") == ("z", "a")
    spec = ReplaySpec.model_validate_json(plan.replay("p", "g"))
    assert [(one.name, one.column) for one in spec.verifiers] == [("z", "x.prm"), ("a", "x.orm")]
    assert Import.model_validate_json(spec.generator.model_dump_json()) == spec.generator
