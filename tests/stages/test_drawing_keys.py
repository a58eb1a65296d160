"""The keys that say how tokens are drawn and where texts end: refused, passed on, and what the page shows."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from byte_tokens import save_bytes
from problem_tables import write_problems
from pydantic import TypeAdapter, ValidationError

from isoflop.config.generators import Revisions
from isoflop.config.study import Generator
from isoflop.engines.registry import Completion, GenerationRequest
from isoflop.engines.steps import stopped_at
from isoflop.files import read_table
from isoflop.grading.grader import make_grader
from isoflop.search.revisions import Chain, write_chains
from isoflop.specs import ReviseSpec, SampleSpec, SearchSpec, canonical
from isoflop.stages import sample, search
from isoflop.tables import CANDIDATES

ROOT = Path(__file__).parents[2]
SHIPPED = str(ROOT / "resources" / "models" / "policy-0.9M")
KEYS = {"stop": ["\n\n", "Q:"], "top_k": 20, "min_p": 0.05, "top_p": 0.9, "temperature": 0.7}
DRAWN = {"stop": ("\n\n", "Q:"), "top_k": 20, "min_p": 0.05, "top_p": 0.9, "temperature": 0.7}
SEARCH = {"max_tokens": 9, "max_step_tokens": 3, "budgets": [4]}
GENERATORS: dict[str, dict[str, Any]] = {
    "greedy": {"max_tokens": 9},
    "sampling": {"samples": 4, "max_tokens": 9},
    "revisions": {"chains": 2, "length": 2, "max_tokens": 9},
    "rebase": SEARCH,
    "beam": SEARCH,
    "dvts": SEARCH,
    "lookahead": SEARCH,
    "mcts": SEARCH,
}


def spec_of(kind: str, **keys: Any) -> SampleSpec | ReviseSpec | SearchSpec:
    common = {"policy": {"model": "m"}, "seed": 5, "version": 1}
    generator = {"kind": kind, **GENERATORS[kind], **keys}
    if "budgets" in generator:
        judge = {"kind": "math-shepherd", "model": "m"}
        return SearchSpec.model_validate_json(
            json.dumps(common | {"generator": generator, "verifier": judge})
        )
    kind_of_spec = ReviseSpec if kind == "revisions" else SampleSpec
    return kind_of_spec.model_validate_json(json.dumps(common | {"generator": generator}))


@pytest.mark.parametrize("kind", GENERATORS)
def test_defaults_are_in_no_specification(kind: str) -> None:
    """So nothing that was sampled before is sampled again."""
    written = json.loads(canonical(spec_of(kind)))["generator"]
    assert written.keys() == {"kind", *GENERATORS[kind]}
    assert canonical(spec_of(kind, stop=[])) == canonical(spec_of(kind))


@pytest.mark.parametrize("kind", GENERATORS)
def test_every_request_has_them(kind: str) -> None:
    if kind == "greedy":
        spec = spec_of(kind, stop=KEYS["stop"])
        assert isinstance(spec, SampleSpec)
        [one] = sample.requests_for(spec, ("p", "1 + 1?"), [0])
        assert (one.temperature, one.stop, one.top_k, one.min_p) == (0.0, ("\n\n", "Q:"), 0, 0.0)
        return
    spec = spec_of(kind, **KEYS)
    if isinstance(spec, SampleSpec):
        asked = sample.requests_for(spec, ("p", "1 + 1?"), range(sample.per_problem(spec)))
        assert len(asked) == 4
    elif isinstance(spec, ReviseSpec):
        policy = Noting()
        write_chains(policy, "{problem}", spec.generator, [Chain("1 + 1?", 2, ("k",))])
        asked = policy.asked
        assert len(asked) == 2
    else:
        [task] = search.tasks_for(spec, ("p", "1 + 1?"), [0])
        assert {name: getattr(task.texts, name) for name in DRAWN} == DRAWN
        return
    for one in asked:
        assert {name: getattr(one, name) for name in DRAWN} == DRAWN


class Noting:
    """A policy that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[GenerationRequest] = []

    def generate(self, requests: Any, progress: Any = None, more: Any = None) -> list[Completion]:
        waiting, number = list(requests), 0
        while waiting:
            self.asked.append(waiting.pop(0))
            waiting += more([(number, Completion("4", ("4",), "stop", 3, -1.0))], 0)
            number += 1
        return []


@pytest.mark.parametrize(
    ("kind", "keys", "said"),
    [
        ("sampling", {"stop": [""]}, "stop"),
        ("sampling", {"stop": "Q:"}, "stop"),
        ("sampling", {"top_k": 0}, "top_k"),
        ("sampling", {"top_k": 1.5}, "top_k"),
        ("rebase", {"min_p": 1.5}, "min_p"),
        ("rebase", {"min_p": -0.1}, "min_p"),
        ("greedy", {"top_k": 5}, "top_k"),
        ("greedy", {"min_p": 0.1}, "min_p"),
    ],
)
def test_values_that_mean_nothing_are_refused(kind: str, keys: dict[str, Any], said: str) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(Generator)
    adapter.validate_json(json.dumps({"kind": kind, **GENERATORS[kind]}))
    with pytest.raises(ValidationError, match=said):
        adapter.validate_json(json.dumps({"kind": kind, **GENERATORS[kind], **keys}))


def test_no_key_lost_its_default_on_the_way_to_a_common_place() -> None:
    chains = Revisions(kind="revisions", chains=2, length=2, max_tokens=9)
    assert chains.drawing() == {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "stop": ()}


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """The config of the page on base models."""
    text = (ROOT / "docs" / "how-to" / "add-a-model.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(policies:\n  base:.*?)```", text, re.DOTALL)
    assert found is not None
    config: dict[str, Any] = yaml.safe_load(found[1])
    assert config["policies"]["base"].pop("revision") == "<40 digits>"
    return config


def run(page: dict[str, Any], model: str, tmp_path: Path, stop: list[str] | None) -> list[dict[str, Any]]:
    generator = page["generators"]["sampling"] | {"max_tokens": 60}
    spec = {
        "policy": page["policies"]["base"] | {"model": model},
        "generator": generator | ({} if stop is None else {"stop": stop}),
        "seed": 1,
        "version": 1,
    }
    problems = write_problems(tmp_path / "problems.parquet", "dev", 4, seed=9)
    out = tmp_path / "c.parquet"
    text = SampleSpec.model_validate_json(json.dumps(spec)).model_dump_json()
    sample.main([text, str(problems), str(out), str(tmp_path / "c.json")])
    return read_table(out, CANDIDATES).to_pylist()


def test_the_page_on_base_models_is_a_config_that_cuts_the_next_question(
    page: dict[str, Any], tmp_path: Path
) -> None:
    """With a model that writes the page's own strings, and the shipped one with a string that it writes."""
    stop = page["generators"]["sampling"]["stop"]
    assert stop == ["\nQuestion:", "\nQ:"]
    folder = save_bytes(tmp_path / "bytes")
    wholes = run(page, folder, tmp_path, [])
    cut = run(page, folder, tmp_path, None)
    changed = 0
    for one, whole in zip(cut, wholes, strict=True):
        text, place = "".join(whole["steps"]), stopped_at("".join(whole["steps"]), stop)
        assert "".join(one["steps"]) == text[:place]
        assert one["tokens"] <= whole["tokens"]
        changed += place is not None
    assert changed > 3
    texts = ["".join(row["steps"]) for row in run(page, SHIPPED, tmp_path, None)]
    assert any(" = " in text for text in texts)
    for row, text in zip(run(page, SHIPPED, tmp_path, [" = "]), texts, strict=True):
        assert "".join(row["steps"]) == text.partition(" = ")[0]


def test_what_the_next_question_says_is_no_answer(page: dict[str, Any]) -> None:
    written = " 2 + 2 = 4. The answer is 4.\n\nQuestion: What is 3 + 4?\nAnswer: The answer is 7.\n"
    place = stopped_at(written, page["generators"]["sampling"]["stop"])
    with make_grader("number") as grader:
        assert grader.extract(written[:place]) == "4"
