"""The select stage on small tables: credits, costs, order, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from small_pool import POLICY, VERIFIER, Study

from isoflop.costs import ModelShape, flops_kaplan, flops_total, flops_wu2024
from isoflop.errors import UserError
from isoflop.files import table_metadata
from isoflop.tables import CREDITS

STRATEGY = ("verifier", "selector", "step_aggregation", "budget")


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def pick(table: pa.Table, column: str, *strategy: str | int) -> np.ndarray:
    frame = table.to_pandas()
    keys = ("verifier", "selector", "step_aggregation", "budget")
    for key, value in zip(keys, strategy, strict=True):
        frame = frame[frame[key] == value]
    assert frame["problem_id"].tolist() == ["b", "a", "c"]
    return frame[column].to_numpy()


def test_rows_are_every_strategy_budget_and_problem_in_order(study):
    table = study.run()
    found = list(dict.fromkeys(zip(*(table[n].to_pylist() for n in STRATEGY), strict=True)))
    strategies = [("none", "pass", "none", (1, 2, 4)), ("none", "majority", "none", (1, 2, 4, 0))]
    strategies += [("prm", "weighted", how, (1, 2, 4, 0)) for how in ("last", "min")]
    strategies += [("prm", "best_of_n", how, (1, 2, 4)) for how in ("last", "min")]
    assert found == [(*names, budget) for *names, budgets in strategies for budget in budgets]
    assert table.num_rows == 3 * len(found)
    assert pick(table, "level", "none", "pass", "none", 1).tolist()[::2] == [1, 2]


def test_credits_by_hand(study):
    study.grades["answer_class"] = [0, 0, 1, 1] + [0, 1, 1, -1] + [-1] * 4
    study.grades["correct"] = [c == 0 for c in study.grades["answer_class"]]
    study.candidates["steps"] = [["x", "x"]] * 12
    first = [[0.5, 0.25], [0.25, 0.25], [0.125, 0.5], [0.25, 0.125]]
    study.scores["step_scores"] = [*first, [0.5, 1.0], [0.25, 0.25], [0.5, 0.25], [1.0, 1.0], *first]
    table = study.run()
    assert pick(table, "credit", "none", "pass", "none", 2) == pytest.approx([5 / 6, 1 / 2, 0])
    assert pick(table, "credit", "none", "majority", "none", 0) == pytest.approx([1 / 2, 0, 0])
    # Sums of last scores: 0.5 against 0.625, and 1.0 against 0.5; of min scores: 0.5 against 0.25.
    assert pick(table, "credit", "prm", "weighted", "last", 4) == pytest.approx([0, 1, 0])
    assert pick(table, "credit", "prm", "weighted", "min", 4) == pytest.approx([1, 1 / 2, 0])
    # Candidates 0 and 1 of "b" tie at the top by min; of "a", the one without an answer has the best score.
    assert pick(table, "credit", "prm", "best_of_n", "min", 4) == pytest.approx([1, 0, 0])
    assert not np.any(table["standard_error"].to_numpy())


def test_what_was_too_long_for_the_verifier_takes_no_part(study):
    study.grades["answer_class"] = [0, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0]
    study.grades["correct"] = [c == 0 for c in study.grades["answer_class"]]
    study.candidates["steps"] = [["x"]] * 12
    study.scores["step_scores"] = [[0.5], [], [0.25], [0.5], [], *[[0.5]] * 3, *[[]] * 4]
    study.scores["verifier_tokens"] = [9 if scores else 0 for scores in study.scores["step_scores"]]
    study.score_ledger |= {"verifier_tokens": 54, "too_long": 6}
    table = study.run()
    assert pick(table, "credit", "none", "majority", "none", 4) == pytest.approx([1 / 2, 0, 1])
    for aggregation in ("last", "min"):
        # Of "b", one right answer of 0.5 is left against 0.25 + 0.5; the best score is shared.
        assert pick(table, "credit", "prm", "weighted", aggregation, 4) == pytest.approx([0, 0, 0])
        assert pick(table, "credit", "prm", "best_of_n", aggregation, 4) == pytest.approx([1 / 2, 0, 0])
        assert pick(table, "credit", "prm", "best_of_n", aggregation, 1) == pytest.approx([1 / 4, 0, 0])
        assert pick(table, "credit", "prm", "weighted", aggregation, 1) == pytest.approx([1 / 4, 0, 0])
    study.score_ledger["too_long"] = 5
    with pytest.raises(UserError, match=r"row 1 .*0 step scores for 1 steps"):
        study.run()


def test_an_outcome_verifier_has_one_score_and_no_step_aggregation(study):
    study.spec["outcome_verifiers"] = ["prm"]
    with pytest.raises(UserError, match="step scores for 1 steps"):
        study.run()
    study.scores["step_scores"] = [[0.5]] * 12
    table = study.run()
    verified = table.filter(pc.equal(table["verifier"], "prm"))
    assert set(verified["step_aggregation"].to_pylist()) == {"last"}
    assert set(verified["selector"].to_pylist()) == {"weighted", "best_of_n"}


def test_costs_are_those_of_a_random_subset(study):
    table = study.run()
    policy, verifier = ModelShape(**POLICY), ModelShape(**VERIFIER)
    tokens = np.array(study.candidates["tokens"], dtype=float).reshape(3, 4)
    prompt = np.array(study.candidates["prompt_tokens"]).reshape(3, 4)
    read = tokens + 12
    for budget in (1, 2, 4):
        plain, verified = ("none", "majority", "none", budget), ("prm", "weighted", "min", budget)

        def mean(per_candidate: np.ndarray, budget: int = budget) -> object:
            return pytest.approx(budget * per_candidate.mean(axis=1), rel=1e-12)

        assert pick(table, "tokens", *plain) == mean(tokens)
        assert pick(table, "flops_wu2024", *verified) == mean(flops_wu2024(policy, tokens))
        assert pick(table, "flops_kaplan", *plain) == mean(flops_kaplan(policy, prompt, tokens))
        once = flops_total(policy, prompt, tokens, 1 / budget)
        assert pick(table, "flops_total", *plain) == mean(once)
        assert pick(table, "flops_total", *verified) == mean(
            flops_total(policy, prompt, tokens, 1 / budget, verifier, read)
        )
        assert study.taken("none", budget) == mean(6.0 * tokens / tokens.sum())
        both = 6.0 * tokens / tokens.sum() + 3.0 * read / read.sum()
        assert study.taken("prm", budget) == mean(both)
    assert np.all(np.isinf(pick(table, "flops_total", "none", "majority", "none", 0)))


def test_seconds_are_shared_equally_where_there_are_no_tokens(study):
    study.candidates["tokens"] = [0] * 12
    study.sample_ledger["generated_tokens"] = 0
    table = study.run()
    assert study.taken("none", 2) == pytest.approx([2 * 6.0 / 12] * 3)
    assert np.all(np.isinf(pick(table, "tokens", "none", "majority", "none", 0)))


def test_metadata_has_the_policy_and_how_exact_the_credits_are(study):
    metadata = table_metadata(study.run())
    assert metadata["policy"] == POLICY
    assert metadata["verifiers"] == {"prm": VERIFIER}
    assert metadata["monte_carlo"]["share_of_credits_sampled"] == 0


def test_the_order_of_samples_changes_no_bit(tmp_path):
    study = Study(tmp_path, size=24)
    study.spec["budgets"] = [1, 4, 12]
    one = study.run()
    assert table_metadata(one)["monte_carlo"]["share_of_credits_sampled"] > 0
    generator = np.random.default_rng(8)
    order = np.concatenate([start + generator.permutation(24) for start in (0, 24, 48)])
    for table in (study.candidates, study.grades, study.scores):
        for name in set(table) - {"problem_id", "candidate"}:
            table[name] = [table[name][i] for i in order]
    other = study.run()
    for name in CREDITS.names:
        assert one[name].equals(other[name]), name


def test_confidence_is_the_mean_over_tokens_and_costs_what_sampling_costs(study):
    study.grades["answer_class"] = [0, 0, 1, 1, 0, 1, 1, -1, 1, 1, 1, 0]
    study.grades["correct"] = [c == 0 for c in study.grades["answer_class"]]
    study.candidates["tokens"] = [8, 4, 2, *[4] * 9]
    study.sample_ledger["generated_tokens"] = 50
    # Of "b" the first is the most confident by token, the third in all.
    study.candidates["logprob"] = [-2.0, -2.0, -1.5, -2.0, -2.0, -1.0, -3.0, -0.5, -9.0, -9.0, -9.0, -1.0]
    study.spec["selectors"] = ["majority", "confidence", "confidence_weighted"]
    study.spec |= {"halves": True, "verifiers": [], "step_aggregations": []}
    table = study.run(verifier=False)
    whole = only(table, 0)
    assert pick(whole, "credit", "none", "confidence", "none", 4) == pytest.approx([1, 0, 1])
    # exp(-1/4) + exp(-1/2) against exp(-3/4) + exp(-1/2); exp(-1/2) against exp(-1/4) + exp(-3/4), the most
    # confident having no answer; exp(-1/4) = 0.78 against 3 exp(-9/4) = 0.32.
    for budget in (4, 0):
        assert pick(whole, "credit", "none", "confidence_weighted", "none", budget).tolist() == [1, 0, 1]
    assert pick(only(table, 1), "credit", "none", "confidence", "none", 2) == pytest.approx([1, 1, 0])
    for name in ("tokens", "flops_wu2024", "flops_kaplan", "flops_total"):
        for selector in ("confidence", "confidence_weighted"):
            plain = pick(whole, name, "none", "majority", "none", 2)
            assert np.array_equal(pick(whole, name, "none", selector, "none", 2), plain)


def test_confidence_needs_log_probabilities(study):
    study.candidates["logprob"][5] = None
    study.run()
    study.spec["selectors"] = ["confidence"]
    with pytest.raises(UserError, match=r"candidates.parquet: row 5 \(problem a, candidate 1\): has no"):
        study.run()


def only(table: pa.Table, half: int) -> pa.Table:
    return table.filter(pc.equal(table["half"], half))


def test_a_half_is_what_the_pool_of_its_candidates_would_be(tmp_path):
    study = Study(tmp_path, size=9)
    study.spec |= {"budgets": [1, 2, 4, 8]}
    whole = study.run()
    assert set(whole["half"].to_pylist()) == {0}
    study.spec["halves"] = True
    table = study.run()
    assert only(table, 0).equals(whole), "the whole pool is as without halves"
    for half in (1, 2):
        kept = [row for row in range(27) if row % 9 % 2 == half - 1]
        alone = Study(tmp_path, size=9)
        alone.spec |= {"budgets": [1, 2, 4]}
        for name in ("candidates", "grades", "scores"):
            setattr(alone, name, {key: [column[row] for row in kept] for key, column in
                                  getattr(alone, name).items()})  # fmt: skip
        tokens, read = sum(alone.candidates["tokens"]), sum(alone.scores["verifier_tokens"])
        alone.sample_ledger |= {"candidates": len(kept), "generated_tokens": tokens}
        alone.score_ledger |= {"verifier_tokens": read}
        expected = alone.run()
        found = only(table, half)
        assert set(found["budget"].to_pylist()) == {1, 2, 4}, "no more than half of the pool, and no limit"
        assert found["limit_low"].null_count == found.num_rows
        for strategy in (("none", "pass", "none"), ("none", "majority", "none"), ("prm", "weighted", "min"),
                         ("prm", "best_of_n", "last")):  # fmt: skip
            for budget in (1, 2, 4):
                for column in ("credit", "tokens", "flops_wu2024", "flops_total", "standard_error"):
                    assert pick(found, column, *strategy, budget) == pytest.approx(
                        pick(expected, column, *strategy, budget)
                    )


def test_the_order_within_a_half_changes_no_bit(tmp_path):
    study = Study(tmp_path, size=48)
    study.spec |= {"budgets": [1, 4, 12], "halves": True}
    one = study.run()
    assert np.any(only(one, 1)["standard_error"].to_numpy())
    generator = np.random.default_rng(8)
    order = np.arange(144)
    for start in (0, 48, 96):
        for odd in (0, 1):
            places = np.arange(start + odd, start + 48, 2)
            order[places] = generator.permutation(places)
    for table in (study.candidates, study.grades, study.scores):
        for name in set(table) - {"problem_id", "candidate"}:
            table[name] = [table[name][i] for i in order]
    other = study.run()
    for name in set(CREDITS.names) - {"seconds"}:
        assert one[name].equals(other[name]), name


def test_halves_of_chains_are_of_whole_chains(tmp_path):
    study = chains_study(tmp_path, 2, [2, 4])
    study.spec["halves"] = True
    table = study.run()
    assert pick(only(table, 1), "credit", "none", "pass", "none", 2) == pytest.approx([1, 1, 0])
    assert pick(only(table, 2), "credit", "none", "pass", "none", 2) == pytest.approx([0, 0, 1])
    assert set(only(table, 2)["budget"].to_pylist()) == {2}
    tokens = np.array(study.candidates["tokens"], dtype=float).reshape(3, 2, 2).sum(axis=2)
    assert pick(only(table, 2), "tokens", "none", "majority", "none", 2) == pytest.approx(tokens[:, 1])


def test_a_pool_smaller_than_twice_its_budgets_has_no_halves(study):
    study.spec |= {"budgets": [4], "halves": True}
    assert set(study.run()["half"].to_pylist()) == {0}
    study.spec |= {"generator_kind": "search"}
    with pytest.raises(UserError, match="halves: only pools of samples"):
        study.run()


def test_metadata_counts_what_has_no_answer_and_did_not_end(tmp_path):
    study = Study(tmp_path)
    study.grades["answer_class"] = [0, -1, 1, 1, *[0] * 4, -1, -1, 0, 1]
    study.grades["correct"] = [c == 0 for c in study.grades["answer_class"]]
    study.candidates["finish"] = ["stop"] * 10 + ["length", "unfinished"]
    metadata = table_metadata(study.run())
    assert [metadata[key] for key in ("candidates", "unanswered", "unfinished")] == [12, 3, 2]
    chains = chains_study(tmp_path, 1, [1, 2])
    metadata = table_metadata(chains.run())
    assert [metadata[key] for key in ("candidates", "unanswered")] == [6, 1], "the answers picked from"


def chains_study(folder: Path, length: int, budgets: list[int]) -> Study:
    """Two chains of two answers per problem; the prompts of revisions are longer by the first answer."""
    study = Study(folder)
    study.candidates["run"] = [0, 0, 1, 1] * 3
    study.candidates["budget"] = [1, 2, 1, 2] * 3
    study.candidates["prompt_tokens"] = [10, 35, 10, 45, 20, 50, 20, 60, 30, 60, 30, 70]
    study.candidates["steps"] = [["x"]] * 12
    study.scores["step_scores"] = [[0.5]] * 12
    study.grades["answer_class"] = [0, 1, 1, 2, 0, 0, 1, 1, -1, -1, 1, 0]
    study.grades["correct"] = [c == 0 for c in study.grades["answer_class"]]
    study.spec |= {"generator_kind": "revisions", "length": length, "budgets": budgets}
    study.spec["outcome_verifiers"] = ["prm"]
    return study


def test_chains_of_revisions_by_hand(tmp_path):
    study = chains_study(tmp_path, 2, [2, 4])
    table = study.run()
    assert not table.filter(pc.equal(table["budget"], 0)).num_rows, "chains have no limit"
    assert pick(table, "credit", "none", "pass", "none", 2) == pytest.approx([1 / 2, 1 / 2, 1 / 2])
    # One chain: of "b", classes 0 and 1 share it, then 1 and 2. Both: class 1 has two votes of four.
    assert pick(table, "credit", "none", "majority", "none", 2) == pytest.approx([1 / 4, 1 / 2, 1 / 4])
    assert pick(table, "credit", "none", "majority", "none", 4) == pytest.approx([0, 1 / 2, 1 / 2])
    # Representatives: of "b" 0 or 1 against 1 or 2, so class 1 wins one way of four and shares two.
    # (0, 1), (0, 2), (1, 1), (1, 2): 1/2, 1/2, 0, 0.
    assert pick(table, "credit", "prm", "weighted", "last", 4) == pytest.approx([1 / 4, 1 / 2, 1 / 2])
    firsts = chains_study(tmp_path, 1, [1, 2]).run()
    assert pick(firsts, "credit", "none", "pass", "none", 2) == pytest.approx([1, 1, 0])
    assert pick(firsts, "credit", "none", "majority", "none", 1) == pytest.approx([1 / 2, 1 / 2, 0])


def test_every_revision_reads_its_own_prompt(tmp_path):
    study = chains_study(tmp_path, 2, [2, 4])
    table = study.run()
    policy, verifier = ModelShape(**POLICY), ModelShape(**VERIFIER)
    tokens = np.array(study.candidates["tokens"], dtype=float).reshape(3, 2, 2)
    prompt = np.array(study.candidates["prompt_tokens"], dtype=float).reshape(3, 2, 2)
    for budget in (2, 4):
        plain, verified = ("none", "majority", "none", budget), ("prm", "weighted", "last", budget)
        share = budget / 4
        assert pick(table, "tokens", *plain) == pytest.approx(share * tokens.sum(axis=(1, 2)))
        revising = flops_total(policy, prompt[:, :, 1], tokens[:, :, 1]).sum(axis=1)
        first = flops_kaplan(policy, prompt[:, :, 0], tokens[:, :, 0]).sum(axis=1)
        once = flops_total(policy, prompt[:, 0, 0], 0.0)
        expected = share * (revising + first) + once
        assert pick(table, "flops_total", *plain) == pytest.approx(expected, rel=1e-12)
        reading = flops_total(policy, 0.0, 0.0, 1.0, verifier, tokens + 12).sum(axis=(1, 2))
        assert pick(table, "flops_total", *verified) == pytest.approx(expected + share * reading, rel=1e-12)
        assert study.taken("none", budget) == pytest.approx(
            share * 6.0 * tokens.sum(axis=(1, 2)) / tokens.sum()
        )


def test_the_first_answers_of_chains_cost_what_samples_cost(tmp_path):
    study = chains_study(tmp_path, 1, [1, 2])
    table = study.run()
    firsts = Study(tmp_path, size=2)
    for name in ("candidates", "grades", "scores"):
        kept = {key: list(column[0::2]) for key, column in getattr(study, name).items()}
        setattr(firsts, name, kept | {"candidate": [0, 1] * 3})
    firsts.candidates |= {"run": [None] * 6, "budget": [None] * 6}
    firsts.spec |= {"budgets": [1, 2], "outcome_verifiers": ["prm"]}
    for ledger, column, table_ in (
        ("sample_ledger", "tokens", "candidates"), ("score_ledger", "verifier_tokens", "scores"),
    ):  # fmt: skip
        total = sum(getattr(firsts, table_)[column])
        name = {"tokens": "generated_tokens"}.get(column, column)
        getattr(firsts, ledger)[name] = total
    firsts.sample_ledger["candidates"] = 6
    plain = firsts.run()
    for column in ("credit", "tokens", "flops_wu2024", "flops_kaplan", "flops_total"):
        for strategy in (("none", "majority", "none", 2), ("prm", "weighted", "last", 1)):
            assert pick(table, column, *strategy) == pytest.approx(pick(plain, column, *strategy), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda study: study.candidates.update(run=[None] * 12), "row 0 is not the next answer of a chain"),
        (lambda study: study.candidates.update(budget=[1, 1, 2, 2] * 3), "row 1 is not the next answer"),
        (
            lambda study: study.candidates.update(
                run=[0, 0, 1, 1, *[0, 0, 1, 2] * 2], budget=[1, 2, 1, 2, *[1, 2, 1, 1] * 2]
            ),
            "1 to 2 chains of 2 answers",
        ),
        (lambda study: study.spec.update(length=3), "0 to 0 chains of 3 answers"),
        (lambda study: study.spec.update(budgets=[2, 3]), "3 answers are not up to 2 chains of 2"),
        (lambda study: study.spec.update(budgets=[8]), "8 answers are not up to 2 chains of 2"),
        (lambda study: study.spec.update(length=None), "length: goes with generator_kind revisions"),
    ],
)  # fmt: skip
def test_candidates_that_are_no_chains_are_refused(tmp_path, change, message):
    study = chains_study(tmp_path, 2, [2, 4])
    change(study)
    with pytest.raises(UserError, match=message):
        study.run()


def test_greedy_has_one_row_per_problem(tmp_path):
    study = Study(tmp_path, size=1)
    study.spec = {"seed": 1, "generator_kind": "greedy", "code": "0"}
    table = study.run(verifier=False)
    assert pick(table, "credit", "none", "none", "none", 1).tolist() == [
        float(right) for right in study.grades["correct"]
    ]
    assert table.num_rows == 3


def spoil(table: str, column: str, row: int, value: object):
    def apply(study: Study) -> None:
        getattr(study, table)[column] = list(getattr(study, table)[column])
        getattr(study, table)[column][row] = value

    return apply


def drop_last(table: str):
    def apply(study: Study) -> None:
        setattr(study, table, {name: column[:-1] for name, column in getattr(study, table).items()})

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil("grades", "candidate", 5, 7), "grades.parquet: row 5: candidate is 7, but 1 in .*candidates"),
        (spoil("scores", "problem_id", 3, "a"), "scores.parquet: row 3: problem_id is a, but b"),
        (spoil("candidates", "problem_id", 2, "z"), "row 2: problem z is not in"),
        (spoil("candidates", "candidate", 1, 0), "row 1: candidate 0 of problem b is out of order or there"),
        (spoil("problems", "problem_id", 1, "b"), "problem b is there twice"),
        (drop_last("grades"), "grades.parquet: 11 rows, but .* has 12"),
        (spoil("scores", "step_scores", 6, []), r"scores.parquet: row 6 \(problem a, candidate 2\): 0 step"),
        (spoil("scores", "step_scores", 6, [0.5] * 9), "9 step scores for"),
        (spoil("scores", "step_scores", 6, [None] * 3), r"row 6 \(problem a, candidate 2\): a step score is"),
        (spoil("scores", "step_scores", 6, [-0.5] * 3), "verifier prm: candidate row 6 has the score -0.5"),
        (spoil("grades", "answer_class", 4, -2), "grades.parquet: row 4: answer_class is below -1"),
    ],
)
def test_tables_that_do_not_fit_are_refused_by_file_and_row(study, change, message):
    study.candidates["steps"][6] = ["x"] * 3
    study.scores["step_scores"][6] = [0.5] * 3
    change(study)
    with pytest.raises(UserError, match=message):
        study.run()


@pytest.mark.parametrize(
    ("classes", "correct", "row"),
    [([0, 0, 1, 1], [True, False, False, False], 1), ([0, -1, 1, 1], [True, True, False, False], 1)],
)
def test_a_class_is_right_or_wrong_as_a_whole(study, classes, correct, row):
    study.grades["answer_class"][4:8], study.grades["correct"][4:8] = classes, correct
    with pytest.raises(UserError, match=rf"grades.parquet: row {4 + row}: correct is .* contradicts"):
        study.run()


@pytest.mark.parametrize(
    ("ledger", "key", "value", "message"),
    [
        ("sample_ledger", "generated_tokens", 1, "sample_ledger.json: 12 candidates with 1 generated tokens"),
        ("sample_ledger", "candidates", 11, "11 candidates with"),
        ("sample_ledger", "model", {}, "sample_ledger.json: model.parameters: this key is missing"),
        ("score_ledger", "verifier_tokens", 1, "score_ledger.json: 1 verifier tokens, but"),
    ],
)
def test_a_ledger_of_other_tables_is_refused(study, ledger, key, value, message):
    getattr(study, ledger)[key] = value
    with pytest.raises(UserError, match=message):
        study.run()


def test_what_a_clock_measured_is_in_no_credits(study):
    once = study.run()
    study.seconds = {"sample_ledger": 7.0, "score_ledger": 5.0}
    assert study.run().equals(once)
    study.spec |= {"costs": ["seconds"]}
    asked = study.run(costs=("seconds",))
    assert asked.select(once.schema.names).equals(once)
    for verifier in ("none", "prm"):
        selector, aggregation = ("majority", "none") if verifier == "none" else ("weighted", "min")
        found = pick(asked, "seconds", verifier, selector, aggregation, 4)
        assert found.tolist() == study.taken(verifier, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "sample_ledger.times.json: cannot be read"),
        ('{"seconds": -1.0}', "sample_ledger.times.json: seconds: -1.0 is not allowed: must be greater"),
        ("[]", "sample_ledger.times.json: "),
    ],
)
def test_wrong_times_are_refused_by_name(study, content, message):
    study.run()
    path = study.folder / "sample_ledger.times.json"
    path.unlink()
    del study.seconds["sample_ledger"]
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        study.run()


def test_the_command_line_ends_with_the_message_alone_and_without_torch(study):
    study.run()
    code = (
        "import sys; from isoflop.stages import select\n"
        "print({'torch', 'transformers'} & set(sys.modules)); select.run_main(select.main)"
    )
    spec = {"seed": 1, "generator_kind": "greedy", "code": "0"}
    paths = [
        str(study.folder / name) for name in ("problems.parquet", "candidates.parquet", "grades.parquet")
    ]
    arguments = [
        json.dumps(spec),
        *paths,
        str(study.folder / "missing.json"),
        str(study.folder / "o.parquet"),
        str(study.folder / "s.parquet"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.stdout == "set()\n"
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "missing.json: cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budgets": [1, 8]}, "budgets: 8 is more than the 4 candidates of problem b"),
        ({"budgets": [2, 1]}, "budgets: .* must start at 1 or above and rise"),
        ({"verifiers": []}, "selectors: weighted needs verifiers"),
        ({"verifiers": ["prm", "other"]}, "names 2, but 1 pairs"),
        ({"selectors": []}, "selectors: name at least one"),
        ({"selectors": ["oracle"]}, "selectors\\[0\\]: 'oracle' is not allowed"),
        ({"unknown": 1}, "unknown: unknown key"),
        ({"cost_models": ["flops_total"]}, "cost_models"),
        ({"generator_kind": "greedy"}, "problem b has 4 greedy candidates"),
        ({"generator_kind": "beam"}, "generator_kind: 'beam' is not allowed"),
    ],
)
def test_a_wrong_specification_is_refused_by_key(study, change, message):
    study.spec |= change
    with pytest.raises(UserError, match=message):
        study.run()
