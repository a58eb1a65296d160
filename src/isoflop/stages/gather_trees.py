"""One search's trees, a table per budget, as one candidate set with its scores and its usage.

SPEC is the JSON of `isoflop.specs.GatherTreesSpec`; one pair of trees and ledger per budget it names, in
its order, each with its measured times beside. The candidates of a problem are numbered on over budgets and
runs.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from isoflop.errors import UserError, run_main
from isoflop.files import read_ledger, read_table, table_metadata, write_columns
from isoflop.growth.measured import Times, read_times
from isoflop.search.tree import ROOT, STOP, UNFINISHED
from isoflop.specs import GatherTreesSpec
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.ledgers import summed, write_ledger, write_times
from isoflop.tables import CANDIDATES, SCORES, TREES, USAGE

# What is summed over the budgets' ledgers, by the role that it is charged to.
_POLICY_TOTALS = ("candidates", "generated_tokens", "looked_tokens", "prompt_tokens", "prompt_tokens_reused")
_VERIFIER_TOTALS = ("candidates", "verifier_tokens", "verifier_tokens_reused")

_COMMAND = StageCommand(
    "gather_trees",
    __doc__,
    File("trees", "each budget's trees and their ledger, in turn", many="+", shown="TREES LEDGER"),
    File("candidates", "table of candidates to write"),
    File("ledger", "what the policy took, to write as JSON"),
    File("scores", "table of scores to write"),
    File("scores_ledger", "what the verifier took, to write as JSON"),
    File("usage", "table of what every tree took, to write"),
)

Row = dict[str, Any]


def solution(nodes: Sequence[Row], last: int) -> tuple[list[Row], int, str]:
    """The steps on the way to node `last`, their tokens in all, and how they finished.

    An empty last step is no step: its end token belongs to the one before.
    """
    path = []
    at = last
    while at != ROOT:
        path.append(nodes[at])
        at = nodes[at]["parent"]
    steps = path[::-1]
    tokens = sum(step["tokens"] for step in steps)
    finish = STOP if nodes[last]["ended"] else UNFINISHED
    if len(steps) > 1 and nodes[last]["ended"] and not nodes[last]["text"].strip():
        steps = [*steps[:-2], steps[-2] | {"tokens": steps[-2]["tokens"] + steps[-1]["tokens"]}]
    return steps, tokens, finish


def candidate_rows(budgets: Sequence[tuple[int, list[Row]]]) -> Iterator[tuple[Row, Row]]:
    """Rows of CANDIDATES and SCORES, problem by problem, in the order of the first budget's table."""
    trees: dict[str, list[tuple[int, Row]]] = {}
    for budget, rows in budgets:
        for row in rows:
            trees.setdefault(row["problem_id"], []).append((budget, row))
    for problem, searches in trees.items():
        number = 0
        for budget, row in searches:
            for last in row["candidates"]:
                steps, tokens, finish = solution(row["nodes"], last)
                key = {"problem_id": problem, "candidate": number}
                yield (
                    key
                    | {
                        "steps": [step["text"] for step in steps],
                        "step_tokens": [step["tokens"] for step in steps],
                        "finish": finish,
                        "prompt_tokens": row["prompt"],
                        "tokens": tokens,
                        "logprob": sum(step["logprob"] for step in steps),
                        "source": None,
                        "budget": budget,
                        "run": row["run"],
                    },
                    key
                    | {
                        "step_scores": [step["score"] for step in steps],
                        # What a search reads is counted for the tree, not for its solutions.
                        "verifier_tokens": 0,
                    },
                )
                number += 1


def usage_rows(budget: int, rows: Sequence[Row]) -> Iterator[Row]:
    """Rows of USAGE."""
    for row in rows:
        yield {name: row[name] for name in USAGE.names if name in row} | {"budget": budget}


def main(arguments: Sequence[str]) -> None:
    """Read all trees and write the five outputs; raises UserError on bad input."""
    given = _COMMAND.read(GatherTreesSpec, arguments)
    spec, files, pairs = given.spec, given.files, given.files.trees
    if len(pairs) % 2:
        raise _COMMAND.fault("every table of trees comes with its ledger")
    if len(pairs) != 2 * len(spec.budgets):
        raise UserError(f"budgets: {len(spec.budgets)} named, but {len(pairs) // 2} tables of trees given")
    tables = [read_table(path, TREES) for path in pairs[::2]]
    ledgers = [read_ledger(Path(path)) for path in pairs[1::2]]
    trees = [(budget, table.to_pylist()) for budget, table in zip(spec.budgets, tables, strict=True)]
    problems = {tuple(dict.fromkeys(row["problem_id"] for row in rows)) for _, rows in trees}
    if len(problems) != 1:
        raise UserError(
            f"{pairs[0]} and the other budgets' trees have other problems; delete them and run again"
        )
    models = table_metadata(tables[0])
    both = list(candidate_rows(trees))
    candidates = pa.Table.from_pylist([one for one, _ in both], schema=CANDIDATES)
    scores = pa.Table.from_pylist([one for _, one in both], schema=SCORES)
    usage = pa.Table.from_pylist(
        [row for budget, rows in trees for row in usage_rows(budget, rows)],
        schema=USAGE,
    )
    write_columns(files.candidates, candidates, CANDIDATES, {"model": models["model"]})
    write_ledger(files.ledger, _totals(ledgers, _POLICY_TOTALS), models["model"], _notes(models))
    write_columns(files.scores, scores, SCORES, {"model": models["verifier"]})
    write_ledger(files.scores_ledger, _totals(ledgers, _VERIFIER_TOTALS), models["verifier"])
    write_columns(files.usage, usage, USAGE, models)
    of_policy, of_verifier = _times(spec.budgets, [read_times(path) for path in pairs[1::2]])
    write_times(files.ledger, of_policy)
    write_times(files.scores_ledger, of_verifier)


def _notes(models: Row) -> list[str]:
    """What the trees' metadata tell readers."""
    notes = models.get("notes", [])
    assert isinstance(notes, list)  # as the search writes it
    return notes


def _totals(ledgers: Sequence[Row], names: Sequence[str]) -> dict[str, float]:
    """What one model did over all budgets."""
    return {name: sum(ledger[name] for ledger in ledgers) for name in names}


def _times(budgets: Sequence[int], parts: Sequence[Times]) -> tuple[Times, Times]:
    """The policy's and the verifier's times over all budgets; those by budget are of both."""
    whole = summed(parts)
    scoring = whole.scoring_seconds or 0.0
    shared = {"machines": whole.machines, "ended": whole.ended}
    known = {
        str(budget): part.seconds
        for budget, part in zip(budgets, parts, strict=True)
        if part.seconds is not None
    }
    rest = None if whole.seconds is None else whole.seconds - scoring
    return (
        Times.model_validate(shared | {"seconds": rest, "by_budget": known, "settled": whole.settled}),
        Times.model_validate(shared | {"seconds": whole.scoring_seconds}),
    )


if __name__ == "__main__":
    run_main(main)
