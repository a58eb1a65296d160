"""Search: every problem of a data set, one policy guided by one verifier, one budget, all runs.

SPEC is the JSON of `isoflop.specs.SearchSpec`. OUT holds the whole trees. Each step draws on its own
randomness, fixed by the experiment's seed, the search's kind and budget, the problem, the run and the step's
place in the tree, whatever the batch, chunk or shard it is in.
"""

import gc
from collections.abc import Sequence

import pyarrow as pa

from isoflop.errors import UserError, run_main
from isoflop.files import Problem, read_prompts
from isoflop.search.driver import Driver, Task, Texts
from isoflop.search.registry import new_tree, nominal_samples, start
from isoflop.specs import SearchSpec
from isoflop.stages.shared.chunked import ChunkedTask, Started, Tally, run_chunked
from isoflop.stages.shared.chunks import ProgressLine, write_measured
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.models import open_both
from isoflop.tables import TREES

_COMMAND = StageCommand(
    "search",
    __doc__,
    File("problems", "table of problems"),
    File("out", "table of trees to write; a shard's part of it where the name says so"),
    File("ledger", "what the search took, to write as JSON"),
)


def tasks_for(spec: SearchSpec, problem: Problem) -> list[Task]:
    """One search per run of one problem."""
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
    for run in range(generator.runs):
        tree = new_tree(generator)
        key = (generator.kind, budget, problem_id, run)
        tasks.append(Task(key, texts, tree, start(generator, budget, tree)))
    return tasks


def trees_table(spec: SearchSpec, problems: Sequence[Problem], tasks: Sequence[Task]) -> pa.Table:
    """The finished `tasks`, all runs of each problem in turn, as a TREES table."""
    runs = spec.generator.runs
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
        for (problem_id, run), task in zip(
            ((problem_id, run) for problem_id, _ in problems for run in range(runs)), tasks, strict=True
        )
    ]
    return pa.Table.from_pylist(rows, schema=TREES)


def main(arguments: Sequence[str]) -> None:
    """Search what SPEC says and write the trees and their ledger."""
    given = _COMMAND.read(SearchSpec, arguments)
    spec, files = given.spec, given.files
    if len(spec.generator.budgets) != 1:
        raise UserError(f"generator.budgets: {len(spec.generator.budgets)} given; a job searches at one")
    problems = read_prompts(files.problems)

    def start() -> Started[Problem]:
        policy, verifier = open_both(spec.policy, spec.verifier, given.runtime)
        # What is loaded stays: the collector, which visits all that lives again and again, may pass it by.
        gc.freeze()
        driver = Driver(policy, verifier, spec.seed)

        def work(chunk: Sequence[Problem], line: ProgressLine) -> tuple[pa.Table, Tally]:
            tasks = [task for problem in chunk for task in tasks_for(spec, problem)]
            before = driver.scoring_seconds, driver.own_seconds
            driver.run(tasks, line)
            usage = [task.usage for task in tasks]
            return trees_table(spec, chunk, tasks), {
                "searches": len(tasks),
                "candidates": sum(len(task.candidates) for task in tasks),
                "generated_tokens": sum(one.generated for one in usage),
                "looked_tokens": sum(one.looked for one in usage),
                "prompt_tokens": sum(one.read_again for one in usage),
                "prompt_tokens_reused": sum(one.prompt for one in usage),
                "verifier_tokens": sum(one.scored_again for one in usage),
                "verifier_tokens_reused": sum(one.scored for one in usage),
                "scoring_seconds": driver.scoring_seconds - before[0],
                "driver_seconds": driver.own_seconds - before[1],
            }

        def finish(trees: pa.Table, totals: Tally) -> None:
            shapes = (policy.shape, verifier.shape)
            write_measured(files.out, files.ledger, trees, TREES, totals, *shapes)

        return Started(work, finish)

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
    run_chunked(task, start)


if __name__ == "__main__":
    run_main(main)
