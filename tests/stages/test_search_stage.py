"""Search on real engines: what batches and chunks may not change, what is counted, trees to credits."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from problem_tables import write_problems

from isoflop.config.models import Policy
from isoflop.data.word_problems import generate_problems
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.registry import GenerationRequest, ScoreRequest
from isoflop.engines.steps import ended_steps
from isoflop.errors import UserError
from isoflop.files import read_ledger, read_table, table_metadata, write_columns
from isoflop.growth.measured import read_times
from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.stages import gather_trees, grade, search, select
from isoflop.stages.shared.chunks import Chunks
from isoflop.tables import CANDIDATES, CREDITS, SCORES, SECONDS, TREES, USAGE
from isoflop.verifiers.hf_verifier import TransformersVerifier
from isoflop.verifiers.kinds.math_shepherd import MathShepherd
from isoflop.verifiers.settling import SEARCHED

SHIPPED = Path(__file__).parents[2] / "resources" / "models"
POLICY, VERIFIER = str(SHIPPED / "policy-0.1M"), str(SHIPPED / "prm-1.7M")
JUDGE = MathShepherd(kind="math-shepherd", model=VERIFIER, prompt="{problem}\n")
REBASE = {"kind": "rebase", "max_tokens": 120, "max_step_tokens": 40}


@pytest.fixture(scope="module")
def policy() -> TransformersPolicy:
    return TransformersPolicy(Policy(model=POLICY))


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_problems(tmp_path / "problems.parquet", "dev", 6, seed=9)


def spec(generator: dict[str, Any], budget: int = 4, **models: str) -> str:
    return json.dumps(
        {
            "policy": {"model": models.get("policy", POLICY)},
            "verifier": JUDGE.model_dump(exclude={"model"}, exclude_defaults=True)
            | {"model": models.get("verifier", VERIFIER)},
            "generator": generator | {"budgets": [budget]},
            "seed": 5,
            "version": 1,
        }
    )


def run(text: str, problems: Path, folder: Path, **settings: int) -> Path:
    folder.mkdir(exist_ok=True)
    out = folder / "trees.parquet"
    files = [str(problems), str(out), str(folder / "trees.ledger.json")]
    search.main(["--runtime", json.dumps(settings), text, *files])
    return out


def test_a_step_ends_at_its_separator_and_goes_on_from_its_tokens(policy: TransformersPolicy) -> None:
    """Step by step at temperature 0 is the same text as at once."""
    prompts = [problem.prompt + "\n" for problem in generate_problems("dev", 4, seed=3)]
    whole = policy.generate([GenerationRequest(prompt, 1, 120, 0.0) for prompt in prompts])
    for prompt, expected in zip(prompts, whole, strict=True):
        written: tuple[int, ...] = ()
        texts = []
        while True:
            [step] = policy.generate(
                [GenerationRequest(prompt, 1, 120 - len(written), 0.0, written=written, separator="\n")]
            )
            texts.append(step.text)
            written += step.tokens
            assert step.prompt_tokens + len(step.tokens) == expected.prompt_tokens + len(written)
            if step.finish != "step":
                break
            assert ended_steps(step.text, "\n") == 1
        assert "".join(texts) == expected.text
        assert written == expected.tokens
    both = policy.generate([GenerationRequest(prompts[0], 1, 120, 0.0, separator="\n", steps=2)])
    assert ended_steps(both[0].text, "\n") == 2


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("", 0), ("a", 0), ("a\n", 1), ("\n", 0), ("\n\na", 0), ("\n\na\n", 1), ("a\n\n", 1), ("a\nb", 1),
        ("a\nb\n", 2),
    ],
)  # fmt: skip
def test_steps_that_have_ended(text: str, ended: int) -> None:
    assert ended_steps(text, "\n") == ended


def test_a_search_with_a_stop_string_ends_solutions_at_it(problems: Path, tmp_path: Path) -> None:
    """The same trees in any batch; every solution that was ended there counts the string's tokens."""
    stop = "\nThe answer is"
    text = spec(REBASE | {"stop": [stop], "top_k": 20, "min_p": 0.01, "top_p": 0.99})
    one = read_table(run(text, problems, tmp_path / "one"), TREES)
    many = read_table(run(text, problems, tmp_path / "many", batch_size=3, chunk_problems=2), TREES)
    exact = ["parent", "text", "tokens", "ended"]
    ended = 0
    for row, other in zip(one.to_pylist(), many.to_pylist(), strict=True):
        assert [[node[name] for name in exact] for node in row["nodes"]] == [
            [node[name] for name in exact] for node in other["nodes"]
        ]
        assert row["candidates"] == other["candidates"]
        for last in row["candidates"]:
            steps, tokens, finish = gather_trees.solution(row["nodes"], last)
            solution = "".join(step["text"] for step in steps)
            assert "answer" not in solution
            assert tokens == sum(step["tokens"] for step in steps)
            # The line's end that begins the string is the earlier step's.
            ended += finish == "stop" and solution.endswith("\n")
        by_stop = [node for node in row["nodes"] if node["ended"] and not node["text"]]
        assert all(node["tokens"] >= 3 for node in by_stop)
    assert ended > 6


def test_requests_that_come_later_are_served_like_the_first(policy: TransformersPolicy) -> None:
    prompts = [problem.prompt + "\n" for problem in generate_problems("dev", 6, seed=4)]
    requests = [GenerationRequest(prompt, seed, 60) for seed, prompt in enumerate(prompts)]
    later, seen = list(requests[2:]), []

    def more(finished: Any, in_flight: int) -> list[GenerationRequest]:
        seen.extend(index for index, _ in finished)
        return [later.pop(0)] if later else []

    one, other = policy.generate(requests[:2], more=more), policy.generate(requests)
    assert [done.tokens for done in one] == [done.tokens for done in other]
    assert [done.logprob for done in one] == pytest.approx([done.logprob for done in other], rel=1e-4)
    assert sorted(seen) == list(range(6))


def test_settled_scores_do_not_depend_on_the_batch() -> None:
    verifier = TransformersVerifier(JUDGE, settle=True)
    drawn = generate_problems("dev", 30, seed=6)
    requests = [
        ScoreRequest(problem.prompt + "\n", tuple(problem.solution.splitlines(keepends=True))[:count])
        for problem in drawn
        for count in (1, 2)
    ]
    together = verifier.score(requests)
    alone = [verifier.score([request])[0] for request in requests]
    assert together == alone
    steps = [score / SEARCHED.step for answer in together for score in answer.scores]
    assert steps == [round(step) for step in steps]


SEARCHES: dict[str, dict[str, Any]] = {
    "rebase": REBASE,
    "rebase, three runs": REBASE | {"runs": 3},
    "beam": REBASE | {"kind": "beam", "beam_width": 2},
    "dvts": REBASE | {"kind": "dvts", "beam_width": 2},
    "lookahead": REBASE | {"kind": "lookahead", "beam_width": 2},
    "mcts": REBASE | {"kind": "mcts", "root_children": 3},
}


@pytest.mark.parametrize("name", SEARCHES)
def test_batches_chunks_and_other_problems_change_no_tree(name: str, problems: Path, tmp_path: Path) -> None:
    text = spec(SEARCHES[name])
    one = run(text, problems, tmp_path / "a", chunk_problems=6, batch_size=512)
    other = run(text, problems, tmp_path / "b", chunk_problems=1, batch_size=3)
    # The log-probabilities alone may differ in their last bits.
    first, second = (_without_logprobs(read_table(path, TREES)) for path in (one, other))
    assert first == second
    assert len(first) == 6 * SEARCHES[name].get("runs", 1)
    for row in first:
        nodes = row["nodes"]
        assert row["generated"] == sum(node["tokens"] for node in nodes) + row["looked"]
        assert (row["looked"] > 0) is (name == "lookahead")
        assert row["scored"] <= row["scored_again"]
        assert row["read_again"] >= row["prompt"]
        assert row["nominal_samples"] == (8 if name == "lookahead" else 4)
        assert all(0 <= node["score"] <= 1 for node in nodes)
        assert all(node["text"].count("\n") <= 1 for node in nodes)
    if name == "rebase, three runs":
        texts = [json.dumps(row["nodes"]) for row in first]
        # An easy problem may have the same tree twice.
        assert len(set(texts)) > 12


def _without_logprobs(table: pa.Table) -> list[dict[str, Any]]:
    return [row | {"nodes": [node | {"logprob": 0.0} for node in row["nodes"]]} for row in table.to_pylist()]


def test_a_killed_search_goes_on_where_it_was(
    problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = spec(REBASE)
    alone = run(text, problems, tmp_path / "a", chunk_problems=2)

    def stop(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patched:
        patched.setattr(Chunks, "remove", stop)
        with pytest.raises(InterruptedError):
            run(text, problems, tmp_path / "b", chunk_problems=2)
    [begun] = (tmp_path / "b").glob(".*.chunks")
    (begun / "000002.parquet").unlink()
    kept = (begun / "000001.parquet").stat().st_mtime_ns
    with monkeypatch.context() as patched:
        patched.setattr(Chunks, "remove", lambda self: None)
        resumed = run(text, problems, tmp_path / "b", chunk_problems=2)
    assert (begun / "000001.parquet").stat().st_mtime_ns == kept
    assert read_table(resumed, TREES).equals(read_table(alone, TREES))


def test_a_job_searches_at_one_budget(problems: Path, tmp_path: Path) -> None:
    text = json.dumps(json.loads(spec(REBASE)) | {"generator": REBASE | {"budgets": [2, 4]}})
    with pytest.raises(UserError, match=r"generator\.budgets: 2 given; a job searches at one"):
        search.main([text, str(problems), str(tmp_path / "o"), str(tmp_path / "l")])


def test_random_models_can_be_searched_to_every_limit(problems: Path, tmp_path: Path) -> None:
    """Their steps have no end: all are cut, and what is cut at the last limit is unfinished."""
    random = save_tiny(tmp_path / "random")
    generator = REBASE | {"max_tokens": 20, "max_step_tokens": 6, "max_depth": 3}
    out = run(
        spec(generator, policy=random, verifier=save_tiny(tmp_path / "judge", seed=3)),
        problems,
        tmp_path / "a",
    )
    for row in read_table(out, TREES).to_pylist():
        for last in row["candidates"]:
            steps, tokens, finish = gather_trees.solution(row["nodes"], last)
            assert len(steps) <= 3
            assert tokens <= 20
            assert finish == ("stop" if row["nodes"][last]["ended"] else "unfinished")


def gathered(folder: Path, budgets: dict[int, Path]) -> list[Path]:
    outputs = [
        folder / name
        for name in ("c.parquet", "c.ledger.json", "s.parquet", "s.ledger.json", "c.usage.parquet")
    ]
    pairs = [
        part
        for path in budgets.values()
        for part in (str(path), str(path).replace(".parquet", ".ledger.json"))
    ]
    text = json.dumps({"budgets": list(budgets), "code": "x"})
    gather_trees.main([text, *pairs, *map(str, outputs)])
    return outputs


def test_what_any_budgets_trees_tell_readers_the_ledger_does(problems: Path, tmp_path: Path) -> None:
    trees = {budget: run(spec(REBASE, budget), problems, tmp_path / str(budget)) for budget in (2, 4)}
    table = read_table(trees[4], TREES)
    # As trees that are made after those of an earlier version.
    write_columns(trees[4], table, TREES, table_metadata(table) | {"notes": ["not exact"]})
    _, ledger, *_ = gathered(tmp_path, trees)
    assert read_ledger(ledger)["notes"] == ["not exact"]


def test_from_trees_to_credits(problems: Path, tmp_path: Path) -> None:
    """Every selector at every budget against its plain definition."""
    generator = REBASE | {"runs": 2}
    trees = {budget: run(spec(generator, budget), problems, tmp_path / str(budget)) for budget in (2, 6)}
    candidates, ledger, scores, score_ledger, usage = gathered(tmp_path, trees)
    grades, credits = tmp_path / "g.parquet", tmp_path / "credits.parquet"
    grade.main(['{"grader": "number", "code": "x"}', str(problems), str(candidates), str(grades)])
    chosen = {
        "budgets": [2, 6], "selectors": ["majority", "weighted", "best_of_n", "pass"],
        "step_aggregations": ["last", "min"],
        "verifiers": ["prm"], "seed": 1, "generator_kind": "search", "code": "x",
    }  # fmt: skip
    inputs = [problems, candidates, grades, usage, scores, score_ledger]
    seconds = tmp_path / "seconds.parquet"
    select.main([json.dumps(chosen), *map(str, inputs), str(credits), str(seconds)])
    rows = read_table(credits, CREDITS).to_pylist()
    members = [
        one | {"step_scores": two["step_scores"], "answer": three["answer_class"], "right": three["correct"]}
        for one, two, three in zip(
            read_table(candidates, CANDIDATES).to_pylist(),
            read_table(scores, SCORES).to_pylist(),
            pa.parquet.read_table(grades).to_pylist(),
            strict=True,
        )
    ]
    assert len(members) == 6 * 2 * (2 + 6)
    totals = json.loads(ledger.read_text())
    used = read_table(usage, USAGE).to_pylist()
    assert totals["generated_tokens"] == sum(row["generated"] for row in used)
    assert totals["candidates"] == len(members)
    for row in rows:
        runs = []
        for number in range(2):
            pool = [
                one for one in members
                if (one["problem_id"], one["budget"], one["run"])
                == (row["problem_id"], row["budget"], number)
            ]  # fmt: skip
            assert len(pool) == row["budget"]
            runs.append(_credit(pool, row["selector"], row["step_aggregation"]))
        assert row["credit"] == pytest.approx(np.mean(runs)), row
        costs = [
            one for one in used if (one["problem_id"], one["budget"]) == (row["problem_id"], row["budget"])
        ]
        assert row["tokens"] == pytest.approx(np.mean([one["generated"] for one in costs]))
        policy = table_metadata(read_table(usage, USAGE))["model"]
        assert row["flops_wu2024"] == pytest.approx(2 * policy["parameters"] * row["tokens"])
        assert row["flops_total"] > row["flops_kaplan"] > row["flops_wu2024"]
    taken = read_table(seconds, SECONDS).to_pylist()
    for budget, path in trees.items():
        # Of both runs, the job's seconds in all: half of them a search.
        whole = sum(row["seconds"] for row in taken if (row["budget"], row["verifier"]) == (budget, "prm"))
        assert 2 * whole == pytest.approx(read_times(path).seconds)
    assert not {"seconds", "machine", "ended"} & {*totals, *json.loads(score_ledger.read_text())}


def _credit(pool: list[dict[str, Any]], selector: str, aggregation: str) -> float:
    ended = [one for one in pool if one["finish"] == "stop"]
    if selector == "pass":
        return float(any(one["right"] for one in ended))
    weights = [
        1.0
        if aggregation == "none"
        else one["step_scores"][-1]
        if aggregation == "last"
        else min(one["step_scores"])
        for one in ended
    ]
    if selector == "best_of_n":
        top = [one["right"] for one, weight in zip(ended, weights, strict=True) if weight == max(weights)]
        return float(np.mean(top)) if top else 0.0
    votes: Counter[int] = Counter()
    for one, weight in zip(ended, weights, strict=True):
        if one["answer"] >= 0:
            votes[one["answer"]] += weight  # type: ignore[assignment]
    best = [answer for answer, vote in votes.items() if vote >= max(votes.values()) - 1e-12]
    right = {one["answer"] for one in ended if one["right"]}
    return float(np.mean([answer in right for answer in best])) if best else 0.0


def test_unfinished_solutions_do_not_vote(tmp_path: Path) -> None:
    rows = [
        {
            "problem_id": "p", "candidate": number, "steps": ["The answer is 5.\n"], "step_tokens": [5],
            "finish": finish, "prompt_tokens": 3, "tokens": 5, "logprob": -1.0, "source": None, "budget": 2,
            "run": 0,
        }
        for number, finish in enumerate(["stop", "unfinished"])
    ]  # fmt: skip
    graded = grade.grade(
        {"p": "5"}, pa.Table.from_pylist(rows, schema=CANDIDATES), [grade.make_grader("number")], "c"
    )
    assert graded.answers == ["5", None]


def test_an_empty_last_step_belongs_to_the_one_before() -> None:
    nodes = [
        {"parent": -1, "text": "a\n", "tokens": 3, "ended": False},
        {"parent": 0, "text": "", "tokens": 1, "ended": True},
    ]
    steps, tokens, finish = gather_trees.solution(nodes, 1)
    assert [(step["text"], step["tokens"]) for step in steps] == [("a\n", 4)]
    assert (tokens, finish) == (4, "stop")


def test_missing_searches_are_noticed(problems: Path, tmp_path: Path) -> None:
    two = run(spec(REBASE, 2), problems, tmp_path / "2")
    with pytest.raises(UserError, match="budgets: 2 named, but 1 tables of trees given"):
        gather_trees.main([json.dumps({"budgets": [2, 4], "code": ""}), str(two), "l", *("abcde")])
    broken = read_table(two, TREES).slice(1)
    (tmp_path / "4").mkdir()
    (tmp_path / "4" / "trees.ledger.json").write_text((tmp_path / "2" / "trees.ledger.json").read_text())
    pa.parquet.write_table(broken, tmp_path / "4" / "trees.parquet")
    with pytest.raises(UserError, match="have other problems"):
        gathered(tmp_path, {2: two, 4: tmp_path / "4" / "trees.parquet"})


@pytest.mark.parametrize("architecture", ["gpt-neox", "qwen2"])
def test_other_architectures_search_and_one_iteration_writes_the_rest_at_once(
    architecture: str, problems: Path, tmp_path: Path
) -> None:
    folder = save_tiny(tmp_path / "model", architecture)
    limits = REBASE | {"max_tokens": 30, "max_step_tokens": 5, "iterations": 1}
    trees = read_table(run(spec(limits, policy=folder), problems, tmp_path / "out"), TREES)
    for row in trees.to_pylist():
        nodes = row["nodes"]
        first = [node for node in nodes if node["parent"] == -1]
        rest = [node for node in nodes if node["parent"] != -1]
        assert len(first) == 4
        assert all(node["tokens"] <= 5 for node in first)
        assert {node["parent"] for node in rest} <= set(range(4))
        for node in rest:
            assert node["ended"] or nodes[node["parent"]]["tokens"] + node["tokens"] == 30
    assert any(node["tokens"] > 5 for row in trees.to_pylist() for node in row["nodes"])
