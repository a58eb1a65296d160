"""The forecast beside what the ledgers measured: tables/plan.csv, and the report's table of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from isoflop.config_planning import Planning
from isoflop.forecast import Job
from isoflop.publishing import scientific
from isoflop.report_tables import Cell, HtmlTable

QUANTITIES = ("read", "written", "judged", "flops", "seconds")
COLUMNS = ("experiment", "stage", "policy", "generator", "quantity", "planned", "measured", "ratio")
_STAGES = ("sample", "revise", "search", "score")


@dataclass(frozen=True)
class Compared:
    """A job as planned, and what it took by quantity (`QUANTITIES`); None where there is no ledger."""

    planned: Job
    measured: Mapping[str, float] | None


def _parts(jobs: Sequence[Compared]) -> Iterator[tuple[tuple[str, str, str], list[Compared]]]:
    """Jobs with a ledger by stage, policy and generator; then each stage whole, under `all`."""
    for stage in _STAGES:
        own = [one for one in jobs if one.planned.stage == stage and one.measured is not None]
        for key in dict.fromkeys((one.planned.policy, one.planned.generator) for one in own):
            yield (stage, *key), [one for one in own if (one.planned.policy, one.planned.generator) == key]
        if own:
            yield (stage, "all", "all"), own


def _sums(jobs: Sequence[Compared], quantity: str) -> tuple[float, float]:
    planned = sum(float(getattr(one.planned, quantity)) for one in jobs)
    return planned, sum(one.measured[quantity] for one in jobs if one.measured is not None)


def plan_csv(jobs: Sequence[Compared], experiment: str) -> str:
    """tables/plan.csv: one row per part and quantity, those that are neither planned nor measured left out.

    Tokens `read` are the policy's prompts, `judged` the verifier's; FLOPs are those of cost model `total`,
    `seconds` those of the work on the clock. Six significant digits; an empty ratio is not determined.
    """
    rows = [
        (experiment, *key, quantity, *_rounded(*_sums(own, quantity)))
        for key, own in _parts(jobs)
        for quantity in QUANTITIES
        if any(_sums(own, quantity))
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.to_csv(index=False, lineterminator="\n")


def _rounded(planned: float, measured: float) -> tuple[str, str, str]:
    ratio = f"{measured / planned:.6g}" if planned else ""
    return f"{planned:.6g}", f"{measured:.6g}", ratio


def plan_table(jobs: Sequence[Compared], planning: Planning) -> HtmlTable:
    """The report's table: tokens, FLOPs and seconds, planned, measured, and their ratio."""
    rows = []
    for key, own in _parts(jobs):
        cells = [Cell(text) for text in key]
        read, written, judged, flops, seconds = (_sums(own, quantity) for quantity in QUANTITIES)
        tokens = tuple(map(sum, zip(read, written, judged, strict=True)))
        for planned, measured in (tokens, flops, seconds):
            cells += [Cell(scientific(planned)), Cell(scientific(measured))]
            cells.append(Cell(f"{measured / planned:.2g}" if planned else "–"))
        rows.append([Cell(cell.text, bold=key[1] == "all") for cell in cells])
    header = ["Stage", "Model", "Generator"]
    for name in ("Tokens", "FLOPs", "Seconds"):
        header += [f"{name}, planned", "measured", "ratio"]
    note = (
        f"What the config's assumptions (planning) say for {planning.gpu}, beside the ledgers, without the "
        "start of jobs. A ratio of tokens or FLOPs far from 1 speaks of lengths, one of seconds of the "
        "machine, which may be another than planned for. FLOPs are those of prompts, samples and verifier. "
        "By token kind: tables/plan.csv."
    )
    return HtmlTable("Plan and measurement", note, header, rows, text_columns=3)
