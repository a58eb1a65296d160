"""Tokens per second of tree searches, end to end, against plain sampling with the same engine and batches.

    python benchmarks/search.py [--model resources/models/policy-0.9M] [--width 16] [--problems 100]

Each round samples, then runs every search on problems of its own, as each is a job of its own in the
workflow: policy, verifier and driver together. Printed are the median rate of generated tokens, its ratio to
sampling's (aim: at least 0.6), and the share of the time that the driver itself took (aim: at most 5%). The
first round only warms up.
"""

import argparse
import gc
import statistics
import time

import torch

from isoflop.config.generators import TreeSearch
from isoflop.config.models import Policy
from isoflop.data.word_problems import generate_problems
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.registry import GenerationRequest
from isoflop.search.algorithms.beam import Beam
from isoflop.search.algorithms.dvts import Dvts
from isoflop.search.algorithms.lookahead import Lookahead
from isoflop.search.algorithms.mcts import Mcts
from isoflop.search.algorithms.rebase import Rebase
from isoflop.search.driver import Driver, Task, Texts
from isoflop.search.registry import new_tree, start
from isoflop.verifiers.hf_verifier import TransformersVerifier
from isoflop.verifiers.kinds.math_shepherd import MathShepherd


def _prompts(count: int, seed: int) -> list[str]:
    return [problem.prompt + "\n" for problem in generate_problems("test", count, seed=seed)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="resources/models/policy-0.9M")
    parser.add_argument("--verifier", default="resources/models/prm-1.7M")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    width = options.width
    policy = TransformersPolicy(Policy(model=options.model), batch_size=options.batch_size)
    verifier = TransformersVerifier(
        MathShepherd(kind="math-shepherd", model=options.verifier, prompt="{problem}\n"), settle=True
    )
    gc.freeze()  # as the stage does
    lengths = {"budgets": (width,), "max_tokens": 224, "max_step_tokens": 64}
    searches: dict[str, TreeSearch] = {
        "rebase": Rebase(kind="rebase", **lengths),
        "beam": Beam(kind="beam", **lengths),
        "dvts": Dvts(kind="dvts", **lengths),
        "lookahead": Lookahead(kind="lookahead", **lengths),
        "mcts": Mcts(kind="mcts", **lengths | {"budgets": (2 * width,)}),
    }
    rates: dict[str, list[float]] = {name: [] for name in ("sampling", *searches)}
    shares: dict[str, list[float]] = {name: [] for name in searches}
    for round_ in range(options.rounds + 1):
        # New problems every time, so that nothing read before is kept.
        texts_of = iter(_prompts(options.problems, seed) for seed in range(8 * round_ + 1, 8 * round_ + 9))
        prompts = next(texts_of)
        begun = time.perf_counter()
        done = policy.generate(
            [
                GenerationRequest(prompt, width * place + number, 224)
                for place, prompt in enumerate(prompts)
                for number in range(width)
            ]
        )
        seconds = {"sampling": time.perf_counter() - begun}
        tokens = {"sampling": sum(len(completion.pieces) for completion in done)}
        for name, entry in searches.items():
            driver, tasks = Driver(policy, verifier, seed=round_), []
            for prompt in next(texts_of):
                tree = new_tree(entry)
                texts = Texts(prompt, prompt, "\n", 1.0)
                tasks.append(Task((name, prompt), texts, tree, start(entry, entry.budgets[0], tree)))
            begun = time.perf_counter()
            driver.run(tasks)
            seconds[name] = time.perf_counter() - begun
            tokens[name] = sum(task.usage.generated for task in tasks)
            if round_:
                shares[name].append(driver.own_seconds / seconds[name])
        if round_:
            for name, taken in seconds.items():
                rates[name].append(tokens[name] / taken)
    plain = statistics.median(rates["sampling"])
    print(f"{options.problems} problems x width {width}, {options.model}, {options.threads} threads")
    print("generated tokens/s: median (range), ratio to sampling, share of the driver")
    for name, found in rates.items():
        rate = statistics.median(found)
        line = f"{name:10} {rate:8,.0f} ({min(found):,.0f}-{max(found):,.0f})  {rate / plain:.2f} of sampling"
        print(line + (f", driver {statistics.median(shares[name]):.1%}" if name in shares else ""))


if __name__ == "__main__":
    main()
