"""A small study of four stages that can be edited and run again, with the requests that its models get."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest

from isoflop.engines.registry import GenerationRequest, More, Policy, Progress, ScoreRequest, Verifier
from isoflop.files import Problem, write_table
from isoflop.pipeline.shards import shard_names
from isoflop.search.driver import Task
from isoflop.specs import SearchSpec
from isoflop.stages import merge, revise, sample, score, search
from isoflop.tables import PROBLEMS

PROBLEM_TEXTS = {
    "a": "Mia has 3 apples and buys 4 more. How many apples does Mia have?",
    "b": "Tom has 12 pens and loses 5. How many pens does Tom have?",
    "c": "Ann has 2 boxes of 6 eggs. How many eggs does Ann have?",
    "d": "Ben has 9 coins and gives 3 away. How many coins does Ben have?",
}
STAGES: Mapping[str, ModuleType] = {"sample": sample, "revise": revise, "search": search, "score": score}


@dataclass(frozen=True)
class Setting:
    """What the study is: its problems by name, its models, the keys of its generators."""

    policy: str
    verifier: str
    problems: Mapping[str, str] = field(default_factory=lambda: PROBLEM_TEXTS)
    seed: int = 5
    samples: int = 4
    max_tokens: int = 24
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    prompt: str = "{problem}\n"
    judged: str = "{problem}\n"
    chains: int = 2
    length: int = 2
    history: int = 4
    budget: int = 2
    runs: int = 1

    def specs(self) -> Mapping[str, str]:
        """The specification of every stage."""
        policy = {"model": self.policy, "prompt": self.prompt}
        verifier = {"kind": "math-shepherd", "model": self.verifier, "prompt": self.judged}
        drawn = {"max_tokens": self.max_tokens, "temperature": self.temperature, "stop": list(self.stop)}
        common = {"policy": policy, "seed": self.seed, "version": 1}
        chained = {"chains": self.chains, "length": self.length, "history": self.history}
        searched = {"budgets": [self.budget], "runs": self.runs, "max_step_tokens": 8}
        return {
            "sample": json.dumps(
                common | {"generator": {"kind": "sampling", "samples": self.samples} | drawn}
            ),
            "revise": json.dumps(common | {"generator": {"kind": "revisions"} | chained | drawn}),
            "search": json.dumps(
                common | {"verifier": verifier, "generator": {"kind": "rebase"} | searched | drawn}
            ),
            "score": json.dumps({"verifier": verifier, "version": 1}),
        }


class Study:
    """The files of a setting under `folder`, as a workflow has them."""

    def __init__(self, folder: Path, experiment: str = "study", pool: str = "words/policy/pool") -> None:
        self.results = folder / "results" / experiment
        self._pool = pool

    def table(self, stage: str) -> Path:
        """Where a stage's table is; chains have one of their own."""
        room = "sample" if stage == "revise" else stage
        own = {"revise": f"{self._pool}-chains", "search": f"{self._pool}/2", "score": f"{self._pool}/judge"}
        return self.results / room / f"{own.get(stage, self._pool)}.parquet"

    def run(
        self, stage: str, setting: Setting, shards: int = 1, chunk: int = 2, *, reuse: bool = True
    ) -> Path:
        """Run a stage, in parts that are merged where there are several shards; returns its table."""
        problems = self._problems(setting)
        inputs = [str(problems)]
        if stage == "score":
            inputs.append(str(self.table("sample")))
        table = self.table(stage)
        own = shard_names(shards, chunk) if shards > 1 else [""]
        names = [str(table).removesuffix(".parquet") + name for name in own]
        parts = [[f"{name}.parquet", f"{name}.ledger.json"] for name in names]
        runtime = json.dumps({"chunk_problems": chunk, "reuse": reuse})
        for part in parts:
            STAGES[stage].main(["--runtime", runtime, setting.specs()[stage], *inputs, *part])
        if shards > 1:
            ledger = str(table.with_suffix(".ledger.json"))
            merge.main([*(path for part in parts for path in part), str(table), ledger])
            for path in (path for part in parts for path in part):
                Path(path).unlink(missing_ok=True)
        return table

    def _problems(self, setting: Setting) -> Path:
        path = self.results / "problems" / "words.parquet"
        columns: dict[str, list[object]] = {
            "problem_id": [*setting.problems],
            "prompt": [*setting.problems.values()],
            "answer": ["1"] * len(setting.problems),
            **{name: [None] * len(setting.problems) for name in ("level", "subject", "solution")},
        }
        write_table(path, columns, PROBLEMS, {})
        return path


@dataclass
class Asked:
    """How many requests models got from samples, chains and scores; searches that began; models loaded."""

    written: int = 0
    judged: int = 0
    searched: int = 0
    loaded: int = 0

    def of(self, stage: str) -> int:
        """What a stage asked for."""
        return {"score": self.judged, "search": self.searched}.get(stage, self.written)


class _CountedPolicy:
    def __init__(self, policy: Policy, asked: Asked) -> None:
        self._policy, self._asked, self.shape, self.notes = policy, asked, policy.shape, policy.notes

    @property
    def settled(self) -> int:
        """The policy's."""
        return self._policy.settled

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        progress: Progress | None = None,
        more: More | None = None,
    ) -> Any:
        """Count, and pass on."""
        self._asked.written += len(requests)

        def counted(finished: Any, in_flight: int) -> Any:
            assert more is not None
            following = more(finished, in_flight)
            self._asked.written += len(following)
            return following

        return self._policy.generate(requests, progress, None if more is None else counted)


class _CountedVerifier:
    def __init__(self, verifier: Verifier, asked: Asked) -> None:
        self._verifier, self._asked, self.shape = verifier, asked, verifier.shape

    def score(self, requests: Sequence[ScoreRequest], progress: Progress | None = None) -> Any:
        """Count, and pass on."""
        self._asked.judged += len(requests)
        return self._verifier.score(requests, progress)


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    """What the stages ask their models for meanwhile."""
    asked = Asked()

    def loaded(opened: tuple[Policy, Verifier]) -> tuple[Policy, Verifier]:
        asked.loaded += 2
        return opened

    def policy(opened: Policy) -> _CountedPolicy:
        asked.loaded += 1
        return _CountedPolicy(opened, asked)

    def verifier(opened: Verifier) -> _CountedVerifier:
        asked.loaded += 1
        return _CountedVerifier(opened, asked)

    with monkeypatch.context() as patched:
        for stage in (sample, revise):
            load = stage.open_policy
            patched.setattr(stage, "open_policy", lambda *given, load=load: policy(load(*given)))
        judge, both, tasks_for = score.open_verifier, search.open_both, search.tasks_for

        def tasks(spec: SearchSpec, problem: Problem, runs: Iterable[int]) -> list[Task]:
            begun = tasks_for(spec, problem, runs)
            asked.searched += len(begun)
            return begun

        patched.setattr(search, "tasks_for", tasks)
        patched.setattr(score, "open_verifier", lambda *given, **more: verifier(judge(*given, **more)))
        patched.setattr(search, "open_both", lambda *given: loaded(both(*given)))
        yield asked


def rows_of(table: Path) -> list[dict[str, Any]]:
    """A table's rows."""
    rows: list[dict[str, Any]] = pq.read_table(table).to_pylist()
    return rows


def assert_same(one: Path, other: Path) -> None:
    """The same table, and the same bytes of its ledger."""
    assert exact(one) == exact(other)
    assert one.with_suffix(".ledger.json").read_bytes() == other.with_suffix(".ledger.json").read_bytes()


def exact(path: Path) -> tuple[list[dict[str, Any]], bytes]:
    """Rows and metadata."""
    return rows_of(path), pq.read_schema(path).metadata[b"isoflop"]
