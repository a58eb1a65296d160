"""Search: every problem of a data set, one policy guided by one verifier, one budget, all runs.

SPEC is the JSON of `isoflop.specs.SearchSpec`. OUT holds the whole trees. Each step draws on its own
randomness, fixed by the experiment's seed, the search's kind and budget, the problem, the run and the step's
place in the tree, whatever the batch, chunk or shard it is in.
"""

import gc
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from isoflop.errors import UserError, run_main
from isoflop.files import Problem, read_prompts
from isoflop.growth.wanted import tree_rows
from isoflop.search.driver import Driver, Task, Texts
from isoflop.search.registry import new_tree, nominal_samples, start
from isoflop.specs import SearchSpec
from isoflop.stages.shared.chunked import ChunkedTask, Tally
from isoflop.stages.shared.chunks import ProgressLine, write_measured
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.grown import Making, Part, run_grown
from isoflop.stages.shared.models import about_policy, open_both
from isoflop.tables import TREES

_COMMAND = StageCommand(
    "search",
    __doc__,
    File("problems", "table of problems"),
    File("out", "table of trees to write; a shard's part of it where the name says so"),
    File("ledger", "what the search took, to write as JSON"),
)

# By its name in the ledger: the column of TREES that it is the sum of.
_COUNTED = {
    "generated_tokens": "generated",
    "looked_tokens": "looked",
    "prompt_tokens": "read_again",
    "prompt_tokens_reused": "prompt",
    "verifier_tokens": "scored_again",
    "verifier_tokens_reused": "scored",
}


def tasks_for(spec: SearchSpec, problem: Problem, runs: Iterable[int]) -> list[Task]:
    """The searches of one problem, by the numbers of their runs."""
    problem_id, text = problem
    generator, budget = spec.generator, spec.generator.budgets[0]
    texts = Texts(
        spec.policy.prompt.format(problem=text),
        spec.verifier.prompt.format(problem=text),
        spec.policy.step_separator,
        tag=spec.policy.step_tag,
        **generator.drawing(),
    )
    tasks = []
    for run in runs:
        tree = new_tree(generator)
        key = (generator.kind, budget, problem_id, run)
        tasks.append(Task(key, texts, tree, start(generator, budget, tree)))
    return tasks


def trees_table(spec: SearchSpec, numbered: Sequence[tuple[str, int]], tasks: Sequence[Task]) -> pa.Table:
    """The finished `tasks` as a TREES table; `numbered`: the problem and run of each."""
    nominal = nominal_samples(spec.generator, spec.generator.budgets[0])
    rows = [
        {
            "problem_id": problem_id,
            "run": run,
            "nodes": [
                {
                    "parent": node.parent,
                    "text": node.step.text,
                    "tokens": node.step.count,
                    "ended": node.step.ended,
                    "logprob": node.step.logprob,
                    "score": node.score,
                    "value": node.value,
                    "visits": node.visits,
                }
                for node in task.tree.nodes
            ],
            "candidates": task.candidates,
            "nominal_samples": nominal,
            **vars(task.usage),
        }
        for (problem_id, run), task in zip(numbered, tasks, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=TREES)


def tally(trees: pa.Table) -> Tally:
    """What a table of trees counts for."""
    totals = {ledger: pc.sum(trees[column]).as_py() for ledger, column in _COUNTED.items()}
    candidates = pc.sum(pc.list_value_length(trees["candidates"])).as_py()
    return {"searches": trees.num_rows, "candidates": candidates, **totals}


def main(arguments: Sequence[str]) -> None:
    """Search what SPEC says and write the trees and their ledger."""
    given = _COMMAND.read(SearchSpec, arguments)
    spec, files = given.spec, given.files
    if len(spec.generator.budgets) != 1:
        raise UserError(f"generator.budgets: {len(spec.generator.budgets)} given; a job searches at one")
    problems = read_prompts(files.problems)

    def start() -> Making[Problem]:
        policy, verifier = open_both(spec.policy, spec.verifier, given.runtime)
        # What is loaded stays: the collector, which visits all that lives again and again, may pass it by.
        gc.freeze()
        driver = Driver(policy, verifier, spec.seed)

        def make(part: Part[Problem], line: ProgressLine) -> tuple[pa.Table, Tally]:
            tasks, numbered = [], []
            for problem, keys in zip(part.items, part.missing, strict=True):
                runs = [int(run) for _, run in keys]
                tasks += tasks_for(spec, problem, runs)
                numbered += [(problem[0], run) for run in runs]
            before = driver.scoring_seconds, driver.own_seconds, policy.settled
            driver.run(tasks, line)
            return trees_table(spec, numbered, tasks), {
                "scoring_seconds": driver.scoring_seconds - before[0],
                "driver_seconds": driver.own_seconds - before[1],
                "settled": policy.settled - before[2],
            }

        return Making(make, about_policy(policy) | {"verifier": verifier.shape.model_dump()})

    def finish(trees: pa.Table, seconds: Tally, about: dict[str, Any]) -> None:
        write_measured(files.out, files.ledger, trees, TREES, tally(trees) | seconds, about)

    task = ChunkedTask(
        out=files.out,
        size=given.runtime.chunk(),
        spec=given.text,
        inputs=[files.problems],
        models=[spec.policy.model, spec.verifier.model],
        items=problems,
        schema=TREES,
        what=f"{spec.generator.kind} {spec.policy.checkpoint}",
        requests=len(problems) * spec.generator.runs,
        ledger=files.ledger,
    )
    run_grown(task, tree_rows(spec), start, finish, reuse=given.runtime.reuse)


if __name__ == "__main__":
    run_main(main)
