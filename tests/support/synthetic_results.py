"""A results folder of invented numbers, shaped like a real one, for tests of what is published from it.

The problems and correct solutions are the generator's own; every credit, score and cost follows from a
formula below, and the real fit stage makes the tables from them. None of it is a measurement.
"""

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from isoflop.allocation.difficulty import quantile_bins
from isoflop.data.word_problems import generate_problems
from isoflop.files import write_table
from isoflop.fits.bootstrap import problem_weights
from isoflop.fits.curves import CreditsInput, FitSpec
from isoflop.fits.revision_rates import GradedChains, Rate, rates_csv, revision_rates
from isoflop.fits.verifiers.quality import Quality, Scored, calibration_csv, quality, verifiers_csv
from isoflop.report.spec import Headline, ReportSpec
from isoflop.specs import AllocateSpec, ExchangePair, StudiedPool
from isoflop.stages.allocate import main as choose_main
from isoflop.stages.fit import main as fit_main
from isoflop.tables import CANDIDATES, CREDITS, DIFFICULTY, GRADES, PROBLEMS, SCORES

SIZES = {"policy-0.1M": 112_384, "policy-0.3M": 310_528, "policy-0.9M": 905_472, "policy-2.7M": 2_709_504}
BUDGETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
AGGREGATIONS = ("last", "min")
VERIFIER = "prm"
HOSTILE = '<script>alert("x")</script><img src="http://evil.example/a.png" onerror=alert(1)> & done'
TOKENS = 46.0
GENERATORS = ("greedy", "rebase", "sampling", "mcts", "lookahead")
# Chains of revisions: their lengths, most answers, verifiers, the first of which decides, and a policy that
# does nothing else beside one of the study.
LENGTHS, LARGEST = (1, 2, 4, 8), 32
JUDGES = ("orm-history", "orm")
CHAINS = {f"revisions/{length}": length for length in LENGTHS}
REVISERS = ("policy-0.9M", "reviser-2.7M")
# A search's budgets, and what it adds to the chance of a right answer.
SEARCHES = {"rebase": ((4, 16, 64), 0.1), "mcts": ((32,), -0.1), "lookahead": ((4, 16), 0.05)}
# Samples that one of a lookahead search's budget counts as, and how much more it generates.
GENERATIONS = {"lookahead": 4}


@dataclass(frozen=True)
class Shape:
    """What the folder holds."""

    datasets: tuple[str, ...] = ("wordproblems",)
    policies: tuple[str, ...] = tuple(SIZES)
    with_levels: bool = True
    programs: bool = True
    problems: int = 100
    # Policies whose every credit is this, whatever the strategy.
    certain: Mapping[str, float] = field(default_factory=dict)
    families: Mapping[str, str] = field(default_factory=dict)


def spec(shape: Shape | None = None) -> ReportSpec:
    shape = shape or Shape()
    return ReportSpec(
        experiment="synthetic",
        title="Test data: invented numbers",
        datasets=shape.datasets,
        policies=shape.policies,
        generators=GENERATORS,
        families=shape.families,
        searches={name: name for name in SEARCHES},
        generations=GENERATIONS,
        program_datasets=shape.datasets if shape.programs else (),
        choice=True,
        revisions={"revisions": JUDGES},
        outcome_verifiers=JUDGES,
        scored=True,
        exchange=len(shape.policies) > 1,
        verifiers=(VERIFIER,),
        step_aggregations=AGGREGATIONS,
        headline=Headline(selector="weighted", step_aggregation="min", cost_model="total"),
        level=0.95,
        config_yaml="experiment: synthetic\ntitle: <b>&amp; not markup</b>\n",
        pools=tuple((d, p, "sampling") for d in shape.datasets for p in shape.policies),
        seed=7,
        code="0" * 16,
    )


def chance(dataset: int, policy: str, level: int, problem: str) -> float:
    """The invented probability that one sample is right: higher for larger policies and lower levels."""
    size = list(SIZES).index(_trained_from(policy))
    luck = random.Random(problem).gauss(0.0, 1.6)
    return 1 / (1 + math.exp(-(1.35 * size - 2.6 + 0.6 * (3 - level) - 0.8 * dataset + luck)))


def credit(selector: str, right: float, budget: int) -> float:
    """The invented credit at `budget` samples, each right with probability `right`; budget 0 is the limit.

    Voting tends to 1 or 0 as the right answer's share is above a threshold or not, which a verifier lowers.
    """
    if selector == "none":
        return 1.0 if right > 0.45 else 0.0
    if selector == "pass":
        return 1 - (1 - right) ** (budget or 10**9)
    threshold, rate = {"majority": (0.40, 0.12), "best_of_n": (0.33, 0.5), "weighted": (0.24, 0.25)}[selector]
    target = 1.0 if right > threshold else 0.0
    return target if budget == 0 else target + (right - target) * math.exp(-rate * (budget - 1))


def cost(policy: str, selector: str, budget: int, *, searched: bool = False) -> dict[str, float]:
    """FLOPs under the three models, tokens and seconds per problem."""
    params = SIZES[_trained_from(policy)]
    generated = TOKENS * budget
    wu = 2.0 * params * generated
    verifier = 2.0 * 900_000 * 110 * budget if searched or selector in {"weighted", "best_of_n"} else 0.0
    return {
        "tokens": generated,
        "flops_wu2024": wu,
        "flops_kaplan": wu * 1.21,
        "flops_total": wu * 1.21 + 2.0 * params * 60 + verifier,
        "seconds": generated / 20_000,
    }


def _trained_from(policy: str) -> str:
    """The policy of the study that a policy is as good and large as."""
    return policy.replace("reviser", "policy")


def strategies(generator: str) -> list[tuple[str, str, str]]:
    """Verifier, selector and step aggregation of every strategy of a generator."""
    if generator == "greedy":
        return [("none", "none", "none")]
    voted = [("none", "majority", "none"), ("none", "pass", "none")]
    if generator in CHAINS:
        return voted + [(judge, s, "last") for judge in JUDGES for s in ("best_of_n", "weighted")]
    return voted + [(VERIFIER, s, a) for s in ("best_of_n", "weighted") for a in AGGREGATIONS]


def write_credits(path: Path, dataset: int, policy: str, generator: str, shape: Shape) -> None:
    rows: list[dict[str, object]] = []
    for verifier, selector, aggregation in strategies(generator):
        budgets: tuple[int, ...] = (1,) if generator == "greedy" else BUDGETS
        budgets, better = SEARCHES.get(generator, (budgets, 0.0))
        searched = generator in SEARCHES
        if length := CHAINS.get(generator, 0):
            budgets = tuple(n for n in BUDGETS if length <= n <= LARGEST)
            better = 0.02 * length.bit_length() * (2 if verifier == JUDGES[0] else 1)
        elif selector in {"majority", "weighted"} and not searched:
            budgets = (0, *budgets)
        for budget in budgets:
            samples = (budget or BUDGETS[-1]) * GENERATIONS.get(generator, 1)
            spent = cost(policy, selector, samples, searched=searched)
            for index in range(shape.problems):
                level = index % 5 + 1
                right = chance(dataset, policy, level, f"{dataset}-{index}")
                # Chains help where answers are mostly right, and do harm where they are not.
                right = min(max(right + (better if right > 0.3 or not length else -better), 0.01), 0.99)
                rows.append(
                    {
                        "problem_id": f"test-{index:05d}",
                        "level": level if shape.with_levels else None,
                        "verifier": verifier,
                        "selector": selector,
                        "step_aggregation": aggregation,
                        "half": 0,
                        "budget": budget,
                        "credit": shape.certain.get(policy, credit(selector, right, budget)),
                        "standard_error": 0.0,
                        "limit_low": 0.0 if budget == 0 and 0.3 < right < 0.4 else None,
                        "limit_high": 1.0 if budget == 0 and 0.3 < right < 0.4 else None,
                        **spent,
                    }
                )
    columns: dict[str, list[object]] = {name: [row[name] for row in rows] for name in CREDITS.names}
    write_table(path, columns, CREDITS, {"policy": model(policy)})


def model(policy: str) -> dict[str, int]:
    return {
        "parameters": SIZES[_trained_from(policy)],
        "embedding_parameters": 9000,
        "layers": 4,
        "attention_width": 64,
    }


def write_results(folder: Path, shape: Shape | None = None) -> ReportSpec:
    """Write every input of the report stage under `folder`, the tables by the real fit stage.

    Returns the specification.
    """
    shape = shape or Shape()
    inputs, paths = [], []
    for place, dataset in enumerate(shape.datasets):
        for policy in shape.policies:
            for generator in GENERATORS:
                path = folder / "select" / dataset / policy / f"{generator}.parquet"
                write_credits(path, place, policy, generator, shape)
                inputs.append(CreditsInput(dataset=dataset, policy=policy, generator=generator))
                paths.append(str(path))
        for policy in revisers(shape):
            for generator in CHAINS:
                path = folder / "select" / dataset / policy / f"{generator}.parquet"
                write_credits(path, place, policy, generator, shape)
                inputs.append(CreditsInput(dataset=dataset, policy=policy, generator=generator))
                paths.append(str(path))
        _write_samples(folder, dataset, shape)
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    (folder / "tables" / "revisions.csv").write_text(rates_csv(_rates(shape)), encoding="utf-8")
    told = _verified(shape)
    (folder / "tables" / "verifiers.csv").write_text(verifiers_csv(told), encoding="utf-8")
    (folder / "tables" / "calibration.csv").write_text(calibration_csv(told), encoding="utf-8")
    fit = FitSpec(
        experiment="synthetic",
        inputs=tuple(inputs),
        families=shape.families,
        searches=tuple(SEARCHES),
        draws=100,
        seed=7,
        code="",
    )
    tables = [str(folder / "tables" / f"{name}.csv") for name in ("curves", "fits", "differences")]
    behind = [str(folder / "fit" / f"{name}.parquet") for name in ("draws", "credits")]
    fit_main([fit.model_dump_json(), *paths, *tables, *behind])
    _choose(folder, shape, inputs, paths)
    for one in inputs:
        write_endings(folder, one.dataset, one.policy, one.generator.partition("/")[0])
    return spec(shape)


def revisers(shape: Shape) -> list[str]:
    """The policies that write chains."""
    return [name for name in REVISERS if name in shape.policies or name not in SIZES]


def _rates(shape: Shape) -> list[tuple[Sequence[str], Rate]]:
    """What becomes of answers of invented chains, by the stage's own function."""
    found: list[tuple[Sequence[str], Rate]] = []
    for place, dataset in enumerate(shape.datasets):
        for policy in revisers(shape):
            chains = []
            for index in range(shape.problems):
                rng = np.random.default_rng([place, REVISERS.index(policy), index])
                first = chance(place, policy, index % 5 + 1, f"{place}-{index}")
                right = np.empty((4, LENGTHS[-1]), dtype=np.bool_)
                right[:, 0] = rng.random(4) < shape.certain.get(policy, first)
                for at in range(1, LENGTHS[-1]):
                    right[:, at] = rng.random(4) < np.where(right[:, at - 1], 0.9, 0.15)
                chains.append(right)
            graded = GradedChains(chains, [np.ones_like(right) for right in chains])
            rates = revision_rates(graded, problem_weights(shape.problems, 100, 7, "all"), 0.95)
            found += [(("synthetic", dataset, policy, "revisions"), rate) for rate in rates]
    return found


def _verified(shape: Shape) -> list[tuple[Sequence[str], Quality]]:
    """How invented scores tell invented samples, by the stage's own function."""
    told: list[tuple[Sequence[str], Quality]] = []
    weights = problem_weights(shape.problems, 100, 7, "all")
    problem = np.repeat(np.arange(shape.problems), 8)
    for place, dataset in enumerate(shape.datasets):
        for policy in shape.policies:
            levels = [index % 5 + 1 for index in range(shape.problems)]
            chances = [chance(place, policy, level, f"{place}-{i}") for i, level in enumerate(levels)]
            rng = np.random.default_rng([place, list(SIZES).index(policy)])
            right = rng.random(problem.size) < shape.certain.get(policy, np.array(chances)[problem])
            for power, how in enumerate(AGGREGATIONS, start=1):
                scores = (0.3 * right + 0.7 * rng.random(problem.size)) ** power
                found = quality(Scored(problem, right, scores, scores), weights, 0.95)
                told.append((("synthetic", dataset, policy, "sampling", VERIFIER, how), found))
    return told


def _choose(folder: Path, shape: Shape, inputs: list[CreditsInput], paths: list[str]) -> None:
    """The allocate stage's tables, by the stage itself, from bins that follow the invented chances."""
    policies = dict.fromkeys((*shape.policies, *revisers(shape)))
    pairs = [(dataset, policy) for dataset in shape.datasets for policy in policies]
    difficulties = []
    for dataset, policy in pairs:
        place, count = shape.datasets.index(dataset), shape.problems
        levels = [index % 5 + 1 for index in range(count)]
        right = [chance(place, policy, level, f"{place}-{index}") for index, level in enumerate(levels)]
        bins = quantile_bins(np.array(right), 5).tolist()
        pool = [cost(policy, "majority", BUDGETS[-1])["flops_total"]] * count
        columns = {
            "problem_id": [f"test-{index:05d}" for index in range(count)],
            "level": levels if shape.with_levels else [None] * count,
            "half": [0] * count,
            "samples": [BUDGETS[-1]] * count,
            **{"oracle": right, "oracle_bin": bins, "predicted": right, "predicted_bin": bins[::-1]},
            **{name: pool for name in DIFFICULTY.names if name.startswith("flops")},
        }
        path = folder / "difficulty" / dataset / f"{policy}.parquet"
        write_table(path, columns, DIFFICULTY, {})
        difficulties.append(str(path))
    exchanged = ExchangePair(small=shape.policies[0], large=shape.policies[-1], greedy="greedy")
    choice = AllocateSpec(
        experiment="synthetic",
        pools=tuple(
            StudiedPool(
                dataset=one.dataset,
                policy=one.policy,
                generator=one.generator,
                kind=one.generator.partition("/")[0],
            )
            for one in inputs
        ),
        difficulties=tuple((*pair, "pilot") for pair in pairs),
        bins=5,
        families={
            "search": ("sampling", "rebase"),
            "selectors": ("sampling", "sampling+majority", "sampling+best_of_n+last"),
            "ratios": tuple(CHAINS),
        },
        judges=dict.fromkeys(CHAINS, (JUDGES[0], "last")),
        selector="weighted",
        verifier=VERIFIER,
        step_aggregation="min",
        cost_model="total",
        splits=3,
        exchange=(exchanged,) if len(shape.policies) > 1 else (),
        ratios=(0.16, 0.79, 22.0),
        draws=100,
        level=0.95,
        seed=7,
        code="",
    )
    names = ("by_difficulty", "compute_optimal", "exchange", "claims_snell2024", "exchange_curves")
    outputs = [str(folder / "tables" / f"{name}.csv") for name in names]
    choose_main([choice.model_dump_json(), *paths, *difficulties, *outputs])


def _write_samples(folder: Path, dataset: str, shape: Shape) -> None:
    problems = generate_problems("test", 20, 3)
    columns = {
        "problem_id": [p.problem_id for p in problems],
        "prompt": [p.prompt for p in problems],
        "answer": [p.answer for p in problems],
        "level": [p.level if shape.with_levels else None for p in problems],
        "subject": [None for _ in problems],
        "solution": [p.solution for p in problems],
    }
    write_table(folder / "problems" / f"{dataset}.parquet", columns, PROBLEMS, {})
    for policy in shape.policies:
        rng = random.Random(policy)
        rows = []
        for problem in problems:
            for candidate in range(8):
                steps = problem.solution.splitlines(keepends=True)
                correct = rng.random() < 0.5
                fooled = problem is problems[4] and candidate == 2
                scores = [round(rng.uniform(0.7, 0.99), 3) for _ in steps]
                answer: str | None = problem.answer
                if fooled or not correct:
                    correct = False
                    answer = str(int(problem.answer) + 7)
                    steps = [*steps[:-1], f"The answer is {answer}.\n"]
                    scores = [0.998 if fooled else round(rng.uniform(0.02, 0.6), 3) for _ in steps]
                if problem is problems[1]:
                    steps = [*steps[:-1], HOSTILE + "\n", steps[-1]]
                    scores = [*scores, scores[-1]]
                rows.append((problem.problem_id, candidate, steps, answer, correct, scores))
        base = f"{dataset}/{policy}/sampling"
        ids, numbers = [r[0] for r in rows], [r[1] for r in rows]
        columns = {
            "problem_id": ids,
            "candidate": numbers,
            "steps": [r[2] for r in rows],
            "step_tokens": [[12] * len(r[2]) for r in rows],
            "finish": ["stop"] * len(rows),
            "prompt_tokens": [60] * len(rows),
            "tokens": [12 * len(r[2]) for r in rows],
            "logprob": [-3.5] * len(rows),
            "source": [None] * len(rows),
            "budget": [None] * len(rows),
            "run": [None] * len(rows),
        }
        write_table(folder / "sample" / f"{base}.parquet", columns, CANDIDATES, {})
        columns = {
            "problem_id": ids,
            "candidate": numbers,
            "answer": [r[3] for r in rows],
            "answer_class": [0 if r[4] else 1 for r in rows],
            "correct": [r[4] for r in rows],
        }
        write_table(folder / "grade" / f"{base}.parquet", columns, GRADES, {})
        columns = {
            "problem_id": ids,
            "candidate": numbers,
            "step_scores": [r[5] for r in rows],
            "verifier_tokens": [110] * len(rows),
        }
        write_table(folder / "score" / f"{base}" / f"{VERIFIER}.parquet", columns, SCORES, {})
        machine = {"cpus": 2, "platform": "Linux-x86_64"}
        ledger = {
            "seconds": 12.5,
            "prompt_tokens": 1200,
            "generated_tokens": 1_500_000,
            "model": {"name": policy, **model(policy)},
            "machine": machine,
            "started": "2025-01-01T00:00:00+00:00",
        }
        (folder / "sample" / f"{base}.ledger.json").write_text(json.dumps(ledger))
        scored = {k: v for k, v in ledger.items() if k not in {"prompt_tokens", "generated_tokens"}}
        scored |= {"verifier_tokens": 3_200_000, "seconds": 30.0}
        (folder / "score" / base / f"{VERIFIER}.ledger.json").write_text(json.dumps(scored))


def write_endings(folder: Path, dataset: str, policy: str, generator: str) -> None:
    """Candidates and grades of a pool that has none yet: of ten, one is unfinished and one has no answer."""
    base = f"{dataset}/{policy}/{generator}.parquet"
    if (folder / "sample" / base).is_file():
        return
    count = 10
    columns: dict[str, list[object]] = {name: [None] * count for name in CANDIDATES.names}
    columns |= {
        "problem_id": ["test-00000"] * count,
        "candidate": list(range(count)),
        "steps": [["The answer is 1.\n"]] * count,
        "step_tokens": [[12]] * count,
        "finish": ["length", *["stop"] * (count - 1)],
        "prompt_tokens": [60] * count,
        "tokens": list(range(12, 12 + count)),
    }
    write_table(folder / "sample" / base, columns, CANDIDATES, {})
    answers = [None, None, *["1"] * (count - 2)]
    grades: dict[str, list[object]] = {
        "problem_id": columns["problem_id"],
        "candidate": columns["candidate"],
        "answer": list(answers),
        "answer_class": [-1 if answer is None else 0 for answer in answers],
        "correct": [answer is not None for answer in answers],
    }
    write_table(folder / "grade" / base, grades, GRADES, {})
