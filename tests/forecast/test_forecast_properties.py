"""What holds for every forecast, whatever the sizes and lengths."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planned import known, placed, study

from isoflop.config.planning import Planning
from isoflop.forecast.claim_precision import PrecisionForecast
from isoflop.forecast.tables import Forecast, groups, total
from isoflop.forecast.tokens import Lengths
from isoflop.forecast.work import Ranged, ranged, study_jobs

LENGTHS = st.builds(
    Lengths,
    prompt=st.floats(1, 500),
    solution=st.floats(1, 200),
    steps=st.floats(1, 12),
    measured=st.booleans(),
)
KINDS = st.sampled_from(["rebase", "beam", "dvts", "lookahead", "mcts"])
COUNTED = ("requests", "read", "written", "judged", "flops", "disk", "seconds")


def searching(kind: str, *budgets: int) -> dict[str, Any]:
    return {"kind": kind, "budgets": list(budgets), "max_tokens": 300, "max_step_tokens": 50}


@settings(max_examples=40, deadline=None)
@given(kind=KINDS, lengths=LENGTHS)
def test_tokens_and_flops_grow_with_the_budget(kind: str, lengths: Lengths) -> None:
    work = study({"tree": searching(kind, 4, 8, 16, 32)}, ("prm",))
    jobs = study_jobs(work, known(lengths=lengths))
    assert [job.budget for job in jobs] == [4, 8, 16, 32]
    for less, more in pairwise(jobs):
        # Of a search that ends early, more expansions change nothing.
        assert more.written >= less.written
        assert more.flops >= less.flops
        assert more.requests >= less.requests
        assert more.read == less.read


@settings(max_examples=40, deadline=None)
@given(
    lengths=LENGTHS,
    problems=st.integers(1, 300),
    parts=st.integers(2, 4),
    chunk=st.integers(1, 300),
    kind=KINDS,
)
def test_what_is_cut_in_parts_takes_as_much(
    lengths: Lengths, problems: int, parts: int, chunk: int, kind: str
) -> None:
    """Neither chunks nor dealing problems out to several jobs change tokens, FLOPs or disk."""
    work = study(
        {"sampling": {"kind": "sampling", "samples": 4, "max_tokens": 300}, "tree": searching(kind, 8)},
        ("prm",),
    )
    whole = study_jobs(work, known(problems, lengths, chunk_problems=25))
    other = study_jobs(work, known(problems, lengths, chunk_problems=chunk))
    sizes = [problems // parts + (part < problems % parts) for part in range(parts)]
    shares = [study_jobs(work, known(size, lengths)) for size in sizes if size]
    for place, job in enumerate(whole):
        for name in COUNTED[:-1]:
            assert getattr(other[place], name) == getattr(job, name)
            assert sum(getattr(share[place], name) for share in shares) == pytest.approx(getattr(job, name))


@settings(max_examples=40, deadline=None)
@given(lengths=LENGTHS, tokens=st.floats(1, 4), speed=st.floats(1, 4), gpus=st.integers(1, 8))
def test_the_range_holds_the_forecast(lengths: Lengths, tokens: float, speed: float, gpus: int) -> None:
    work = study(
        {"greedy": {"kind": "greedy", "max_tokens": 100}, "tree": searching("rebase", 8)},
        ("prm",),
        spread={"tokens": tokens, "speed": speed},
    )
    facts = known(lengths=lengths, policy=placed(width=8, gpus=gpus))
    for one in ranged(lambda scaled: study_jobs(work, scaled), facts, work.planning):
        assert 0 < one.low <= one.job.gpu_seconds * (1 + 1e-9)
        assert one.job.gpu_seconds <= one.high * (1 + 1e-9)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_plan_is_the_sum_of_its_jobs(data: st.DataObject) -> None:
    work = study({"greedy": {"kind": "greedy", "max_tokens": 100}, "tree": searching("beam", 4, 8)}, ("prm",))
    jobs = study_jobs(work, known(lengths=data.draw(LENGTHS)))
    some = [Ranged(job, job.gpu_seconds / 2, job.gpu_seconds * 2) for job in jobs]
    done = data.draw(st.lists(st.booleans(), min_size=len(some), max_size=len(some)))
    nothing = PrecisionForecast(Planning(), 0.95, [], [], [], [])
    forecast = Forecast("x", Planning(), some, done, [], [], nothing)
    whole = total(zip(some, done, strict=True))
    parts = [one for key, one in groups(forecast) if key[1] == "all"]
    for name in ("jobs", "done", "requests", "read", "written", "judged", "flops", "disk", "gpu_hours"):
        assert sum(getattr(part, name) for part in parts) == pytest.approx(getattr(whole, name))
    assert whole.flops == pytest.approx(sum(job.flops for job in jobs))
    assert (whole.jobs, whole.done) == (len(jobs), sum(done))


@settings(max_examples=40, deadline=None)
@given(lengths=LENGTHS, factor=st.floats(1, 3))
def test_a_larger_model_or_longer_solutions_never_take_less(lengths: Lengths, factor: float) -> None:
    work = study({"sampling": {"kind": "sampling", "samples": 4, "max_tokens": 1000}}, ("prm",))
    base = study_jobs(work, known(lengths=replace(lengths, measured=False)))
    longer = study_jobs(work, known(lengths=replace(lengths, measured=False).scaled(factor)))
    larger = study_jobs(work, known(lengths=lengths, policy=placed(10_000_000), verifier=placed(10_000_000)))
    for less, more, heavy in zip(base, longer, larger, strict=True):
        assert more.flops >= less.flops * (1 - 1e-9)
        assert more.seconds >= less.seconds * (1 - 1e-9)
        assert heavy.flops == pytest.approx(10 * less.flops)
        assert heavy.gpu_seconds >= less.gpu_seconds * (1 - 1e-9)
