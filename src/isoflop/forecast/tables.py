"""A forecast as text, JSON and CSV."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from isoflop.config.planning import Planning
from isoflop.forecast.claim_precision import (
    PrecisionForecast,
    claim_rows,
    comparison_rows,
    precision_notes,
    untested,
)
from isoflop.forecast.half_widths import Expected
from isoflop.forecast.work import Job, Ranged

STAGES = (
    "problems", "trajectories", "chain_labels", "step_labels", "train", "sample", "revise", "search",
    "gather_trees", "replay", "score", "grade", "select", "fit", "report",
)  # fmt: skip
_COUNTED = ("requests", "read", "written", "judged", "flops", "disk")
_HEADER = (
    "stage", "policy", "generator", "jobs", "done", "requests", "tokens read", "tokens written", "FLOPs",
    "{hours}", "(low to high)", "disk",
)  # fmt: skip
_TEXT_COLUMNS = 3


@dataclass(frozen=True)
class Forecast:
    """All jobs of an experiment, which of them are done, what is assumed, what does not fit, and what the
    study will decide. `left`: of every job the share of its requests that nobody has computed.
    """

    experiment: str
    planning: Planning
    jobs: Sequence[Ranged]
    done: Sequence[bool]
    notes: Sequence[str]
    faults: Sequence[str]
    precision: PrecisionForecast
    left: Sequence[float] = ()

    def to_do(self) -> list[tuple[Ranged, bool]]:
        """The jobs that are not done, each with what is left of it."""
        shares = self.left or [1.0] * len(self.jobs)
        waiting = zip(self.jobs, self.done, shares, strict=True)
        return [(ranged.part(share), False) for ranged, done, share in waiting if not done]


@dataclass(frozen=True)
class Sum:
    """Some jobs taken together; GPU-hours with their range, disk in bytes."""

    jobs: int
    done: int
    requests: float
    read: float
    written: float
    judged: float
    flops: float
    disk: float
    gpu_hours: float
    gpu_hours_low: float
    gpu_hours_high: float


def total(jobs: Iterable[tuple[Ranged, bool]]) -> Sum:
    """The sum of some jobs."""
    some = list(jobs)
    counted = {name: sum(getattr(ranged.job, name) for ranged, _ in some) for name in _COUNTED}
    return Sum(
        jobs=len(some),
        done=sum(done for _, done in some),
        **counted,
        gpu_hours=sum(ranged.job.gpu_seconds for ranged, _ in some) / 3600,
        gpu_hours_low=sum(ranged.low for ranged, _ in some) / 3600,
        gpu_hours_high=sum(ranged.high for ranged, _ in some) / 3600,
    )


def groups(forecast: Forecast) -> list[tuple[tuple[str, str, str], Sum]]:
    """Sums by stage, policy and generator, each stage's own after its parts under policy `all`."""
    pairs = list(zip(forecast.jobs, forecast.done, strict=True))
    sums = []
    for stage in STAGES:
        of_stage = [(ranged, done) for ranged, done in pairs if ranged.job.stage == stage]
        keys = dict.fromkeys((ranged.job.policy, ranged.job.generator) for ranged, _ in of_stage)
        parts = [
            ((stage, *key), total(pair for pair in of_stage if _key(pair[0].job) == key)) for key in keys
        ]
        if any(part.gpu_hours for _, part in parts) and len(parts) > 1:
            sums += parts
        if of_stage:
            sums.append(((stage, "all", ""), total(of_stage)))
    return sums


def as_text(forecast: Forecast) -> str:
    """Tables and assumptions for a terminal."""
    pairs = list(zip(forecast.jobs, forecast.done, strict=True))
    hours = "core-hours" if forecast.planning.gpu == "cpu" else "GPU-hours"
    rows = [[name.format(hours=hours) for name in _HEADER]]
    rows += [_row(key, sums) for key, sums in groups(forecast)]
    rows.append(_row(("all", "", ""), total(pairs)))
    if 0 < sum(forecast.done) < len(pairs):
        rows.append(_row(("still to do", "", ""), total(forecast.to_do())))
    lines = [f"{forecast.experiment}: what it takes on {forecast.planning.gpu}", "", *_aligned(rows), ""]
    lines += _precision(forecast.precision)
    notes = (*forecast.notes, *_assumptions(forecast.planning), *precision_notes(forecast.precision))
    lines += ["Assumptions", *(f"  {note}" for note in notes)]
    if forecast.faults:
        lines += ["", "Does not fit", *(f"  {fault}" for fault in forecast.faults)]
    return "\n".join(lines) + "\n"


def as_json(forecast: Forecast) -> str:
    """Everything, job by job; numbers as computed."""
    pairs = list(zip(forecast.jobs, forecast.done, strict=True))
    content = {
        "experiment": forecast.experiment,
        "planning": forecast.planning.model_dump(mode="json"),
        "notes": list(forecast.notes),
        "faults": list(forecast.faults),
        "precision": {name: value for name, value in asdict(forecast.precision).items() if name != "planning"}
        | {"comparisons": [_comparison(compared) for compared in forecast.precision.comparisons]},
        "total": asdict(total(pairs)),
        "still_to_do": asdict(total(forecast.to_do())),
        "stages": {
            stage: asdict(total(pair for pair in pairs if pair[0].job.stage == stage))
            for stage in STAGES
            if any(ranged.job.stage == stage for ranged, _ in pairs)
        },
        "jobs": _all_fields(forecast),
    }
    return json.dumps(content, indent=1) + "\n"


def as_csv(forecast: Forecast) -> str:
    """One row per job."""
    return pd.DataFrame(_all_fields(forecast), dtype=object).to_csv(index=False, lineterminator="\n")


def _all_fields(forecast: Forecast) -> list[dict[str, object]]:
    shares = forecast.left or [float(not done) for done in forecast.done]
    jobs = zip(forecast.jobs, forecast.done, shares, strict=True)
    return [_fields(ranged, done, share) for ranged, done, share in jobs]


def _fields(ranged: Ranged, done: bool, left: float) -> dict[str, object]:
    return {
        **asdict(ranged.job),
        "gpu_hours": ranged.job.gpu_seconds / 3600,
        "gpu_hours_low": ranged.low / 3600,
        "gpu_hours_high": ranged.high / 3600,
        "done": done,
        "left": left,
    }


def _precision(precision: PrecisionForecast) -> list[str]:
    """What the study will decide; nothing where it only trains models."""
    if not (precision.comparisons or precision.claims):
        return []
    lines = ["What it will decide", ""]
    for rows in (comparison_rows(precision), claim_rows(precision)):
        lines += [*_aligned(rows), ""] if len(rows) > 1 else []
    lines += [*untested(precision), *(f"Warning: {line}" for line in precision.warnings)]
    return [*lines, ""]


def _comparison(compared: Expected) -> dict[str, object]:
    content = compared.comparison.model_dump(mode="json")
    return content | {
        "problems": compared.problems,
        "half_width": compared.half_width,
        "needed": compared.needed,
    }


def _key(job: Job) -> tuple[str, str]:
    return job.policy, job.generator


def _row(key: tuple[str, str, str], total: Sum) -> list[str]:
    hours = ["", ""]
    if total.gpu_hours:
        hours = [
            _hours(total.gpu_hours),
            f"({_hours(total.gpu_hours_low)} to {_hours(total.gpu_hours_high)})",
        ]
    read = total.read + total.judged
    counts = [amount(value) if value else "" for value in (total.requests, read, total.written)]
    flops = f"{total.flops:.1e}".replace("e+", "e") if total.flops else ""
    disk = f"{amount(total.disk)}B" if total.disk else ""
    return [*key, str(total.jobs), str(total.done), *counts, flops, *hours, disk]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < _TEXT_COLUMNS else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def amount(value: float) -> str:
    """A count for reading: 6580000 -> 6.6M."""
    for unit, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g}{unit}"
    return f"{value:.3g}"


def _hours(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def _assumptions(planning: Planning) -> list[str]:
    """What the time rests on, in sentences with the keys of `planning` beside the values."""
    share, computed, spread = planning.utilisation, planning.computed, planning.spread
    return [
        f"gpu {planning.gpu}; of its roofline, prefill reaches {share.prefill:g}, decode {share.decode:g}, "
        f"training {share.training:g} (utilisation)",
        f"{planning.batch_size} solutions written at once (batch_size), fewer where a chunk or memory "
        f"holds fewer; {planning.batch_tokens:,} tokens read in a pass (batch_tokens)",
        f"beside the GPU {planning.pass_seconds:g} s a pass, {planning.token_seconds:g} s a generated token; "
        f"{planning.start_seconds:g} s to start a job, weights loaded at {planning.load_bandwidth:.1e} B/s",
        f"of sampled answers {planning.right_share:g} are right (right_share), which trajectories end in",
        f"policies compute {computed.policy:g} of the tokens, verifiers {computed.verifier:g} (computed); "
        f"a verifier reads {planning.mark_tokens:g} more a step (mark_tokens)",
        f"low to high: solutions shorter and longer by {spread.tokens:g}, speed by {spread.speed:g} (spread)",
        "each prompt read once; stages without a model are counted and not timed, programs' tests included",
    ]
