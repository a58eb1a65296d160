"""Label the steps of sampled solutions by Monte Carlo rollouts: what a process reward model learns from.

    python -m isoflop.stages.label SPEC PROBLEMS OUT.parquet

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
from isoflop.errors import UserError
from isoflop.files import (
    chunk_problems,
    read_spec,
    read_table,
    run_stage,
    table_metadata,
    unsandboxed_allowed,
    write_columns,
)
from isoflop.grading.grader import Grader, is_right, make_grader
from isoflop.seeds import derive_seed
from isoflop.specs import LabelSpec
from isoflop.stages.shared.chunks import Chunks, ProgressLine, fingerprint
from isoflop.stages.shared.models import devices_for, open_policy
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


class Labeller:
    """The policies of a spec, and what is asked of them."""

    def __init__(self, spec: LabelSpec, checkable: bool, grader: Grader) -> None:
        self._spec = spec
        self._checkable = checkable
        self._grader = grader
        self._loaded: dict[str, Policy] = {}
        self._devices = dict(zip(spec.policies, devices_for([*spec.policies.values()]), strict=True))
        self.line = ProgressLine(f"label {spec.name}", 0)

    def label(self, problems: Sequence[Problem]) -> tuple[pa.Table, dict[str, float]]:
        """Labelled solutions of `problems`, as a LABELS table, and a tally."""
        by_id = {problem["problem_id"]: problem for problem in problems}
        solutions: list[Written] = []
        for name in self._spec.label.policies:
            solutions += self._solutions(name, problems)
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
        completions = self._policy(self._spec.label.completer).generate(requests, self.line)
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

    def _solutions(self, name: str, problems: Sequence[Problem]) -> list[Written]:
        policy = self._spec.policies[name]
        samples = self._spec.label.samples_per_problem
        requests = [
            self._request(policy, problem, "", ("solution", name, sample), self._spec.label.max_tokens)
            for problem in problems
            for sample in range(samples)
        ]
        completions = self._policy(name).generate(requests, self.line)
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
            self._loaded[name] = open_policy(self._spec.policies[name], self._devices[name])
        return self._loaded[name]


def main(arguments: Sequence[str]) -> None:
    """Label what SPEC says."""
    if len(arguments) != 3:
        raise UserError("usage: python -m isoflop.stages.label SPEC PROBLEMS OUT.parquet")
    spec_text, problems_path, out = arguments
    spec = read_spec(LabelSpec, spec_text, "label")
    table = read_table(problems_path, PROBLEMS)
    problems = table.select(["problem_id", "prompt", "answer"]).to_pylist()
    checkable = table_metadata(table).get("source") == "wordproblems"
    size = chunk_problems(100)
    models = [policy.model for policy in spec.policies.values()]
    chunks = Chunks(out, fingerprint(f"{spec_text}{size}", [problems_path], models), size)
    with make_grader(spec.grader, allow_unsandboxed=unsandboxed_allowed()) as grader:
        labeller = Labeller(spec, checkable, grader)
        labels, totals = chunks.run(problems, labeller.label, lambda count: None)
        labeller.line.close()
    write_columns(out, labels, LABELS, {"tally": {name: totals[name] for name in ("solutions", "rollouts")}})
    chunks.remove()


if __name__ == "__main__":
    run_stage(main)
