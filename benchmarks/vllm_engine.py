"""Tokens per second of the sampling stage through vLLM, against `LLM.generate` and against transformers.

    OMP_NUM_THREADS=2 .venv-vllm/bin/python benchmarks/vllm_engine.py [--model resources/models/policy-0.9M]

(`make test-vllm` sets up .venv-vllm.) The stage's work on every chunk of problems - requests, engine, steps,
table - is timed with engine `vllm`, in chunks and in one, and with engine `transformers`. `generate` gets all
prompts at once, as token ids, with the same parameters and seeds, in the very same vLLM engine (`bare`), and
once more without log-probabilities (`bare, no logprobs`). The engine's start is not counted, rounds alternate
and the first one warms up. Printed are minimum, median and maximum of tokens per second, this process's own
processor time per token (vLLM's model runs in others; on a busy machine it is the one to compare), and ratios
of the medians: the stage to `bare` (aim: at least 0.97), and transformers to vLLM.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from isoflop.config.models import Policy as PolicyEntry
from isoflop.data.word_problems import generate_problems
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.registry import Policy
from isoflop.engines.request_queue import JoiningPolicy
from isoflop.engines.vllm_policy import VllmPolicy
from isoflop.engines.vllm_settings import VllmSettings, engine_arguments, settle_environment
from isoflop.files import Problem
from isoflop.specs import SAMPLE_VERSION, SampleSpec
from isoflop.stages.sample import candidates_table, requests_for


class _SharedPolicy(VllmPolicy):
    """The policy in an engine that has been started already."""

    def __init__(self, entry: PolicyEntry, engine: Any) -> None:
        JoiningPolicy.__init__(self, entry)
        self._entry = entry
        self._engine, self.longest = engine, int(engine.model_config.max_model_len)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="resources/models/policy-0.9M")
    parser.add_argument("--problems", type=int, default=50)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--chunk", type=int, default=25, help="problems per chunk of the stage")
    parser.add_argument("--batch-size", type=int, default=256, help="requests in flight at once")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    entry = PolicyEntry(model=options.model, engine="vllm")
    plain = TransformersPolicy(PolicyEntry(model=options.model), batch_size=options.batch_size)
    settle_environment()

    from vllm import LLM, SamplingParams  # noqa: PLC0415  after it is settled how vLLM logs

    llm = LLM(**engine_arguments(entry, VllmSettings(), max_num_seqs=options.batch_size))
    policy = _SharedPolicy(entry, llm.llm_engine)
    problems = [(one.problem_id, one.prompt) for one in generate_problems("test", options.problems, seed=1)]

    def spec(round_: int) -> SampleSpec:
        generator = {"kind": "sampling", "samples": options.samples, "max_tokens": 224}
        content = {
            "policy": {"model": options.model, "engine": "vllm"},
            "generator": generator,
            "seed": round_,
            "version": SAMPLE_VERSION,
        }
        return SampleSpec.model_validate_json(json.dumps(content))

    def stage(engine: Policy, size: int) -> Callable[[int], int]:
        def run(round_: int) -> int:
            one, tokens = spec(round_), 0
            for start in range(0, len(problems), size):
                chunk: list[Problem] = problems[start : start + size]
                requests = [request for problem in chunk for request in requests_for(one, problem)]
                completions = engine.generate(requests)
                table = candidates_table(chunk, options.samples, completions, one.policy.step_separator)
                tokens += sum(table["tokens"].to_pylist())
            return tokens

        return run

    def bare(logprobs: int | None) -> Callable[[int], int]:
        def run(round_: int) -> int:
            requests = [request for problem in problems for request in requests_for(spec(round_), problem)]
            prompts = [
                {"prompt_token_ids": list(ids)}
                for ids in policy.prompts.ids([one.prompt for one in requests])
            ]
            parameters = [
                SamplingParams(
                    temperature=one.temperature,
                    top_p=one.top_p,
                    seed=one.seed,
                    max_tokens=one.max_tokens,
                    stop_token_ids=sorted(policy.ends),
                    logprobs=logprobs,
                )
                for one in requests
            ]
            outputs = llm.generate(prompts, parameters, use_tqdm=False)
            return sum(len(output.outputs[0].token_ids) for output in outputs)

        return run

    runs = {
        "stage": stage(policy, options.chunk),
        "stage, one chunk": stage(policy, len(problems)),
        "bare": bare(0),
        "bare, no logprobs": bare(None),
        "transformers": stage(plain, options.chunk),
    }
    rates: dict[str, list[float]] = {name: [] for name in runs}
    own: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(options.rounds + 1):
        for name, run in runs.items():
            begun, used = time.perf_counter(), time.process_time()
            tokens = run(round_)
            rate = tokens / (time.perf_counter() - begun)
            print(f"round {round_}: {name} {rate:,.0f} tokens/s", file=sys.stderr, flush=True)
            if round_:
                rates[name].append(rate)
                own[name].append((time.process_time() - used) / tokens)
    policy.close()
    print(f"{options.problems} problems x {options.samples}, chunks of {options.chunk}, ", end="")
    print(f"{options.batch_size} requests at once")
    for name, values in rates.items():
        print(
            f"{name:18} {min(values):8,.0f} {statistics.median(values):8,.0f} {max(values):8,.0f} "
            f"tokens/s (min, median, max), {1e6 * statistics.median(own[name]):5.0f} us of its own per token"
        )
    median = {name: statistics.median(values) for name, values in rates.items()}
    for name in ("stage", "stage, one chunk"):
        print(f"{name} to bare {median[name] / median['bare']:.3f} (aim 0.97), ", end="")
        print(f"to bare without log-probabilities {median[name] / median['bare, no logprobs']:.3f}")
    print(f"transformers to vLLM {median['transformers'] / median['stage']:.2f}")


if __name__ == "__main__":
    main()
