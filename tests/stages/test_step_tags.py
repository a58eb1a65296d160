"""A policy's own step tags: it goes on from them, and neither graders nor verifiers see them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from problem_tables import write_problems
from test_grade_stage import write_candidates
from test_grade_stage import write_problems as write_references

from isoflop.config.models import Policy
from isoflop.engines.checkpoints import load_tokenizer
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.registry import Completion, GenerationRequest, ScoreRequest, StepScores
from isoflop.engines.step_tags import for_all_steps, untagged, with_words
from isoflop.engines.steps import split_steps
from isoflop.files import read_table
from isoflop.rehearsal.problems import sentences
from isoflop.rehearsal.tiny_policies import save_policy
from isoflop.rehearsal.tiny_verifiers import save_verifier
from isoflop.search.driver import Driver, Task, Texts
from isoflop.search.registry import new_tree, start
from isoflop.search.tree import Tree
from isoflop.specs import SearchSpec
from isoflop.stages import gather_trees, grade, sample, score, search
from isoflop.tables import CANDIDATES, GRADES, PROBLEMS, SCORES, TREES
from isoflop.verifiers.hf_verifier import TransformersVerifier
from isoflop.verifiers.kinds.causal_orm import CausalOrm
from isoflop.verifiers.kinds.llemma_rm import LlemmaRm
from isoflop.verifiers.layouts import token_id
from isoflop.verifiers.registry import tag_solutions
from isoflop.verifiers.settling import SEARCHED

TAG = " ки"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["Step 1: a ки\n", "Step 2: The answer is: 5 ки"], ["Step 1: a\n", "Step 2: The answer is: 5"]),
        (["a ки\n", "b ки\n"], ["a\n", "b\n"]),
        (["aки\n"], ["a\n"]),  # a byte-level tokenizer may have no space there
        (["a ки Step 2: b ки"], ["a\nStep 2: b"]),  # a tag ends its line
        (["a ки", " b ки"], ["a\n", " b"]),
        (["a\n", "ки\n", "b ки\n"], ["a\n", "\n", "b\n"]),
        (["no tag\n", ""], ["no tag\n", ""]),
    ],
)
def test_tags_are_taken_out_and_steps_stay_as_many(steps: list[str], expected: list[str]) -> None:
    assert untagged(steps, TAG) == expected
    assert untagged(steps, None) == steps
    assert untagged([*steps, "c"], TAG)[:-1] == untagged(steps, TAG, more=True)


def test_what_marks_a_pattern_is_a_tag_like_any_other() -> None:
    assert untagged(["2 (a+b)* [x]\n"], "(a+b)*") == ["2\n[x]\n"]


@pytest.mark.parametrize(
    ("steps", "words", "scores", "expected"),
    [
        (["a ки\n", "b ки"], ["a\n", "b"], [0.1, 0.2], [0.1, 0.2]),
        (["a\n", "ки\n", "b ки"], ["a\n", "b"], [0.1, 0.2], [0.1, 0.1, 0.2]),
        (["ки\n", "a"], ["a"], [0.3], [0.3, 0.3]),
        (["ки\n", "ки"], ["\n"], [0.3], [0.3, 0.3]),
        (["a ки\n"], ["a\n"], [], []),
    ],
)
def test_a_tag_alone_is_no_step_and_has_the_score_of_the_one_before(
    steps: list[str], words: list[str], scores: list[float], expected: list[float]
) -> None:
    assert with_words(steps, TAG) == words
    assert for_all_steps(scores, steps, TAG) == expected


def test_answers_are_read_without_tags(tmp_path: Path) -> None:
    """Wu et al.'s evaluation reads `The answer is:(.+) ки`."""
    rows = [
        ("p", ["Step 1: 2 + 3 = 5 ки\n", "Step 2: The answer is: 5 ки"], "stop"),
        ("p", ["The answer is: 5 ки Step 3: 7"], "stop"),
        ("p", ["The answer is: 6 ки"], "stop"),
        ("q", ["The answer is: \\frac{1}{2} ки"], "stop"),
    ]
    found = {}
    for tag in (TAG, None):
        write_references(tmp_path / "problems.parquet", {"p": "5", "q": r"\frac12"})
        write_candidates(tmp_path / "candidates.parquet", rows)
        paths = [str(tmp_path / f"{name}.parquet") for name in ("problems", "candidates", "grades")]
        grade.main([json.dumps({"grader": "math", "step_tag": tag, "code": "x"}), *paths])
        found[tag] = read_table(paths[2], GRADES).to_pylist()
    assert [row["answer"] for row in found[TAG]] == ["5", "5", "6", "\\frac{1}{2}"]
    assert [row["correct"] for row in found[TAG]] == [True, True, False, True]
    assert not all(row["correct"] for row in found[None] if row["answer"] != "6")


@pytest.fixture(scope="module")
def tagging(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A policy that ends its steps as Wu et al.'s do, and a reward model of their kind."""
    folder = tmp_path_factory.mktemp("tagging")
    said = [f"Step {number}: {words}{TAG}\n" for number in (1, 2) for words in ("so", "then", "add one")]
    said += sentences(["\n"], ["number"], ["12"], TAG)[3:]
    return {
        "policy": {"model": save_policy(folder / "policy", "llama", said, 3), "step_separator": "ки\n"},
        "verifier": {"kind": "llemma-rm", "model": save_verifier(folder / "rm", "llemma-rm", 1)},
    }


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_problems(tmp_path / "problems.parquet", "dev", 4, seed=9)


def test_samples_keep_their_tags_and_the_verifier_reads_one_a_step(
    tagging: dict[str, Any], problems: Path, tmp_path: Path
) -> None:
    spec = {
        "policy": tagging["policy"],
        "generator": {"kind": "sampling", "samples": 8, "max_tokens": 12},
        "seed": 5,
        "version": 1,
    }
    out = [str(tmp_path / name) for name in ("c.parquet", "c.json", "s.parquet", "s.json", "g.parquet")]
    sample.main([json.dumps(spec), str(problems), *out[:2]])
    rows = read_table(out[0], CANDIDATES).to_pylist()
    assert sum(TAG in "".join(row["steps"]) for row in rows) > 16
    judged = {"verifier": tagging["verifier"], "step_tag": TAG, "version": 1}
    score.main([json.dumps(judged), str(problems), out[0], *out[2:4]])
    scores = read_table(out[2], SCORES).to_pylist()
    verifier = LlemmaRm.model_validate(tagging["verifier"])
    tokenizer = load_tokenizer(str(verifier.model), None)
    [first] = score.requests_for(verifier, "How many?", rows[:1], TAG)
    assert TAG not in "".join(first.steps)
    tag = token_id(tokenizer, verifier.step_tag)
    for row, scored in zip(rows, scores, strict=True):
        assert len(scored["step_scores"]) == len(row["steps"])
        [request] = score.requests_for(verifier, "How many?", [row], TAG)
        [read] = tag_solutions(tokenizer, verifier, [(request.prompt, request.steps)])
        assert read.ids.count(tag) == len(read.places) == len(request.steps)
    grade.main(
        [json.dumps({"grader": "number", "step_tag": TAG, "code": "x"}), str(problems), out[0], out[4]]
    )
    answers = [row["answer"] for row in read_table(out[4], GRADES).to_pylist()]
    assert {"1", "12"} <= set(answers)
    assert not any("ки" in answer for answer in answers if answer)


def search_spec(tagging: dict[str, Any], tag: str | None, budget: int, **generator: Any) -> str:
    return json.dumps(
        {
            "policy": tagging["policy"] | {"step_tag": tag},
            "verifier": tagging["verifier"],
            "generator": {
                "kind": "rebase",
                "budgets": [budget],
                "max_tokens": 24,
                "max_step_tokens": 8,
                **generator,
            },
            "seed": 5,
            "version": 1,
        }
    )


def trees_of(spec: str, problems: Path, folder: Path) -> list[dict[str, Any]]:
    folder.mkdir()
    search.main([spec, str(problems), str(folder / "t.parquet"), str(folder / "t.json")])
    return read_table(folder / "t.parquet", TREES).to_pylist()


def path_of(nodes: Sequence[dict[str, Any]], last: int) -> list[str]:
    steps: list[str] = []
    while last != -1:
        steps.insert(0, nodes[last]["text"])
        last = nodes[last]["parent"]
    return steps


def test_a_search_goes_on_from_tags_that_its_verifier_does_not_see(
    tagging: dict[str, Any], problems: Path, tmp_path: Path
) -> None:
    """At a budget of 1 no score decides anything: the same tree, otherwise scored."""
    known = {row["problem_id"]: row["prompt"] for row in read_table(problems, PROBLEMS).to_pylist()}
    without = trees_of(search_spec(tagging, None, 1), problems, tmp_path / "without")
    with_tag = trees_of(search_spec(tagging, TAG, 1), problems, tmp_path / "with")
    written = [[node["text"] for node in row["nodes"]] for row in with_tag]
    assert written == [[node["text"] for node in row["nodes"]] for row in without]
    assert any(len(steps) > 1 and TAG in steps[0] for steps in written)
    entry = LlemmaRm.model_validate(tagging["verifier"])
    plain = TransformersVerifier(entry)
    for row in with_tag:
        prompt = entry.prompt.format(problem=known[row["problem_id"]])
        for number, node in enumerate(row["nodes"]):
            told = with_words(path_of(row["nodes"], number), TAG)
            [scores] = plain.score([ScoreRequest(prompt, tuple(told))])
            assert abs(node["score"] - scores.scores[-1]) <= SEARCHED.step / 2 + float(
                SEARCHED.close(np.array(scores.scores[-1]))
            )
    wide = trees_of(search_spec(tagging, TAG, 4), problems, tmp_path / "wide")
    folder = tmp_path / "wide"
    outputs = [str(folder / name) for name in ("c.parquet", "c.json", "s.parquet", "s.json", "u.parquet")]
    gather_trees.main(
        [
            json.dumps({"budgets": [4], "code": "x"}),
            str(folder / "t.parquet"),
            str(folder / "t.json"),
            *outputs,
        ]
    )
    candidates = read_table(outputs[0], CANDIDATES).to_pylist()
    assert len(candidates) == sum(len(row["candidates"]) for row in wide)
    graded = tmp_path / "g.parquet"
    grade.main(
        [
            json.dumps({"grader": "number", "step_tag": TAG, "code": "x"}),
            str(problems),
            outputs[0],
            str(graded),
        ]
    )
    answers = read_table(graded, GRADES)["answer"].to_pylist()
    assert any(answers)
    assert all(answer.replace("/", "").isdigit() for answer in answers if answer is not None)


class Told:
    """A verifier that notes what it is told, and a policy that writes from a script."""

    def __init__(self, says: Sequence[str]) -> None:
        self.says, self.asked, self.told = list(says), list[GenerationRequest](), list[tuple[str, ...]]()

    def generate(self, requests: Sequence[GenerationRequest], progress: Any, more: Any) -> list[Completion]:
        waiting = list(enumerate(requests))
        while waiting:
            number, request = waiting.pop(0)
            self.asked.append(request)
            text = self.says[len(self.asked) - 1]
            ended = text.endswith("$")
            tokens = tuple(map(ord, text.removesuffix("$")))
            pieces = ("",) * (len(tokens) + ended)
            done = Completion(
                text.removesuffix("$"),
                pieces,
                "stop" if ended else "step",
                5 + len(request.written),
                0.0,
                tokens,
            )
            follow = more([(number, done)], len(waiting))
            waiting += enumerate(follow, start=len(self.asked) + len(waiting))
        return []

    def score(self, requests: Sequence[ScoreRequest], progress: Any = None) -> list[StepScores]:
        self.told += [request.steps for request in requests]
        return [
            StepScores(
                tuple(0.1 * (place + 1) for place in range(len(request.steps))),
                10,
                tuple(3 * (place + 1) for place in range(len(request.steps))),
            )
            for request in requests
        ]


def test_a_tag_alone_adds_nothing_to_what_has_a_score() -> None:
    """What the policy goes on from has every tag; the tag on a line of its own is not scored."""
    spec = SearchSpec.model_validate_json(
        search_spec({"policy": {"model": "x"}, "verifier": {"kind": "llemma-rm", "model": "y"}}, TAG, 1)
    )
    tree: Tree = new_tree(spec.generator)
    task = Task(("x",), Texts("Q", "Q", "\n", 1.0, TAG), tree, start(spec.generator, 1, tree))
    both = Told(["a ки\n", "ки\n", "b\n", "ки$"])
    Driver(both, both, 1, score_batch=1).run([task])  # type: ignore[arg-type]
    assert both.told == [("a\n",), ("a\n", "b\n")]
    assert ["".join(map(chr, one.written)) for one in both.asked] == [
        "", "a ки\n", "a ки\nки\n", "a ки\nки\nb\n",
    ]  # fmt: skip
    assert [node.score for node in tree.nodes] == pytest.approx([0.1, 0.1, 0.2, 0.2])
    assert (task.usage.scored, task.usage.scored_again) == (6, 9)


def test_a_revisions_verifier_is_shown_attempts_without_tags() -> None:
    rows = [{"run": 0, "steps": ["The answer is: 4 ки"]}, {"run": 0, "steps": ["The answer is: 5 ки"]}]
    entry = CausalOrm(kind="causal-orm", model="x", history=2)
    first, second = score.requests_for(entry, "Q?", rows, TAG)
    assert first.steps == ("The answer is: 4",)
    assert "answer is: 4" in second.prompt
    assert "ки" not in second.prompt


def test_steps_end_at_the_tag_where_the_separator_is_the_tag_with_its_lines_end(
    tagging: dict[str, Any],
) -> None:
    assert split_steps("Step 1: a\n b ки\nStep 2: c ки", "ки\n") == ["Step 1: a\n b ки\n", "Step 2: c ки"]
    policy = TransformersPolicy(Policy(**tagging["policy"]))
    requests = [GenerationRequest("Q?\n", seed, 12, separator="ки\n") for seed in range(32)]
    texts = [one.text for one in policy.generate(requests)]
    assert any(text.endswith("ки\n") for text in texts)
    assert all(text.count("ки\n") <= 1 for text in texts)
