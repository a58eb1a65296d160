"""Label the answers of chains right or wrong: what an outcome verifier of revisions learns from.

Both outputs are tables of labels whose solutions have one step, the whole answer. The prompts of OUT have
the answers before it in them; those of ALONE are the problem's own.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from isoflop.engines.step_tags import untagged_text
from isoflop.errors import run_main
from isoflop.files import read_table, write_columns
from isoflop.grading.grader import Grader, is_right, make_grader
from isoflop.search.revision_texts import with_attempts
from isoflop.search.revisions import Chain, write_chains
from isoflop.specs import ChainLabelsSpec
from isoflop.stages.shared.chunked import ChunkedTask, Started, Tally, run_chunked
from isoflop.stages.shared.chunks import ProgressLine
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.models import open_policy
from isoflop.tables import LABELS, PROBLEMS

Problem = dict[str, str]
Row = dict[str, object]

# In the chunks, which hold both outputs.
_BOTH = LABELS.append(pa.field("alone", pa.bool_(), nullable=False))

_COMMAND = StageCommand(
    "chain_labels",
    __doc__,
    File("problems", "table of problems"),
    File("out", "table of labels to write, of prompts with the answers before"),
    File("alone", "table of labels to write, of the problems' own prompts"),
)


def label_rows(
    spec: ChainLabelsSpec, problem: Problem, chains: Sequence[Chain], grader: Grader
) -> Iterator[Row]:
    """Rows of both outputs, each distinct answer after the same attempts once; `alone` tells them apart."""
    seen: set[tuple[str, str]] = set()
    for chain in chains:
        texts = [untagged_text(answer.text, spec.policy.step_tag) for answer in chain.answers]
        for place, (text, answer) in enumerate(zip(texts, chain.answers, strict=True)):
            right = is_right(grader, text, problem["answer"], truncated=answer.finish == "length")
            shown = with_attempts(spec.chains, chain.problem, texts[:place], spec.chains.history)
            for alone, prompt in ((False, shown), (True, chain.problem)):
                key = (f"{alone}{prompt}", text)
                if key not in seen:
                    seen.add(key)
                    yield {
                        "problem_id": problem["problem_id"],
                        "prompt": prompt,
                        "policy": spec.chains.policy,
                        "steps": [text],
                        "labels": [float(right)],
                        "truth": None,
                        "alone": alone,
                    }


def main(arguments: Sequence[str]) -> None:
    """Write the chains that SPEC asks for and label their answers."""
    given = _COMMAND.read(ChainLabelsSpec, arguments)
    spec, files = given.spec, given.files
    settings = spec.chains
    problems = read_table(files.problems, PROBLEMS).select(["problem_id", "prompt", "answer"]).to_pylist()
    per_problem = settings.chains * settings.length

    def start() -> Started[Problem]:
        policy = open_policy(spec.policy, given.runtime)

        def work(chunk: Sequence[Problem], line: ProgressLine) -> tuple[pa.Table, Tally]:
            own = [
                [
                    Chain(one["prompt"], settings.length, (spec.seed, one["problem_id"], number))
                    for number in range(settings.chains)
                ]
                for one in chunk
            ]
            write_chains(policy, spec.policy.prompt, settings, [chain for one in own for chain in one], line)
            rows = [
                row
                for problem, chains in zip(chunk, own, strict=True)
                for row in label_rows(spec, problem, chains, grader)
            ]
            right = sum(1 for row in rows if row["labels"] == [1.0] and not row["alone"])
            return pa.Table.from_pylist(rows, schema=_BOTH), {
                "answers": len(chunk) * per_problem,
                "labels": sum(1 for row in rows if not row["alone"]),
                "right": right,
            }

        return Started(work, finish)

    def finish(both: pa.Table, totals: Tally) -> None:
        tally = {name: int(value) for name, value in totals.items() if name != "seconds"}
        alone = both["alone"]
        for path, kept in ((files.alone, alone), (files.out, pc.invert(alone))):
            write_columns(path, both.filter(kept).drop_columns(["alone"]), LABELS, {"tally": tally})

    task = ChunkedTask(
        out=files.out,
        size=given.runtime.chunk(),
        spec=given.text,
        inputs=[files.problems],
        models=[spec.policy.model],
        items=problems,
        schema=_BOTH,
        what=f"chain_labels {spec.name}",
        requests=len(problems) * per_problem,
    )
    unsafe = given.runtime.allow_unsandboxed
    with make_grader(spec.grader, choices=spec.choices, allow_unsandboxed=unsafe) as grader:
        run_chunked(task, start)


if __name__ == "__main__":
    run_main(main)
