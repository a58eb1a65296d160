"""Write the forecast of a study that has run beside what its ledgers and tables say it took.

The forecast rests on the assumptions of the config alone, as before the run; only the number of problems and
the sizes of models are those that were found.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isoflop.config.models import checkpoint_name
from isoflop.config.planning import ModelUse
from isoflop.costs.flops import flops_kaplan, flops_total, search_flops
from isoflop.costs.shape import ModelShape
from isoflop.errors import UserError, run_main
from isoflop.files import of_run, open_parquet, read_ledger, read_parquet, read_table, table_metadata
from isoflop.fits.evidence_table import read_evidence
from isoflop.forecast.checkpoint_configs import CheckpointConfigs, key_width
from isoflop.forecast.measured import (
    Compared,
    intervals_compared,
    intervals_table,
    plan_csv,
    plan_table,
    seconds_csv,
    seconds_table,
)
from isoflop.forecast.time import Placed
from isoflop.forecast.work import Job, Known, PlanComparisonSpec, StudyWork, assumed_lengths, study_jobs
from isoflop.report.html_table import HtmlTable, markdown
from isoflop.results import write_result
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.ledgers import read_times
from isoflop.stages.shared.runtime import Runtime
from isoflop.tables import MEASURED

_COMMAND = StageCommand(
    "plan_comparison",
    __doc__,
    File("results", "the experiment's folder"),
    File("credits", "table of every credit"),
    File("plan_csv", "comparison to write, CSV"),
    File("plan_md", "the same for people, Markdown"),
    File("times_csv", "comparison of seconds to write, CSV"),
    File("times_md", "the same for people, Markdown"),
)


def main(arguments: Sequence[str]) -> None:
    """Write the tables of what is counted and of what a clock measured; raises UserError on bad input."""
    given = _COMMAND.read(PlanComparisonSpec, arguments)
    spec, files = given.spec, given.files
    credits = read_table(files.credits, MEASURED, further=True)
    jobs = compared(Path(files.results), spec.work, given.runtime)
    intervals = intervals_compared(spec.work, read_evidence(credits, table_metadata(credits), files.credits))
    write_result(files.plan_csv, plan_csv(jobs, spec.experiment, intervals))
    tables = [plan_table(jobs), intervals_table(intervals)]
    _write(files.plan_md, f"{spec.experiment}: plan and measurement", tables)
    write_result(files.times_csv, seconds_csv(jobs, spec.experiment))
    seconds = [seconds_table(jobs, spec.work.planning)]
    _write(files.times_md, f"{spec.experiment}: planned and measured seconds", seconds)


def _write(path: str, title: str, tables: Sequence[HtmlTable]) -> None:
    """Write tables under a title as Markdown, those with rows."""
    write_result(path, "\n".join([f"# {title}", "", *(markdown(table) for table in tables if table.rows)]))


def compared(results: Path, work: StudyWork, runtime: Runtime) -> list[Compared]:
    """Every job with a model, planned and measured; `results` is the experiment's folder."""
    found = _Found(results, work, runtime)
    known = Known(
        problems={name: found.problems(name) for name in work.datasets},
        lengths={
            (dataset, policy): assumed_lengths(work.planning, dataset, policy)
            for dataset, policy, _ in work.pools
        },
        policies={name: found.placed(name, use, "sample") for name, use in work.policies.items()},
        verifiers={name: found.placed(name, use, "score") for name, use in work.verifiers.items()},
        trained={},
        chunk_problems=runtime.chunk(),
    )
    return [Compared(job, found.measured(job, known)) for job in study_jobs(work, known)]


class _Found:
    """What a finished study's folder tells."""

    def __init__(self, results: Path, work: StudyWork, runtime: Runtime) -> None:
        self._results, self._work, self._runtime = results, work, runtime
        self._configs = CheckpointConfigs(offline=True)

    def problems(self, dataset: str) -> int:
        """How many problems a data set has."""
        path = self._results / "problems" / f"{dataset}.parquet"
        return int(open_parquet(path).metadata.num_rows)

    def placed(self, name: str, use: ModelUse, stage: str) -> Placed:
        """A model with the size that a ledger of its work names; as small as can be where it has none."""
        shape = next(self._shapes(name, stage), None) or _shape({})
        model = of_run(use.model, f"{self._results}/")
        content = self._configs.config(model, use.revision)
        given = self._runtime.of_model(checkpoint_name(use.model, use.revision))
        return Placed(
            shape,
            shape.attention_width if content is None else key_width(content),
            use.dtype,
            use.quantization,
            given.gpus,
            given.memory_share,
            vllm=use.engine == "vllm",
        )

    def _shapes(self, name: str, stage: str) -> Iterator[ModelShape]:
        for dataset, policy, generator in self._work.pools:
            path = self._results / stage / dataset / policy / f"{generator}.ledger.json"
            if stage == "score":
                path = path.with_name(generator) / f"{name}.ledger.json"
            ours = name in self._work.verifiers_of[generator] if stage == "score" else name == policy
            if ours and path.is_file():
                yield _shape(read_ledger(path).get("model"), path)

    def measured(self, job: Job, known: Known) -> dict[str, float] | None:
        """What a job took, by quantity; None where it left no ledger."""
        table = self._results / job.output
        path = table.with_name(f"{table.stem}.ledger.json")
        if not (path.is_file() and table.is_file()):
            return None
        policy = known.policies[job.policy].shape
        if job.stage in ("sample", "revise"):
            # Of one problem's samples the first pays for the prompt; every revision has a prompt of its own.
            columns = _columns(table, "candidate", "prompt_tokens", "tokens", "budget")
            copies = (columns["candidate"] == 0) | (columns["budget"] > 1)
            flops = flops_total(policy, columns["prompt_tokens"], columns["tokens"], copies)
            taken = {
                "read": float((copies * columns["prompt_tokens"]).sum()),
                "written": float(columns["tokens"].sum()),
                "judged": 0.0,
            }
        elif job.stage == "score":
            read = _columns(table, "verifier_tokens")["verifier_tokens"]
            flops = flops_kaplan(known.verifiers[job.verifier].shape, 0, read)
            taken = {"read": 0.0, "written": 0.0, "judged": float(read.sum())}
        else:
            usage = _columns(table, "prompt", "generated", "attended", "scored", "scored_attended")
            flops = search_flops(usage, policy, known.verifiers[job.verifier].shape)
            taken = {
                "read": float(usage["prompt"].sum()),
                "written": float(usage["generated"].sum()),
                "judged": float(usage["scored"].sum()),
            }
        return taken | {"flops": float(flops.sum()), "seconds": read_times(path).seconds or 0.0}


def _columns(table: Path, *names: str) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Columns of counts, without the texts beside them."""
    read = read_parquet(table, names)
    return {name: read[name].to_numpy().astype(np.float64) for name in names}


def _shape(model: object, path: Path | None = None) -> ModelShape:
    """The sizes in a ledger; of a model that has none, the least."""
    if not model:
        return ModelShape(parameters=1, embedding_parameters=0, layers=1, attention_width=1)
    try:
        sizes: dict[str, int] = dict(model)  # type: ignore[call-overload]
        return ModelShape(**{name: sizes[name] for name in ModelShape.model_fields.keys() & sizes.keys()})
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: its model has no sizes ({error}); delete it and run again") from error


if __name__ == "__main__":
    run_main(main)
