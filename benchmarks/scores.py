"""What it costs that scores do not depend on the batch, and how far rounding moves them.

    python benchmarks/scores.py [--verifiers resources/models/prm-1.7M resources/models/orm-1.7M]

Scores solutions of a shipped policy twice: as computed in float32, and settled on a grid with the doubtful
ones found in float64 (isoflop.verifiers.settling). Rounds alternate in order; medians of processor time are
printed. Then the largest difference of the log-odds of a score between float32 in two batchings, and between
float32 and float64, beside what is taken for close; and the share of scores that were found again.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy.special import logit

from isoflop.config.generators import Sampling
from isoflop.config.models import Policy
from isoflop.data.word_problems import generate_problems
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.registry import GenerationRequest, ScoreRequest
from isoflop.engines.steps import split_steps
from isoflop.seeds import derive_seed
from isoflop.verifiers.hf_verifier import TransformersVerifier, score_encoded
from isoflop.verifiers.kinds.causal_orm import CausalOrm
from isoflop.verifiers.kinds.math_shepherd import MathShepherd
from isoflop.verifiers.registry import tag_solutions
from isoflop.verifiers.settling import SCORED


def solutions(policy: str, problems: int, samples: int) -> list[ScoreRequest]:
    """Solutions of `problems` problems, each sampled `samples` times."""
    drawing = Sampling(kind="sampling", samples=samples, max_tokens=224).drawing()
    drawn = generate_problems("test", problems, seed=1)
    requests = [
        GenerationRequest(
            prompt=problem.prompt + "\n", seed=derive_seed("s", place, number), max_tokens=224, **drawing
        )
        for place, problem in enumerate(drawn)
        for number in range(samples)
    ]
    written = TransformersPolicy(Policy(model=policy), batch_size=2048).generate(requests)
    return [
        ScoreRequest(request.prompt, tuple(split_steps(one.text, "\n")))
        for request, one in zip(requests, written, strict=True)
    ]


def processor_time(work: Callable[[], object]) -> float:
    """Seconds of processor time that the work takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--policy", default="resources/models/policy-0.9M")
    parser.add_argument(
        "--verifiers", nargs="+", default=["resources/models/prm-1.7M", "resources/models/orm-1.7M"]
    )
    parser.add_argument("--problems", type=int, default=25)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    asked = solutions(options.policy, options.problems, options.samples)
    for model in options.verifiers:
        entry = (
            CausalOrm(kind="causal-orm", model=model, prompt="{problem}\n")
            if "orm" in model
            else MathShepherd(kind="math-shepherd", model=model, prompt="{problem}\n")
        )
        verifier = TransformersVerifier(entry)
        distinct = [(one.prompt, one.steps) for one in dict.fromkeys(asked)]
        tagged = tag_solutions(verifier._tokenizer, entry, distinct)
        texts = [(one.ids, one.places) for one in tagged]
        plain: list[float] = []
        settled: list[float] = []
        for round_ in range(options.rounds):
            works: list[tuple[list[float], Callable[[], object]]] = [
                (plain, partial(score_encoded, verifier._model, texts, verifier._head)),
                (settled, partial(verifier._scored, texts, None)),
            ]
            for times, work in works[:: 1 if round_ % 2 else -1]:
                times.append(processor_time(work))
        again = verifier.settled / options.rounds
        one, other = (
            logit(np.concatenate(score_encoded(verifier._model, texts, verifier._head, size)))
            for size in (8192, 700)
        )
        verifier._model.double()
        exact = logit(np.concatenate(score_encoded(verifier._model, texts, verifier._head)))
        before, after = statistics.median(plain), statistics.median(settled)
        print(
            f"{model}: {len(texts):,} texts, {len(one):,} scores; {before:.2f} s as computed, {after:.2f} s "
            f"settled ({after / before - 1:+.0%}); {again / len(one):.1%} of scores again; log-odds: "
            f"{np.abs(one - other).max():.1e} between batchings, {np.abs(one - exact).max():.1e} from "
            f"float64 (close: {SCORED.reach:.0e})"
        )


if __name__ == "__main__":
    main()
