"""Tokens per second of tree searches, end to end, against plain sampling, and against sampling plus scoring.

    python benchmarks/search.py [--model resources/models/policy-0.9M] [--width 16] [--problems 100]

A search reads with its verifier what it writes, so the fair measure is not sampling alone: the same policy
samples solutions of the same problems in the same batches and the verifier scores them as the stage `score`
does, all in the same run. Nothing that is read is kept from one part of a round for the next, and the parts
take turns at being first. Printed are medians of generated tokens per second of processor time, their ratios
to sampling and to sampling plus scoring, the share of the time that verifier and driver took, and how many
tokens the policy computed for each one that it generated: what is drawn alike is computed once, of which
sixteen samples of one prompt have more than two children of a step. A short first round only warms up.
"""

import argparse
import gc
import statistics
import time
from dataclasses import dataclass, replace

import torch

from isoflop.config.generators import TreeSearch
from isoflop.config.models import Policy
from isoflop.data.word_problems import generate_problems
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.kv_cache import SegmentStore
from isoflop.engines.registry import GenerationRequest, ScoreRequest
from isoflop.engines.steps import split_steps
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


# Problems of the first round, and what policy and verifier may keep.
_WARM, _KEPT_BYTES = 4, 2**30


@dataclass(frozen=True)
class Taken:
    """What one part of a round took.

    `tokens`: generated. `seconds`: of processor time, of sampling without `verifier`, of a search with it and
    with `driver`. `computed`: tokens that the policy decoded.
    """

    tokens: int
    seconds: float
    verifier: float
    driver: float = 0.0
    computed: int = 0

    @property
    def rate(self) -> float:
        """Generated tokens per second."""
        return self.tokens / self.seconds


def _sampled(
    policy: TransformersPolicy, scorer: TransformersVerifier, prompts: list[str], width: int
) -> Taken:
    begun = time.process_time()
    requests = [
        GenerationRequest(prompt, width * place + number, 224)
        for place, prompt in enumerate(prompts)
        for number in range(width)
    ]
    done = policy.generate(requests)
    sampled = time.process_time()
    scorer.score(
        [
            ScoreRequest(request.prompt, tuple(split_steps(one.text, "\n")))
            for request, one in zip(requests, done, strict=True)
        ]
    )
    tokens = sum(len(completion.pieces) for completion in done)
    return Taken(tokens, sampled - begun, time.process_time() - sampled)


def _searched(driver: Driver, entry: TreeSearch, name: str, prompts: list[str]) -> Taken:
    tasks = []
    for prompt in prompts:
        tree = new_tree(entry)
        texts = Texts(prompt, prompt, "\n", 1.0)
        tasks.append(Task((name, prompt), texts, tree, start(entry, entry.budgets[0], tree)))
    begun, began = time.process_time(), time.perf_counter()
    driver.run(tasks)
    seconds = time.process_time() - begun
    # The driver's clock is the wall's, so its shares are.
    shared = seconds / (time.perf_counter() - began)
    tokens = sum(task.usage.generated for task in tasks)
    return Taken(tokens, seconds, driver.scoring_seconds * shared, driver.own_seconds * shared)


def _total(all_taken: list[Taken], what: str) -> float:
    return sum(getattr(one, what) for one in all_taken)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="resources/models/policy-0.9M")
    parser.add_argument("--verifier", default="resources/models/prm-1.7M")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--searches", nargs="+", default=["rebase", "beam", "dvts", "lookahead", "mcts"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    width = options.width
    policy = TransformersPolicy(Policy(model=options.model), batch_size=options.batch_size)
    entry = MathShepherd(kind="math-shepherd", model=options.verifier, prompt="{problem}\n")
    scorer, guide = TransformersVerifier(entry, batch_tokens=2048), TransformersVerifier(entry, settle=True)
    gc.freeze()  # as the stage does
    lengths = {"budgets": (width,), "max_tokens": 224, "max_step_tokens": 64}
    searches: dict[str, TreeSearch] = {
        "rebase": Rebase(kind="rebase", **lengths),
        "beam": Beam(kind="beam", **lengths),
        "dvts": Dvts(kind="dvts", **lengths),
        "lookahead": Lookahead(kind="lookahead", **lengths),
        "mcts": Mcts(kind="mcts", **lengths | {"budgets": (2 * width,)}),
    }
    names = ["sampling", *options.searches]
    found: dict[str, list[Taken]] = {name: [] for name in names}
    for round_ in range(options.rounds + 1):
        prompts = _prompts(options.problems if round_ else _WARM, round_ + 1)
        first = round_ % len(names)
        for name in names[first:] + names[:first]:
            policy._store, guide._store = SegmentStore(_KEPT_BYTES), SegmentStore(_KEPT_BYTES)
            computed = policy.computed
            if name == "sampling":
                taken = _sampled(policy, scorer, prompts, width)
            else:
                taken = _searched(Driver(policy, guide, seed=round_), searches[name], name, prompts)
            if round_:
                found[name].append(replace(taken, computed=policy.computed - computed))
    plain = statistics.median(one.rate for one in found["sampling"])
    scored = statistics.median(one.tokens / (one.seconds + one.verifier) for one in found["sampling"])
    print(f"{options.problems} problems x width {width}, {options.model}, {options.threads} threads")
    print("tokens per second of processor time: median (range)")
    for name, all_taken in found.items():
        rates = [one.rate for one in all_taken]
        rate, computed_share = (
            statistics.median(rates),
            _total(all_taken, "computed") / _total(all_taken, "tokens"),
        )
        line = f"{name:10} {rate:8,.0f} ({min(rates):,.0f}-{max(rates):,.0f}), computed {computed_share:.2f}"
        if name == "sampling":
            print(f"{line}; with scoring {scored:,.0f}")
            continue
        seconds = _total(all_taken, "seconds")
        shares = (_total(all_taken, part) / seconds for part in ("verifier", "driver"))
        print(
            f"{line}; {rate / plain:.2f} of sampling, {rate / scored:.2f} of sampling and scoring; "
            "verifier {:.0%}, driver {:.1%}".format(*shares)
        )


if __name__ == "__main__":
    main()
