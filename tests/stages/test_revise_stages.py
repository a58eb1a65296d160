"""Chains of revisions for real: tiny checkpoints in the engine, resumption, what each answer was shown."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest
from problem_tables import write_problems

from isoflop.config.generators import ChainWriting
from isoflop.costs import ModelShape
from isoflop.engines.registry import Completion, GenerationRequest, More, Progress
from isoflop.errors import UserError
from isoflop.files import read_table, table_metadata
from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.search.revisions import Chain, write_chains
from isoflop.specs import ChainLabelsSpec, ReviseSpec, TrajectoriesSpec
from isoflop.stages import chain_labels, revise, score, trajectories
from isoflop.stages.shared.chunks import Chunks
from isoflop.stages.shared.models import open_policy
from isoflop.stages.shared.runtime import Runtime
from isoflop.tables import CANDIDATES, LABELS, PROBLEMS, SCORES
from isoflop.training.word_tokenizer import build_tokenizer
from isoflop.verifiers.kinds.causal_orm import CausalOrm
from isoflop.verifiers.layouts import token_id


class Scribe:
    """A policy that answers with a number of its own; `order` is whose requests it finishes first."""

    shape = ModelShape(parameters=1, embedding_parameters=0, layers=1, attention_width=1)

    def __init__(self, last_first: bool = False) -> None:
        self.seen: list[GenerationRequest] = []
        self._last_first = last_first

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        progress: Progress | None = None,
        more: More | None = None,
    ) -> list[Completion]:
        waiting = list(enumerate(requests))
        results: dict[int, Completion] = {}
        self.seen += requests
        while waiting:
            index, request = waiting.pop(-1 if self._last_first else 0)
            text = f"answer {request.seed % 1000}\n"
            results[index] = Completion(text, (text, ""), "stop", len(request.prompt), -1.0)
            assert more is not None
            follow = list(more([(index, results[index])], len(waiting)))
            waiting += enumerate(follow, start=len(self.seen))
            self.seen += follow
        return [results[index] for index in sorted(results)]


WRITING = ChainWriting(length=6, max_tokens=9, temperature=0.5)


def chains() -> list[Chain]:
    return [Chain(f"problem {name}", length, (7, name, 0)) for name, length in (("a", 6), ("b", 1), ("c", 2))]


def test_each_answer_is_shown_the_latest_four_before_it() -> None:
    scribe, written = Scribe(), chains()
    write_chains(scribe, "Q: {problem}\n", WRITING, written)
    assert [len(chain.answers) for chain in written] == [6, 1, 2]
    own = [request for request in scribe.seen if "problem a" in request.prompt]
    texts = [answer.text.strip() for answer in written[0].answers]
    assert own[0].prompt == "Q: problem a\n"
    assert own[2].prompt == f"Q: problem a\n\n{texts[0]}\n\n{texts[1]}\n\n"
    assert own[5].prompt == "Q: problem a\n" + "".join(f"\n{text}\n" for text in texts[1:5]) + "\n"
    assert len({request.seed for request in scribe.seen}) == 9
    assert {(request.max_tokens, request.temperature) for request in scribe.seen} == {(9, 0.5)}


def test_who_finishes_first_changes_no_chain() -> None:
    one, other = chains(), chains()
    write_chains(Scribe(), "{problem}\n", WRITING, one)
    write_chains(Scribe(last_first=True), "{problem}\n", WRITING, other)
    assert [chain.answers for chain in one] == [chain.answers for chain in other]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_problems(tmp_path / "problems.parquet", "dev", 5, seed=9, levels=(1, 2))


GENERATOR = {"kind": "revisions", "chains": 3, "length": 3, "largest": 3, "max_tokens": 12}


def run_revise(model: str, problems: Path, folder: Path, chunk: int, **settings: int) -> Path:
    runtime = json.dumps({"chunk_problems": chunk, **settings})
    spec = json.dumps({"policy": {"model": model}, "generator": GENERATOR, "seed": 5, "version": 1})
    out = folder / "c.parquet"
    revise.main(["--runtime", runtime, spec, str(problems), str(out), str(folder / "c.ledger.json")])
    return out


EXACT = [
    "problem_id",
    "candidate",
    "steps",
    "step_tokens",
    "finish",
    "prompt_tokens",
    "tokens",
    "budget",
    "run",
]


def test_chunks_and_batches_change_no_chain(model: str, problems: Path, tmp_path: Path) -> None:
    one = read_table(run_revise(model, problems, tmp_path / "one", 100), CANDIDATES)
    many = read_table(run_revise(model, problems, tmp_path / "many", 2, batch_size=3), CANDIDATES)
    assert one.select(EXACT).equals(many.select(EXACT))
    rows = one.to_pylist()
    # Three answers to spend: of three chains, one goes on to length 3.
    assert [(row["run"], row["budget"]) for row in rows[:5]] == [(0, 1), (0, 2), (0, 3), (1, 1), (2, 1)]
    assert [row["candidate"] for row in rows] == list(range(5)) * 5
    # What the second answer read: the problem, the first answer, and a blank line before and after it.
    first, second = rows[0], rows[1]
    tokenizer = build_tokenizer()
    prompt = read_table(problems, PROBLEMS)["prompt"][0].as_py()
    attempt = "".join(first["steps"]).strip()
    assert second["prompt_tokens"] == len(tokenizer(f"{prompt}\n\n{attempt}\n\n")["input_ids"])
    ledger = json.loads((tmp_path / "one" / "c.ledger.json").read_text())
    revisions = [row for row in rows if row["budget"] > 1]
    assert ledger["generated_tokens"] == sum(row["tokens"] for row in rows)
    assert ledger["prompt_tokens"] == sum(row["prompt_tokens"] for row in rows)
    assert ledger["revision_prompt_tokens"] == sum(row["prompt_tokens"] for row in revisions)
    firsts = sum(row["prompt_tokens"] for row in rows if row["candidate"] == 0)
    assert ledger["prompt_tokens_reused"] == ledger["revision_prompt_tokens"] + firsts
    assert ledger["candidates"] == len(rows) == 25


def test_a_killed_run_goes_on_to_the_same_bytes(
    model: str, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_revise(model, problems, tmp_path / "whole", 2).read_bytes()
    done = []

    def killed(chains: Sequence[Chain]) -> None:
        done.append(len(chains))
        if len(done) == 2:
            raise KeyboardInterrupt

    write = revise.write_chains
    with monkeypatch.context() as patched:
        patched.setattr(revise, "write_chains", lambda *parts: (killed(parts[3]), write(*parts)))
        with pytest.raises(KeyboardInterrupt):
            run_revise(model, problems, tmp_path / "killed", 2)
    assert len(list((tmp_path / "killed").glob(".*.chunks/*.parquet"))) == 1
    assert run_revise(model, problems, tmp_path / "killed", 2).read_bytes() == whole


def test_a_chain_that_outgrows_the_model_is_refused_by_its_problem(model: str) -> None:
    policy = open_policy(ReviseSpec.model_validate_json(
        json.dumps({"policy": {"model": model}, "generator": GENERATOR, "seed": 5, "version": 1})
    ).policy, Runtime())  # fmt: skip
    long = Chain("Mia has 12 apples. " * 85, 3, (1, "x", 0))
    with pytest.raises(UserError, match=r"exceed the model's 512 positions: 'Mia has 12 apples"):
        write_chains(policy, "{problem}\n", ChainWriting(length=3, max_tokens=60), [long])


def test_a_verifier_is_shown_the_answers_before_the_judged_one() -> None:
    rows = [
        {"run": 0, "steps": ["a\n", "b\n"]}, {"run": 0, "steps": ["c\n"]}, {"run": 0, "steps": ["d"]},
        {"run": 1, "steps": ["e\n"]},
    ]  # fmt: skip
    shown = CausalOrm(kind="causal-orm", model="x", history=1, prompt="{problem}!")
    asked = score.requests_for(shown, "P", rows)
    assert [one.prompt for one in asked] == ["P!", "P\n\na\nb\n!", "P\n\nc\n!", "P!"]
    assert [one.steps for one in asked] == [("a\n", "b\n"), ("c\n",), ("d",), ("e\n",)]
    alone = CausalOrm(kind="causal-orm", model="x", prompt="{problem}!")
    assert {one.prompt for one in score.requests_for(alone, "P", rows)} == {"P!"}
    samples = [row | {"run": None} for row in rows]
    assert {one.prompt for one in score.requests_for(shown, "P", samples)} == {"P!"}


def test_chains_are_scored_once_each_with_what_went_before(
    model: str, problems: Path, tmp_path: Path
) -> None:
    candidates = run_revise(model, problems, tmp_path, 100)
    found = {}
    for history in (0, 4):
        verifier = {"kind": "causal-orm", "model": model, "history": history}
        paths = [str(problems), str(candidates), str(tmp_path / "s.parquet"), str(tmp_path / "s.json")]
        score.main([json.dumps({"verifier": verifier, "version": 1}), *paths])
        found[history] = read_table(tmp_path / "s.parquet", SCORES).to_pylist()
    rows = read_table(candidates, CANDIDATES).to_pylist()
    for row, alone, told in zip(rows, found[0], found[4], strict=True):
        assert len(alone["step_scores"]) == len(told["step_scores"]) == 1
        if row["budget"] == 1:
            assert alone["step_scores"] == pytest.approx(told["step_scores"], abs=1e-6)
            assert alone["verifier_tokens"] == told["verifier_tokens"]
        else:
            # The attempts, longer by what the revision's prompt is than the first answer's.
            longer = (
                row["prompt_tokens"] - rows[0]["prompt_tokens"]
                if row["problem_id"] == rows[0]["problem_id"]
                else 1
            )
            assert told["verifier_tokens"] - alone["verifier_tokens"] >= longer > 0


def labels_spec(model: str) -> str:
    settings = {"problems": "p", "policy": "small", "chains": 2, "length": 3, "history": 1, "max_tokens": 12}
    spec = {
        "name": "x",
        "chains": settings,
        "policy": {"model": model},
        "grader": "number",
        "seed": 1,
        "version": 1,
    }
    return ChainLabelsSpec.model_validate_json(json.dumps(spec)).model_dump_json()


def test_answers_of_chains_are_labelled_with_and_without_what_went_before(
    model: str, problems: Path, tmp_path: Path
) -> None:
    def run(folder: str, chunk: int) -> list[pa.Table]:
        runtime = json.dumps({"chunk_problems": chunk})
        outputs = [tmp_path / folder / name for name in ("l.parquet", "l.alone.parquet")]
        chain_labels.main(["--runtime", runtime, labels_spec(model), str(problems), *map(str, outputs)])
        return [read_table(path, LABELS) for path in outputs]

    told, alone = run("one", 100)
    assert [table.to_pylist() for table in run("many", 2)] == [told.to_pylist(), alone.to_pylist()]
    prompts = dict(
        zip(
            *read_table(problems, PROBLEMS).select(["problem_id", "prompt"]).to_pydict().values(), strict=True
        )
    )
    assert table_metadata(told)["tally"]["answers"] == 30
    assert len(told) == table_metadata(told)["tally"]["labels"] >= len(alone) > 5
    for row in (*told.to_pylist(), *alone.to_pylist()):
        assert len(row["steps"]) == len(row["labels"]) == 1
        assert row["prompt"].startswith(prompts[row["problem_id"]])
    assert {row["prompt"] for row in alone.to_pylist()} == set(prompts.values())
    shown = [row["prompt"].count("\n\n") for row in told.to_pylist()]
    assert set(shown) == {0, 1}, "one attempt at most is shown"


def trajectories_spec(model: str) -> str:
    settings = {"problems": "p", "policy": "small", "samples_per_problem": 6, "max_tokens": 12}
    spec = {
        "name": "x", "trajectories": settings, "policy": {"model": model}, "grader": "number", "seed": 1,
        "version": 1,
    }  # fmt: skip
    return TrajectoriesSpec.model_validate_json(json.dumps(spec)).model_dump_json()


def completions(*texts: str) -> list[Completion]:
    return [Completion(text, (), "length" if text.endswith("...") else "stop", 3, -1.0) for text in texts]


def test_trajectories_are_problems_whose_solution_is_the_right_answer(model: str) -> None:
    spec = TrajectoriesSpec.model_validate_json(trajectories_spec(model))
    problem = {"problem_id": "p1", "prompt": "P", "answer": "4", "level": 2, "subject": None, "solution": "S"}
    answers = completions("The answer is 4.", "The answer is 5.", "The answer...", "Four is 4.")
    rows = list(trajectories.rows_of(spec, problem, answers, [True, False, False, True]))
    assert [row["problem_id"] for row, _ in rows] == ["p1/0", "p1/1"]
    assert {row["solution"] for row, _ in rows} == {"The answer is 4.", "Four is 4."}
    for row, wrong in rows:
        assert row["prompt"] == ("P\n\nThe answer is 5.\n" if wrong else "P"), "what was cut is not shown"
        assert (row["answer"], row["level"]) == ("4", 2)


def test_where_no_answer_is_right_there_is_nothing_to_learn(
    model: str, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trajectories, "is_right", lambda *_, truncated: False)
    with pytest.raises(UserError, match=r"no answer of .* was right; there is nothing to learn"):
        trajectories.main([trajectories_spec(model), str(problems), str(tmp_path / "t.parquet")])


def test_trajectories_of_a_real_policy_resume_after_a_kill(
    model: str, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every finished answer of the random model counts as right or wrong by its first letter.
    monkeypatch.setattr(
        trajectories, "is_right", lambda _, text, *__, truncated: not truncated and text < " M"
    )
    spec = trajectories_spec(model).replace('"max_tokens":12', '"max_tokens":60')
    arguments = ["--runtime", '{"chunk_problems": 2}', spec, str(problems)]
    trajectories.main([*arguments, str(tmp_path / "whole.parquet")])
    whole = read_table(tmp_path / "whole.parquet", PROBLEMS)
    tally = table_metadata(whole)["tally"]
    assert tally["samples"] == 30
    assert tally["trajectories"] == len(whole) == sum(tally[f"attempts_{count}"] for count in range(5))
    run = Chunks.run

    def stop(self: Chunks, items: Sequence[object], *rest: object) -> object:
        run(self, items[:2], *rest)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Chunks, "run", stop)
        with pytest.raises(KeyboardInterrupt):
            trajectories.main([*arguments, str(tmp_path / "again.parquet")])
    trajectories.main([*arguments, str(tmp_path / "again.parquet")])
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


@pytest.mark.parametrize("stage", [revise, trajectories, chain_labels])
def test_missing_arguments_are_refused_with_the_usage(stage: ModuleType) -> None:
    with pytest.raises(UserError, match=r"usage: python -m isoflop\.stages"):
        stage.main(["{}"])


def test_the_tag_of_an_outcome_verifier_is_after_the_whole_solution(model: str) -> None:
    from isoflop.verifiers.registry import tag_solutions

    tokenizer = build_tokenizer()
    entry = CausalOrm(kind="causal-orm", model=model)
    [tagged] = tag_solutions(
        tokenizer, entry, [("Mia has 3 apples.\n", ("Tom has 4.\n", "The answer is 4.\n"))]
    )
    assert tagged.ids.count(token_id(tokenizer, " ки")) == 1
    assert tokenizer.decode(tagged.ids[: tagged.places[0] + 1]) == (
        "<s> Mia has 3 apples.\nTom has 4.\nThe answer is 4. ки"
    )
