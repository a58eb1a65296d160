"""Tables in the layout of Wu et al. 2024, figures, and the one-file report.

    python -m isoflop.stages.publish SPEC RESULTS_DIR OUT_DIR

SPEC is the JSON of `isoflop.report.spec.PublishSpec`. Reads `tables/`, `fit/draws.parquet`, the ledgers, how
all candidates end and, for the report's samples, what a few say, under RESULTS_DIR; writes `tables/`
(publishing.TABLES), `figures/` (publishing.FIGURES as PNG and SVG) and `report.html` under OUT_DIR, usually
the same folder.
"""

import platform
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure

from isoflop.claims.gains import all_gains, gains_csv
from isoflop.claims.wu2024 import wu_claims
from isoflop.errors import UserError
from isoflop.files import (
    atomic_path,
    check_aligned,
    read_ledger,
    read_spec,
    read_table,
    run_stage,
    table_metadata,
    write_text,
)
from isoflop.fits.draws import DRAWS
from isoflop.fits.evidence_table import parameters, read_evidence
from isoflop.report.figures import style as figure_style
from isoflop.report.figures.curves import draw_all
from isoflop.report.figures.trees import DrawnTree, draw_trees, worth_drawing
from isoflop.report.findings import headline_markdown, headlines
from isoflop.report.html import Provenance, StageCost, render
from isoflop.report.paper_tables import table1, table3, table3_markdown, table4, table4_latex, table4_markdown
from isoflop.report.published import compare, published_csv, published_markdown, read_published
from isoflop.report.sample_counts import PoolCounts, counted, counts_table, samples_csv, unread_sentences
from isoflop.report.samples import Pool, Sample, choose_samples
from isoflop.report.spec import (
    Choice,
    PublishSpec,
    Revised,
    Tables,
    check_curves,
    cost_label,
    headline_strategy,
    intervals_note,
    largest_common_budget,
    setting,
    without_length,
)
from isoflop.search.tree import STOP
from isoflop.strategy import NO_ANSWER
from isoflop.tables import CANDIDATES, CURVES_COLUMNS, GRADES, MEASURED, PROBLEMS, SCORES, TREES
from isoflop.verdicts.judge import claims_csv

_KEYS = (
    "experiment", "dataset", "policy", "generator", "verifier", "selector", "step_aggregation", "subset",
    "cost_model", "fit", "parameter", "status", "note", "comparison", "right_budget", "claim", "row",
    "sentence", "quantifier", "interval", "decided", "problems_to_decide", "left", "right", "bin",
    "difficulty", "axis", "strategy", "family", "small", "large", "chosen", "baseline", "part", "statistic",
    "verdict", "place", "measure",
)  # fmt: skip
_PACKAGES = (
    "isoflop", "torch", "transformers", "tokenizers", "datasets", "math-verify", "numpy", "scipy", "pandas",
    "pyarrow", "pydantic", "matplotlib", "seaborn", "jinja2", "snakemake",
)  # fmt: skip
# Tokens of a ledger that are charged: a problem's prompt once.
_CHARGED = ("prompt_tokens_reused", "generated_tokens", "verifier_tokens")
# Problems of the first data rows that are looked through for samples worth reading.
_SEARCHED = 80
_KINDS = 4


def main(arguments: Sequence[str]) -> None:
    """Write everything; raises UserError on bad input."""
    if len(arguments) != 3:
        raise UserError("usage: python -m isoflop.stages.publish SPEC RESULTS_DIR OUT_DIR")
    spec = read_spec(PublishSpec, arguments[0], "publish")
    results, out = Path(arguments[1]), Path(arguments[2])
    tables = read_tables(results, spec)
    check_curves(tables.curves, spec, CURVES_COLUMNS)

    provenance = _provenance(results, spec)
    counts = _counts(results, provenance.costs)
    found = [
        replace(one, findings=(*one.findings, *unread_sentences(counts, one.dataset)))
        for one in headlines(tables, spec)
    ]
    paper = table4(tables.curves, spec)
    about_intervals = intervals_note(tables.curves, spec)
    caption = f"{spec.title}. FLOPs per problem: {cost_label(spec)}. {about_intervals}."
    write_text(out / "tables" / "table4.csv", paper.to_csv(index=False, lineterminator="\n"))
    write_text(out / "tables" / "table4.md", table4_markdown(paper, spec.datasets))
    latex = table4_latex(paper, spec.datasets, caption, f"tab:{spec.experiment}")
    write_text(out / "tables" / "table4.tex", latex)
    if spec.searches:
        lower = table1(tables.curves, spec)
        write_text(out / "tables" / "table1.csv", lower.to_csv(index=False, lineterminator="\n"))
        write_text(out / "tables" / "table1.md", table4_markdown(lower, spec.datasets))
    if spec.program_datasets:
        passed = table3(tables.curves, spec)
        write_text(out / "tables" / "table3.csv", passed.to_csv(index=False, lineterminator="\n"))
        write_text(out / "tables" / "table3.md", table3_markdown(passed, spec.program_datasets))
    published = None
    if spec.published:
        numbers = [read_published(path, _csv(Path(path))) for path in spec.published.files]
        published = compare(tables.curves, spec, pd.concat(numbers, ignore_index=True))
        write_text(out / "tables" / "published.csv", published_csv(published))
        write_text(out / "tables" / "published.md", published_markdown(published))
    about = setting(tables, spec)
    judged = [one for dataset in spec.datasets for one in wu_claims(tables.evidence[dataset], about)]
    tested = claims_csv(judged, spec.experiment)
    write_text(out / "tables" / "claims.csv", tested.to_csv(index=False, lineterminator="\n"))
    write_text(out / "tables" / "headline.md", headline_markdown(found, spec, about_intervals))
    write_text(out / "tables" / "headline.csv", _gains(tables, spec))

    write_text(out / "tables" / "samples.csv", samples_csv(counts, spec.experiment))

    figures = {}
    for name, figure in draw_all(tables, spec):
        figures[name] = _saved(figure, out / "figures" / name)
    if spec.searches:
        with figure_style.style():
            drawn = draw_trees(_trees(results, tables, spec))
        figures["search_trees"] = _saved(drawn, out / "figures" / "search_trees")

    html = render(
        tables,
        spec,
        paper,
        found,
        tested,
        figures=figures,
        samples={dataset: _samples(results, tables, spec, dataset) for dataset in spec.datasets},
        provenance=provenance,
        pools=counts_table(counts),
        published=published,
    )
    write_text(out / "report.html", html)


def _gains(tables: Tables, spec: PublishSpec) -> str:
    """The gains of the headlines as CSV."""
    about, budget = setting(tables, spec), largest_common_budget(tables.curves, spec)
    gains = {
        dataset: list(all_gains(tables.evidence[dataset], about, spec.search_names, budget))
        for dataset in spec.datasets
    }
    return gains_csv(gains, spec.experiment).to_csv(index=False, lineterminator="\n")


def _saved(figure: Figure, base: Path) -> bytes:
    """Write a figure in both formats; its SVG."""
    with atomic_path(base.with_suffix(".png")) as png, atomic_path(base.with_suffix(".svg")) as svg:
        figure_style.save(figure, png, svg)
    return base.with_suffix(".svg").read_bytes()


def read_tables(results: Path, spec: PublishSpec) -> Tables:
    """The tables under `results`, of the stages that the study has; chains of revisions are on their own."""
    curves = _csv(results / "tables" / "curves.csv")
    draws = read_table(results / "fit" / "draws.parquet", DRAWS)
    path = str(results / "fit" / "credits.parquet")
    measured = read_table(path, MEASURED)
    revised = None
    if spec.revisions:
        chains = without_length(curves["generator"]).isin(list(spec.revisions))
        revised = Revised(curves[chains], _csv(results / "tables" / "revisions.csv"))
        # Rows keep their numbers, which are those of the draws.
        curves = curves[curves["generator"].isin(spec.generators) & curves["policy"].isin(spec.policies)]
    return Tables(
        curves=curves,
        fits=_csv(results / "tables" / "fits.csv"),
        differences=_csv(results / "tables" / "differences.csv"),
        draws=draws.to_pandas(),
        evidence=read_evidence(measured, table_metadata(measured), path),
        parameters=parameters(measured),
        choice=_choice(results) if spec.choice else None,
        revised=revised,
    )


def _choice(results: Path) -> Choice:
    """The tables that the choose stage wrote."""
    names = ("by_difficulty", "compute_optimal", "exchange", "claims_snell2024", "exchange_curves")
    return Choice(*(_csv(results / "tables" / f"{name}.csv") for name in names))


def _csv(path: Path) -> pd.DataFrame:
    """A table whose names stay text, even a level `1` or a model called `NA`; empty cells are NaN."""
    try:
        return pd.read_csv(path, dtype=dict.fromkeys(_KEYS, str), keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error}); delete it and run again") from error


def _counts(results: Path, costs: Sequence[StageCost]) -> list[PoolCounts]:
    """How the solutions end of every pool that curves are from; chains of every length are one pool."""
    curves = _csv(results / "tables" / "curves.csv")
    names = curves.assign(generator=without_length(curves["generator"]))
    pools = names[["dataset", "policy", "generator", "tokens_estimated"]].drop_duplicates()
    too_long: dict[str, int] = {}
    for cost in costs:
        if cost.stage == "score":
            pool = cost.job.rpartition("/")[0]
            too_long[pool] = max(too_long.get(pool, 0), cost.too_long)
    found = []
    for dataset, policy, generator, estimated in pools.itertuples(index=False):
        base = f"{dataset}/{policy}/{generator}"
        paths = [str(results / stage / f"{base}.parquet") for stage in ("sample", "grade")]
        columns = ["problem_id", "candidate", "finish", "tokens", "source"]
        candidates = read_table(paths[0], CANDIDATES, columns)
        grades = read_table(paths[1], GRADES, ["problem_id", "candidate", "answer_class"])
        check_aligned(grades, paths[1], candidates, paths[0])
        found.append(
            counted(
                (dataset, policy, generator),
                finished=pc.equal(candidates["finish"], STOP).to_numpy(),
                answered=pc.not_equal(grades["answer_class"], NO_ANSWER).to_numpy(),
                tokens=candidates["tokens"].to_numpy().astype(np.int64),
                too_long=too_long.get(base, 0),
                tokens_estimated=str(estimated).lower() == "true",
                imported=candidates["source"].null_count == 0,
            )
        )
    return found


def _samples(results: Path, tables: Tables, spec: PublishSpec, dataset: str) -> list[Sample]:
    """Samples of the middle-sized policy, and of the others where it lacks a kind."""
    if not spec.verifiers:
        return []
    generator = headline_strategy(tables.curves, spec).generator
    middle = len(spec.policies) // 2
    ordered = sorted(spec.policies, key=lambda policy: abs(spec.policies.index(policy) - middle))
    pools: list[Pool] = []
    samples: list[Sample] = []
    scored = tables.curves[
        (tables.curves["generator"] == generator) & (tables.curves["verifier"] == spec.verifiers[0])
    ]
    have = set(scored.loc[scored["dataset"] == dataset, "policy"])
    for policy in (name for name in ordered if name in have):
        pools += _pools(results, dataset, policy, generator, spec.verifiers[0])
        samples = choose_samples(pools, spec.headline.step_aggregation)
        if len(samples) == _KINDS:
            break
    return samples


def _trees(results: Path, tables: Tables, spec: PublishSpec) -> list[DrawnTree]:
    """A tree of every search, of the first data set and the policy in the middle, at the smallest budget."""
    dataset, policy = spec.datasets[0], spec.policies[len(spec.policies) // 2]
    base = Path(dataset) / policy
    found = []
    for generator in spec.search_names:
        own = tables.curves[tables.curves["generator"] == generator]
        budget = int(own["budget"].min()) if len(own) else 0
        path = results / "search" / base / generator / f"{budget}.parquet"
        if not path.is_file():
            continue
        grades = {
            (row["problem_id"], row["candidate"]): row["correct"]
            for row in read_table(results / "grade" / base / f"{generator}.parquet", GRADES).to_pylist()
        }
        chosen = worth_drawing(
            [
                _drawn(row, f"{generator}, budget {budget}", grades)
                for row in read_table(path, TREES).slice(0, _SEARCHED).to_pylist()
                if row["run"] == 0
            ]
        )
        if chosen is not None:
            found.append(chosen)
    return found


def _drawn(row: dict[str, Any], title: str, grades: dict[tuple[str, int], bool]) -> DrawnTree:
    """The candidates of a problem are numbered from its first budget and run on."""
    nodes = row["nodes"]
    return DrawnTree(
        title,
        [node["parent"] for node in nodes],
        [node["score"] for node in nodes],
        {
            last: grades[(row["problem_id"], number)] if nodes[last]["ended"] else None
            for number, last in enumerate(row["candidates"])
        },
    )


def _pools(results: Path, dataset: str, policy: str, generator: str, verifier: str) -> list[Pool]:
    """The candidates of the first problems, those of medium level first: they go wrong, and are short."""
    base = Path(dataset) / policy
    problems = read_table(results / "problems" / f"{dataset}.parquet", PROBLEMS).slice(0, _SEARCHED)
    ids = problems["problem_id"]
    parts = [
        read_table(results / "sample" / base / f"{generator}.parquet", CANDIDATES),
        read_table(results / "grade" / base / f"{generator}.parquet", GRADES),
        read_table(results / "score" / base / generator / f"{verifier}.parquet", SCORES),
    ]
    candidates, grades, scores = (_rows_by_problem(part, ids) for part in parts)
    rows = sorted(problems.to_pylist(), key=lambda row: abs((row["level"] or 3) - 3))
    return [
        Pool(
            policy=policy,
            level=row["level"],
            prompt=row["prompt"],
            answer=row["answer"],
            steps=[one["steps"] for one in candidates.get(row["problem_id"], [])],
            step_scores=[one["step_scores"] for one in scores.get(row["problem_id"], [])],
            answers=[one["answer"] for one in grades.get(row["problem_id"], [])],
            correct=[one["correct"] for one in grades.get(row["problem_id"], [])],
        )
        for row in rows
    ]


def _rows_by_problem(table: pa.Table, ids: pa.ChunkedArray) -> dict[str, list[dict[str, Any]]]:
    kept = table.filter(pc.is_in(table["problem_id"], value_set=pa.array(ids.to_pylist(), pa.string())))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in kept.to_pylist():
        found.setdefault(row["problem_id"], []).append(row)
    return found


def _ledgers(results: Path, spec: PublishSpec) -> list[Path]:
    """The ledgers of this experiment's jobs, not those that an earlier config left in the folder."""
    shown = product(spec.datasets, spec.policies, spec.generators)
    pools = {*shown, *spec.pools}
    verifiers = {*spec.verifiers, *chain.from_iterable(spec.revisions.values())}
    policies = dict.fromkeys([*spec.policies, *(policy for _, policy, _ in spec.pools)])
    return [
        path
        for stage in ("sample", "score")
        for dataset in spec.datasets
        for policy in policies
        for path in sorted((results / stage / dataset / policy).rglob("*.ledger.json"))
        if (dataset, policy, path.relative_to(results).parts[3].removesuffix(".ledger.json")) in pools
        and (stage == "sample" or path.name.removesuffix(".ledger.json") in verifiers)
    ]


def _provenance(results: Path, spec: PublishSpec) -> Provenance:
    costs, machines = [], [f"report: {platform.platform()}, Python {platform.python_version()}"]
    for path in _ledgers(results, spec):
        ledger = read_ledger(path)
        stage, *rest = path.relative_to(results).parts
        job = "/".join(rest).removesuffix(".ledger.json")
        counted = [ledger.get(name) for name in _CHARGED]
        tokens = [value for value in counted if isinstance(value, int)]
        seconds, model = ledger.get("seconds"), ledger.get("model")
        size = model.get("parameters") if isinstance(model, dict) else None
        costs.append(
            StageCost(
                stage=stage,
                job=job,
                seconds=float(seconds) if isinstance(seconds, int | float) else None,
                tokens=sum(tokens) if tokens else None,
                parameters=size if isinstance(size, int) else None,
                too_long=int(ledger.get("too_long", 0)),
                candidates=ledger.get("candidates"),
            )
        )
        machine = ledger.get("machine")
        if isinstance(machine, dict):
            text = f"{stage}: " + ", ".join(f"{key} {value}" for key, value in sorted(machine.items()))
            if text not in machines:
                machines.append(text)
    return Provenance(commit=_commit(), versions=_versions(), machines=machines, costs=costs)


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """The commit of the code that runs, read now so that a new commit alone makes nothing run again."""
    here = str(Path(__file__).resolve().parent)
    commands = (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
    outputs = []
    for command in commands:
        try:
            done = subprocess.run(
                ["git", "--no-optional-locks", "-C", here, *command],
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            )
        except (OSError, subprocess.SubprocessError):
            return "unknown"
        outputs.append(done.stdout.strip())
    commit, changes = outputs
    return f"{commit}, with uncommitted changes" if changes else commit


if __name__ == "__main__":
    run_stage(main)
