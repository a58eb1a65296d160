"""Label the steps of sampled solutions by Monte Carlo rollouts: what a process reward model learns from.

Every policy of the spec writes solutions; the completer continues from every step of each. No person
and no reference solution is asked: only whether a rollout's final answer is right.
"""

from collections.abc import Sequence

import pyarrow as pa

from isoflop.config.models import Policy as PolicyConfig
from isoflop.data.word_problems import true_steps
from isoflop.engines.registry import Completion, GenerationRequest, Policy
from isoflop.engines.step_tags import untagged, untagged_text
from isoflop.engines.steps import split_steps, tokens_per_step
from isoflop.errors import run_main
from isoflop.files import read_table, table_metadata, write_columns
from isoflop.grading.grader import Grader, is_right, make_grader
from isoflop.seeds import derive_seed
from isoflop.specs import StepLabelsSpec
from isoflop.stages.shared.chunked import ChunkedTask, Started, Tally, run_chunked
from isoflop.stages.shared.chunks import ProgressLine
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.models import devices_for, open_policy
from isoflop.stages.shared.runtime import Runtime
from isoflop.tables import LABELS, PROBLEMS
from isoflop.training.step_labels import (
    Prefix,
    Written,
    continuations,
    distinct_solutions,
    open_prefixes,
    soft_labels,
)

Problem = dict[str, str]

# Problems in a chunk where nobody says how many.
_CHUNK = 100

_COMMAND = StageCommand(
    "step_labels",
    __doc__,
    File("problems", "table of problems"),
    File("out", "table of labels to write"),
)


class Labeller:
    """The policies of a spec, and what is asked of them."""

    def __init__(self, spec: StepLabelsSpec, checkable: bool, grader: Grader, runtime: Runtime) -> None:
        self._spec = spec
        self._checkable = checkable
        self._grader = grader
        self._runtime = runtime
        self._loaded: dict[str, Policy] = {}
        devices = devices_for([*spec.policies.values()], runtime)
        self._devices = dict(zip(spec.policies, devices, strict=True))

    def label(self, problems: Sequence[Problem], line: ProgressLine) -> tuple[pa.Table, Tally]:
        """Labelled solutions of `problems`, as a LABELS table, and a tally."""
        by_id = {problem["problem_id"]: problem for problem in problems}
        solutions: list[Written] = []
        for name in self._spec.label.policies:
            solutions += self._solutions(name, problems, line)
        outcomes = continuations(solutions, self._spec.label.completer)
        solutions = distinct_solutions(solutions)
        limit = self._spec.label.max_tokens
        completer = self._spec.policies[self._spec.label.completer]
        wanted: list[Prefix] = []
        requests = []
        for (problem_id, text), tokens in open_prefixes(solutions).items():
            known = outcomes.setdefault((problem_id, text), [])
            if tokens >= limit:
                # No rollout can end in time from where a whole solution's tokens are used up.
                known.append(False)
                continue
            for rollout in range(len(known), self._spec.label.rollouts):
                key = ("rollout", text, rollout)
                wanted.append((problem_id, text))
                requests.append(self._request(completer, by_id[problem_id], text, key, limit - tokens))
        completions = self._policy(self._spec.label.completer).generate(requests, line)
        for (problem_id, text), completion in zip(wanted, completions, strict=True):
            right = self._right(text + completion.text, completion, by_id[problem_id], completer)
            outcomes[problem_id, text].append(right)
        shares = {prefix: sum(rights) / len(rights) for prefix, rights in outcomes.items()}
        rows = {
            "problem_id": [solution.problem_id for solution in solutions],
            "prompt": [by_id[solution.problem_id]["prompt"] for solution in solutions],
            "policy": [solution.policy for solution in solutions],
            "steps": [
                untagged(solution.steps, self._spec.policies[solution.policy].step_tag)
                for solution in solutions
            ],
            "labels": [soft_labels(solution, shares) for solution in solutions],
            "truth": [
                true_steps(by_id[solution.problem_id]["prompt"], solution.steps) if self._checkable else None
                for solution in solutions
            ],
        }
        return pa.table(rows, schema=LABELS), {"solutions": len(solutions), "rollouts": len(requests)}

    def _solutions(self, name: str, problems: Sequence[Problem], line: ProgressLine) -> list[Written]:
        policy = self._spec.policies[name]
        samples = self._spec.label.samples_per_problem
        requests = [
            self._request(policy, problem, "", ("solution", name, sample), self._spec.label.max_tokens)
            for problem in problems
            for sample in range(samples)
        ]
        completions = self._policy(name).generate(requests, line)
        repeated = [problem for problem in problems for _ in range(samples)]
        return [
            self._written(name, policy, problem, completion)
            for problem, completion in zip(repeated, completions, strict=True)
        ]

    def _written(self, name: str, policy: PolicyConfig, problem: Problem, completion: Completion) -> Written:
        steps = split_steps(completion.text, policy.step_separator)
        return Written(
            problem["problem_id"],
            name,
            tuple(steps),
            self._right(completion.text, completion, problem, policy),
            tuple(tokens_per_step(completion.pieces, steps, policy.step_separator)),
        )

    def _request(
        self, policy: PolicyConfig, problem: Problem, begun: str, key: tuple[str, str, int], max_tokens: int
    ) -> GenerationRequest:
        return GenerationRequest(
            prompt=policy.prompt.format(problem=problem["prompt"]) + begun,
            seed=derive_seed("label", self._spec.seed, problem["problem_id"], *key),
            max_tokens=max_tokens,
            temperature=self._spec.label.temperature,
        )

    def _right(self, text: str, completion: Completion, problem: Problem, policy: PolicyConfig) -> bool:
        told, cut = untagged_text(text, policy.step_tag), completion.finish == "length"
        return is_right(self._grader, told, problem["answer"], truncated=cut)

    def _policy(self, name: str) -> Policy:
        if name not in self._loaded:
            self._loaded[name] = open_policy(self._spec.policies[name], self._runtime, self._devices[name])
        return self._loaded[name]


def main(arguments: Sequence[str]) -> None:
    """Label what SPEC says."""
    given = _COMMAND.read(StepLabelsSpec, arguments)
    spec, files = given.spec, given.files
    table = read_table(files.problems, PROBLEMS)
    checkable = table_metadata(table).get("source") == "wordproblems"

    def finish(labels: pa.Table, totals: Tally) -> None:
        tally = {name: totals[name] for name in ("solutions", "rollouts")}
        write_columns(files.out, labels, LABELS, {"tally": tally})

    task = ChunkedTask(
        out=files.out,
        size=given.runtime.chunk(_CHUNK),
        spec=given.text,
        inputs=[files.problems],
        models=[policy.model for policy in spec.policies.values()],
        items=table.select(["problem_id", "prompt", "answer"]).to_pylist(),
        schema=LABELS,
        what=f"label {spec.name}",
    )
    with make_grader(spec.grader, allow_unsandboxed=given.runtime.allow_unsandboxed) as grader:
        run_chunked(task, lambda: Started(Labeller(spec, checkable, grader, given.runtime).label, finish))


if __name__ == "__main__":
    run_main(main)
