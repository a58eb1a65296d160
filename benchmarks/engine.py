"""Tokens per second of the transformers engine against transformers' own `generate`, side by side.

    python benchmarks/engine.py [--model resources/models/policy-0.9M] [--threads 2]

Both sample the same prompts at temperature 1 with the same weights in float32: 25 problems x 64 samples.
`generate` gets the rows in batches of 512, sorted by length. Rounds alternate; minimum, median and
maximum are printed, and the ratio of the medians. Tokens are those a solution has, its end token included;
ours computes what samples of one problem have in common once: the share it had to compute is printed too.
"""

import argparse
import statistics
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from isoflop.config.models import Policy
from isoflop.data.word_problems import generate_problems
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.registry import GenerationRequest


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="resources/models/policy-0.9M")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--problems", type=int, default=25)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=2048, help="requests in flight at once, for ours")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    prompts = [problem.prompt + "\n" for problem in generate_problems("test", options.problems, seed=1)]
    policy = TransformersPolicy(Policy(model=options.model), batch_size=options.batch_size)
    tokenizer = AutoTokenizer.from_pretrained(options.model, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    rows = sorted((prompt for prompt in prompts for _ in range(options.samples)), key=len)

    def ours(seed: int) -> int:
        requests = [GenerationRequest(prompt, seed + place, 224) for place, prompt in enumerate(rows)]
        return sum(len(completion.pieces) for completion in policy.generate(requests))

    def theirs(seed: int) -> int:
        torch.manual_seed(seed)
        tokens = 0
        for start in range(0, len(rows), 512):
            inputs = tokenizer(rows[start : start + 512], return_tensors="pt", padding=True)
            output = model.generate(**inputs, max_new_tokens=224, do_sample=True, temperature=1.0, top_k=0)
            written = output[:, inputs["input_ids"].shape[1] :]
            tokens += int((written != tokenizer.pad_token_id).sum())
        return tokens

    rates: dict[str, list[float]] = {"isoflop": [], "generate": []}
    written = 0
    for round_ in range(options.rounds + 1):
        for name, run in (("isoflop", ours), ("generate", theirs)):
            begun = time.perf_counter()
            tokens = run(round_ * 1_000_000)
            written += tokens if name == "isoflop" else 0
            if round_:  # the first round warms both up
                rates[name].append(tokens / (time.perf_counter() - begun))
    for name, values in rates.items():
        print(
            f"{name:9s} {min(values):8,.0f} {statistics.median(values):8,.0f} {max(values):8,.0f} "
            "tokens/s (min, median, max)"
        )
    print(
        f"ratio of medians {statistics.median(rates['isoflop']) / statistics.median(rates['generate']):.2f}"
    )
    print(
        f"of {written:,} tokens, {policy.computed / written:.0%} were computed "
        f"and {policy.settled / written:.2%} settled in float64"
    )


if __name__ == "__main__":
    main()
