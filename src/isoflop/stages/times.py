"""How long the jobs of a study took, on what machines, and how long a strategy takes on a problem.

SPEC is the JSON of `isoflop.specs.TimesSpec`. Reads the ledgers and measured times of the jobs it names under
RESULTS; one table of seconds per pool it names, in its order.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from isoflop.costs.clock import JobTime, Problems, by_stage, jobs_csv, seconds_csv, seconds_rows
from isoflop.errors import UserError, run_main
from isoflop.files import read_ledger, read_table, table_metadata
from isoflop.report.html_table import Cell, HtmlTable, markdown
from isoflop.results import write_result
from isoflop.specs import TimesSpec
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.ledgers import read_times
from isoflop.tables import MEASURED, SECONDS

_COMMAND = StageCommand(
    "times",
    __doc__,
    File("results", "the experiment's folder"),
    File("credits", "table of every credit"),
    File("seconds", "tables of seconds", many="*"),
    File("seconds_csv", "seconds per problem to write, CSV"),
    File("jobs_csv", "seconds of every job to write, CSV"),
    File("times_md", "the same for people, Markdown"),
)
# Tokens of a ledger that are charged: a problem's prompt once.
_CHARGED = ("prompt_tokens_reused", "generated_tokens", "verifier_tokens")


def main(arguments: Sequence[str]) -> None:
    """Write the three files; raises UserError on bad input."""
    given = _COMMAND.read(TimesSpec, arguments)
    spec, files = given.spec, given.files
    if len(files.seconds) != len(spec.pools):
        raise UserError(
            f"pools: the specification names {len(spec.pools)}, but {len(files.seconds)} tables are given"
        )
    about = table_metadata(read_table(files.credits, MEASURED, further=True))["problems"]
    assert isinstance(about, dict)  # as the fit writes it
    problems = {
        name: Problems(one["ids"], np.array(one["levels"], dtype=np.int64)) for name, one in about.items()
    }
    rows = [
        row
        for pool, path in zip(spec.pools, files.seconds, strict=True)
        for row in seconds_rows(
            spec.experiment, pool, read_table(path, SECONDS).to_pandas(), problems[pool[0]], path
        )
    ]
    write_result(files.seconds_csv, seconds_csv(rows))
    jobs = list(_jobs(Path(files.results), spec))
    write_result(files.jobs_csv, jobs_csv(jobs, spec.experiment))
    write_result(files.times_md, f"# {spec.experiment}: measured times\n\n{markdown(_table(jobs))}")


def _jobs(results: Path, spec: TimesSpec) -> Iterator[JobTime]:
    """The jobs that the specification names, in its order."""
    for stage, made in spec.jobs:
        path = results / made
        ledger = read_ledger(path) if path.suffix == ".json" else {}
        counted = [value for name in _CHARGED if isinstance(value := ledger.get(name), int)]
        times = read_times(path)
        yield JobTime(
            stage=stage,
            # Without the folder of what is made, which the stage tells.
            job=made.partition("/")[2].removesuffix(".ledger.json"),
            seconds=times.seconds,
            scoring_seconds=times.scoring_seconds,
            driver_seconds=times.driver_seconds,
            tokens=sum(counted) if counted else None,
            ended=times.ended,
            machines=tuple(
                ", ".join(f"{key} {value}" for key, value in sorted(one.items())) for one in times.machines
            ),
        )


def _table(jobs: Sequence[JobTime]) -> HtmlTable:
    """Seconds and tokens of every job, and their sum by stage."""
    rows = []
    for stage, of_stage in by_stage(jobs).items():
        rows += [_row(stage, job.job, job.seconds, job.tokens) for job in of_stage]
        seconds = [job.seconds for job in of_stage if job.seconds is not None]
        tokens = [job.tokens for job in of_stage if job.tokens is not None]
        whole = _row(stage, "all", sum(seconds), sum(tokens) or None)
        rows.append([Cell(cell.text, bold=True) for cell in whole])
    machines = dict.fromkeys(f"{job.stage}: {one}" for job in jobs for one in job.machines)
    note = "\n".join(
        [
            "",
            "Tokens charged: each prompt once, all that candidates wrote, all the verifier was given; what "
            "they have in common is computed once, so fewer are computed. Stages without a model keep no "
            "time. Seconds per problem of every strategy: seconds.csv; beside those planned: plan.md.",
            "",
            *(f"- {machine}" for machine in machines),
        ]
    )
    return HtmlTable("Time by stage", note, ["Stage", "Job", "Seconds", "Tokens", "Tokens/s"], rows, 2)


def _row(stage: str, job: str, seconds: float | None, tokens: int | None) -> list[Cell]:
    texts = (
        stage,
        job,
        "–" if seconds is None else f"{seconds:,.1f}",
        "–" if tokens is None else f"{tokens:,}",
        f"{tokens / seconds:,.0f}" if tokens and seconds else "–",
    )
    return [Cell(text) for text in texts]


if __name__ == "__main__":
    run_main(main)
