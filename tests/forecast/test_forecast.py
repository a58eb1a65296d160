"""Forecasts against what can be worked out by hand, and what does not fit a GPU."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from planned import LENGTHS, known, placed, study

from isoflop.config.planning import Planning
from isoflop.config.training import (
    ChainLabelConfig,
    Init,
    LabelConfig,
    LabelData,
    LlamaShape,
    PolicyTraining,
    PrmTraining,
    SolutionData,
    TrajectoryConfig,
)
from isoflop.costs import ModelShape, flops_kaplan, flops_total
from isoflop.forecast.time import (
    ACCELERATORS,
    batch,
    memory_fault,
    read_seconds,
    shared_fault,
    start_seconds,
    training_fault,
    weight_bytes,
    write_seconds,
)
from isoflop.forecast.tokens import Lengths
from isoflop.forecast.training import (
    LearntData,
    chain_labels_job,
    label_job,
    train_job,
    trajectories_job,
)
from isoflop.forecast.work import assumed_lengths, ranged, search_gpus, study_jobs

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases/forecasts.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_jobs_by_hand(case: dict[str, Any]) -> None:
    work = study({"made": case["generator"]}, tuple(case.get("verifiers", ())))
    jobs = study_jobs(work, known())
    assert len(jobs) == len(case["jobs"])
    for job, expected in zip(jobs, case["jobs"], strict=True):
        found = {name: getattr(job, name) for name in expected}
        assert found == {
            name: value if isinstance(value, str) else pytest.approx(value)
            for name, value in expected.items()
        }


def test_attention_is_that_of_the_cost_models() -> None:
    work = study({"made": {"kind": "sampling", "samples": 8, "max_tokens": 1000}}, ("prm",))
    sample, score = study_jobs(work, known(policy=placed(width=64), verifier=placed(width=32)))
    policy, verifier = (
        ModelShape(parameters=1_000_000, embedding_parameters=0, layers=1, attention_width=width)
        for width in (64, 32)
    )
    assert sample.flops == pytest.approx(800 * flops_total(policy, 100, 50, 1 / 8))
    assert score.flops == pytest.approx(800 * flops_kaplan(verifier, 0, 155))


# H100-80, at full utilisation and without overheads, so that the roofline can be read off.
IDEAL = Planning(
    utilisation={"prefill": 1.0, "decode": 1.0, "training": 1.0},
    pass_seconds=0,
    token_seconds=0,
    start_seconds=0,
)  # type: ignore[arg-type]
BILLION = placed(1_000_000_000, dtype="bfloat16")


def test_decoding_a_few_is_bound_by_memory_and_many_by_computing() -> None:
    # One at a time: 2e9 bytes of weights for every token.
    assert write_seconds(BILLION, IDEAL, 2e9 * 1000, 1000, 1, 0) == pytest.approx(1000 * 2e9 / 3350e9)
    # 1024 at once: 2e9 FLOPs a token are more.
    assert write_seconds(BILLION, IDEAL, 2e9 * 1000, 1000, 1024, 0) == pytest.approx(1000 * 2e9 / 989e12)
    # Keys and values are moved for every token.
    wide = placed(1_000_000_000, width=1024, dtype="bfloat16")
    moved = 2e9 / 64 + 5000 * 2 * 1024 * 2
    assert write_seconds(wide, IDEAL, 0, 1000, 64, 5000) == pytest.approx(1000 * moved / 3350e9)
    assert write_seconds(replace(BILLION, gpus=2), IDEAL, 2e12, 1000, 1, 0) == pytest.approx(
        1e3 * 1e9 / 3350e9
    )


def test_reading_in_float32_runs_at_its_own_peak() -> None:
    flops = 2e9 * 8192
    assert read_seconds(BILLION, IDEAL, flops, 8192) == pytest.approx(flops / 989e12)
    single = replace(BILLION, dtype="float32")
    assert read_seconds(single, IDEAL, flops, 8192) == pytest.approx(flops / 67e12)


def test_overheads_and_the_start() -> None:
    slow = IDEAL.model_copy(update={"pass_seconds": 0.5, "token_seconds": 0.25, "start_seconds": 60.0})
    assert write_seconds(BILLION, slow, 0, 100, 10, 0) == pytest.approx(10 * 0.5 + 25 + 10 * 2e9 / 3350e9)
    assert start_seconds([BILLION, BILLION], slow) == pytest.approx(60 + 4)


def test_a_batch_is_what_waits_what_is_wanted_or_what_fits() -> None:
    wide = placed(1_000_000_000, width=1024, dtype="bfloat16")  # 4096 bytes a token
    assert batch(wide, IDEAL, 10, 1000) == 10
    assert batch(wide, IDEAL, 1e6, 1000) == IDEAL.batch_size
    held = math.floor((80e9 * 0.9 - 2e9) / (1e6 * 4096))
    assert batch(wide, IDEAL, 1e6, 1e6) == held
    assert batch(wide, IDEAL, 1e6, 1e9) == 1


@pytest.mark.parametrize(
    ("dtype", "quantization", "expected"),
    [
        ("float32", None, 4),
        ("bfloat16", None, 2),
        ("float16", "awq_marlin", 0.5625),
        ("bfloat16", "fp8", 1),
        ("bfloat16", "compressed-tensors", 2),
    ],
)
def test_bytes_of_a_weight(dtype: str, quantization: str | None, expected: float) -> None:
    assert weight_bytes(dtype, quantization) == expected


def test_what_does_not_fit_is_told_with_what_to_do() -> None:
    large = placed(34_000_000_000, width=8192, dtype="bfloat16")
    assert memory_fault(large, IDEAL, 1000) is None  # 68 GB of 72
    fault = memory_fault(replace(large, dtype="float32"), IDEAL, 1000)
    assert fault is not None
    for part in ("136.0 GB for weights", "1 x H100-80 at memory_share 0.9 has 72.0 GB", "gpus: 2 or more"):
        assert part in fault
    assert memory_fault(replace(large, dtype="float32", gpus=2), IDEAL, 1000) is None
    assert memory_fault(large, IDEAL, 1_000_000) is not None
    assert memory_fault(replace(large, memory_share=0.5), IDEAL, 1000) is not None
    both = shared_fault(large, large, IDEAL)
    assert both is not None
    assert "136.0 GB" in both
    assert shared_fault(BILLION, BILLION, IDEAL) is None
    assert training_fault(1_000_000_000, IDEAL) is None
    trained = training_fault(7_000_000_000, IDEAL)
    assert trained is not None
    assert "112.0 GB for weights, gradients and Adam" in trained
    assert "one H100-80 has 80.0 GB; set gpus: 2 or more" in trained
    assert training_fault(7_000_000_000, IDEAL, gpus=2) is None
    both = training_fault(12_000_000_000, IDEAL, gpus=2)
    assert both is not None
    assert "2 x H100-80 have 160.0 GB; set gpus: 3 or more" in both
    huge = training_fault(70_000_000_000, IDEAL, gpus=64)
    assert huge is not None
    assert "each must first hold all weights (280.0 GB): train elsewhere" in huge


def test_gpus_of_a_search() -> None:
    def both(**settings: Any) -> tuple[Any, Any]:
        return placed(**settings), placed(gpus=2, **settings)

    assert search_gpus(*both()) == 2
    assert search_gpus(*both(vllm=True)) == 3
    assert search_gpus(*both(vllm=True, memory_share=0.45)) == 2


def test_lengths_of_a_policy_go_before_those_of_a_data_set() -> None:
    planning = Planning.model_validate(
        {
            "steps": 7.0,
            "datasets": {"words": {"solution_tokens": 30.0, "prompt_tokens": 20.0}},
            "policies": {"small": {"solution_tokens": 40.0}},
        }
    )
    assert assumed_lengths(planning, "words", "small") == Lengths(20, 40, 7)
    assert assumed_lengths(planning, "words", "large") == Lengths(20, 30, 7)
    assert assumed_lengths(planning, "other", "large") == Lengths(200, 400, 7)


def test_measured_lengths_leave_only_the_speed_uncertain() -> None:
    work = study({"made": {"kind": "sampling", "samples": 8, "max_tokens": 1000}}, start_seconds=0)
    for lengths, widest in ((LENGTHS, 2.9), (replace(LENGTHS, measured=True), 2.0)):
        [one] = ranged(lambda facts: study_jobs(work, facts), known(lengths=lengths), work.planning)
        assert one.job.gpu_seconds / 3.2 < one.low < one.job.gpu_seconds / 1.99
        assert one.high / one.job.gpu_seconds >= widest - 0.9
    assert one.low == pytest.approx(one.job.gpu_seconds / 2)
    assert one.high == pytest.approx(one.job.gpu_seconds * 2)


LABEL = LabelConfig(
    problems="words",
    policies=("small",),
    samples_per_problem=2,
    completer="small",
    rollouts=3,
    max_tokens=1000,
)


def test_labels_by_hand() -> None:
    # 200 solutions of 50 tokens; from each of their 4 beginnings 2 rollouts beside the solution itself, of 25
    # tokens after 125.
    job = label_job("rollouts", LABEL, Planning(), known())
    assert (job.stage, job.requests) == ("step_labels", 200 + 1600)
    assert job.read == 100 * 100 + 1600 * 125
    assert job.written == 200 * 50 + 1600 * 25
    assert job.flops == pytest.approx(2e6 * (job.read + job.written))


def test_trainings_by_hand() -> None:
    recipe: dict[str, Any] = {"epochs": 2, "batch_size": 8, "learning_rate": 0.1, "seed": 1}
    shape = LlamaShape(hidden_size=8, layers=1, heads=1, kv_heads=1, intermediate_size=8)
    policy = PolicyTraining(
        kind="policy",
        init=Init(architecture=shape),
        data=SolutionData(dataset="words", held_out="words"),
        held_out_samples=1,
        **recipe,
    )
    facts = replace(known(), lengths={("words", "base"): LENGTHS}, trained={"base": placed()})
    job = train_job("base", policy, LearntData(), Planning(), facts)
    # 100 examples of 150 tokens, twice, at 6 N; held out once at 2 N; 100 solutions of 50 tokens at 2 N.
    assert job.read == 2 * 100 * 150
    assert job.written == 100 * 50
    assert job.flops == pytest.approx(6e6 * 30_000 + 2e6 * 15_000 + 2e6 * 5_000)
    assert job.disk == 1_000_000 * (4 + 12)
    spread = train_job(
        "base", policy.model_copy(update={"gpus": 4, "held_out_samples": 0}), LearntData(), IDEAL, facts
    )
    alone = train_job("base", policy.model_copy(update={"held_out_samples": 0}), LearntData(), IDEAL, facts)
    assert (spread.gpus, alone.gpus) == (4, 1)
    assert spread.flops == alone.flops
    assert alone.seconds / 4 < spread.seconds < alone.seconds
    prm = PrmTraining(
        kind="prm", init=Init(trained="base"), data=LabelData(labels="l", held_out="l"), **recipe
    )
    job = train_job(
        "prm", prm, LearntData({"l": LABEL}), Planning(), replace(known(), trained={"prm": placed()})
    )
    # 200 labelled solutions with five tags, twice.
    assert job.read == 2 * 200 * 155
    assert job.flops == pytest.approx(6e6 * 62_000 + 2e6 * 31_000)


def test_a_verifier_with_history_reads_the_answers_before() -> None:
    chains = {"kind": "revisions", "chains": 1, "length": 4, "history": 4, "max_tokens": 1000}
    work = study({"made": chains}, ("prm",))
    seeing = work.verifiers["prm"].model_copy(update={"history": 2})
    _, score = study_jobs(work.model_copy(update={"verifiers": {"prm": seeing}}), known())
    # 155 tokens, and 0, 1, 2 and 2 attempts of 50.
    assert score.judged == 100 * (4 * 155 + 5 * 50)
    assert score.flops == pytest.approx(2e6 * score.judged)


def test_revisions_wait_for_the_answer_before() -> None:
    chains = {"kind": "revisions", "chains": 4, "length": 4, "history": 1, "max_tokens": 1000}
    sampling = {"kind": "sampling", "samples": 16, "max_tokens": 1000}
    jobs = study_jobs(study({"chains": chains, "parallel": sampling}, gpu="H100-80"), known())
    assert (jobs[0].requests, jobs[0].written) == (jobs[1].requests, jobs[1].written)
    # 100 at once instead of 256, so more passes.
    assert jobs[0].seconds > 1.5 * jobs[1].seconds


TRAJECTORIES = TrajectoryConfig(
    problems="words", policy="small", samples_per_problem=10, wrong=4, max_tokens=1000
)
CHAINS = ChainLabelConfig(problems="words", policy="small", chains=2, length=3, history=1, max_tokens=1000)


def test_trajectories_and_labelled_chains_by_hand() -> None:
    samples = trajectories_job("t", TRAJECTORIES, Planning(), known())
    assert (samples.output, samples.requests) == ("trajectories/t.parquet", 1000)
    assert (samples.read, samples.written, samples.flops) == (10_000, 50_000, pytest.approx(1.2e11))
    chains = chain_labels_job("c", CHAINS, Planning(), known())
    # 100 prompts of 100 tokens, and 400 with one attempt of 50.
    assert (chains.output, chains.requests) == ("chain_labels/c.parquet", 600)
    assert (chains.read, chains.written, chains.flops) == (70_000, 30_000, pytest.approx(2e11))


def test_training_on_revisions_by_hand() -> None:
    recipe: dict[str, Any] = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1, "seed": 1}
    facts = replace(known(), trained={"made": placed()})
    learnt = LearntData(
        revisions={"t": TRAJECTORIES, "few": TRAJECTORIES.model_copy(update={"most_per_problem": 1})},
        chain_labels={"c": CHAINS},
    )
    policy = PolicyTraining(
        kind="policy",
        init=Init(model="m"),
        data=SolutionData(revisions="t", held_out="few"),
        held_out_samples=2,
        **recipe,
    )
    job = train_job("made", policy, learnt, Planning(right_share=0.5), facts)
    # Five right answers a problem, one with each number of attempts: 150 to 350 tokens.
    assert job.read == pytest.approx(500 * 250)
    # Of the held-out ones a single one, which two solutions are written for.
    assert job.written == pytest.approx(100 * 2 * 50)
    assert job.requests == pytest.approx(500 + 200)
    assert job.flops == pytest.approx(6e6 * 125_000 + 2e6 * 25_000 + 2e6 * 10_000)
    for history, tokens in ((True, 200 * 151 + 400 * 201), (False, 600 * 151)):
        data = LabelData(chain_labels="c", held_out="c", history=history)
        orm = PrmTraining(kind="prm", init=Init(model="m"), data=data, **recipe)
        job = train_job("made", orm, learnt, Planning(), facts)
        assert job.read == pytest.approx(tokens)
        assert job.flops == pytest.approx(8e6 * tokens)


def test_accelerators_are_what_their_data_sheets_say() -> None:
    for name, one in ACCELERATORS.items():
        assert one.half >= one.single > one.bandwidth, name
        if name != "cpu":
            # FLOPs per byte at which reading weights costs as much as computing with them.
            assert 100 < one.half / one.bandwidth < 500, name
