"""What a report quotes beside the curves: how solutions end, samples worth reading, trees of searches."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from isoflop.files import check_aligned, read_table, table_metadata
from isoflop.report.figures.trees import DrawnTree, worth_drawing
from isoflop.report.html import StageCost
from isoflop.report.lookup import Tables, headline_strategy, without_length
from isoflop.report.sample_counts import PoolCounts, PublishedGrades, counted
from isoflop.report.samples import Pool, Sample, choose_samples
from isoflop.report.spec import ReportSpec
from isoflop.search.tree import STOP
from isoflop.stages.shared.study_tables import read_csv
from isoflop.strategy import NO_ANSWER
from isoflop.tables import CANDIDATES, GRADES, PROBLEMS, SCORES, TREES

# Problems of the first data rows that are looked through for samples worth reading.
_SEARCHED = 80
_KINDS = 4


def read_counts(
    results: Path, costs: Sequence[StageCost], counted_generators: Sequence[str] = ()
) -> list[PoolCounts]:
    """How the solutions end of every pool that curves are from; chains of every length are one pool.

    `counted_generators`: those that import counts, without solutions.
    """
    curves = read_csv(results / "tables" / "curves.csv")
    names = curves.assign(generator=without_length(curves["generator"]))
    pools = names[["dataset", "policy", "generator", "tokens_estimated"]].drop_duplicates()
    too_long: dict[str, int] = {}
    for cost in costs:
        if cost.stage == "score":
            pool = cost.job.rpartition("/")[0]
            too_long[pool] = max(too_long.get(pool, 0), cost.too_long)
    found = []
    # Counts have no candidates.
    pools = pools[~pools["generator"].isin(counted_generators)]
    for dataset, policy, generator, estimated in pools.itertuples(index=False):
        base = f"{dataset}/{policy}/{generator}"
        paths = [str(results / stage / f"{base}.parquet") for stage in ("sample", "grade")]
        columns = ["problem_id", "candidate", "finish", "tokens", "source", "thinking_tokens"]
        candidates = read_table(paths[0], CANDIDATES, columns)
        grades = read_table(paths[1], GRADES, ["problem_id", "candidate", "answer_class"])
        check_aligned(grades, paths[1], candidates, paths[0])
        codes, ids = pd.factorize(candidates["problem_id"].to_pandas())
        undecided = table_metadata(grades).get("undecided_candidates")
        published = table_metadata(grades).get("published")
        found.append(
            counted(
                (dataset, policy, generator),
                problems=codes.astype(np.int64),
                undecided=None
                if not isinstance(undecided, dict)
                else np.array([undecided.get(name, 0) for name in ids]),
                finished=pc.equal(candidates["finish"], STOP).to_numpy(),
                answered=pc.not_equal(grades["answer_class"], NO_ANSWER).to_numpy(),
                tokens=candidates["tokens"].to_numpy().astype(np.int64),
                too_long=too_long.get(base, 0),
                tokens_estimated=str(estimated).lower() == "true",
                imported=candidates["source"].null_count == 0,
                published=_published_grades(published) if isinstance(published, dict) else None,
                thinking=candidates["thinking_tokens"].to_numpy().astype(np.float64),
            )
        )
    return found


def _published_grades(found: dict[str, Any]) -> PublishedGrades:
    """What the grade stage says of the files' own grades."""
    return PublishedGrades(**{field.name: found[field.name] for field in fields(PublishedGrades)})


def read_samples(results: Path, tables: Tables, spec: ReportSpec, dataset: str) -> list[Sample]:
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


def read_trees(results: Path, tables: Tables, spec: ReportSpec) -> list[DrawnTree]:
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
