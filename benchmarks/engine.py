"""Tokens per CPU-second of the transformers engine against transformers' `generate` and vLLM, side by side.

    OMP_NUM_THREADS=1 python benchmarks/engine.py [--only 9M,shipped] [--rounds 3] [--model FOLDER]
    OMP_NUM_THREADS=1 .venv-vllm/bin/python benchmarks/engine.py       (vLLM too; `make test-vllm` sets it up)

Rows: the shipped policy at temperatures 1 and 1.5, and random Llama models with a vocabulary of 32,768 words:
9M and 125M with peaked logits in float32 and bfloat16, 5M with flat ones; `--model` adds a checkpoint's own
row, in `--dtype` and of `--problems` times `--samples` texts of up to `--tokens` tokens. All engines get the
same prompts and temperature, `generate` 256 of the texts, sorted by length. Rounds alternate, the first one
warms up; medians are printed. Processor time is that of this process and its children: what counts where a
machine is shared, and all there is with one thread.

Raw tokens are those that texts have, computed ones those that were decoded: ours decodes what samples have in
common once. `settled`: choices made again in float64. `matmul`: what the model's matrices need for the
computed tokens, as a share of the processor time at the speed of large products in the same precision,
measured in the same run; prompts, attention, sampling and settling are in the time and not in the share.
"""

import argparse
import gc
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from isoflop.config.models import Policy
from isoflop.data.word_problems import generate_problems
from isoflop.engines.checkpoints import DTYPES
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.registry import GenerationRequest
from isoflop.engines.vllm_policy import VllmPolicy
from isoflop.training.word_tokenizer import build_tokenizer

_WORDS = 32_768
# Texts that `generate` and vLLM have in flight.
_AT_ONCE = 256
_SHIPPED = "resources/models/policy-0.9M"
# Hidden size, layers, heads, key-value heads, intermediate size, scale of the matrices and of the logits.
_RANDOM = {
    "5M": (64, 6, 2, 1, 512, 0.02, 0.2),
    "9M": (128, 6, 4, 2, 384, 0.08, 3.6),
    "125M": (768, 12, 12, 4, 2048, 0.04, 3.6),
}


@dataclass(frozen=True)
class Row:
    """What is measured, and what it should reach: times `generate` or vLLM, by name."""

    name: str
    model: str
    dtype: str = "float32"
    temperature: float = 1.0
    problems: int = 16
    samples: int = 16
    tokens: int = 64
    goals: tuple[tuple[str, float], ...] = ()


ROWS = (
    Row("shipped, temperature 1", _SHIPPED, "float32", 1.0, 25, 64, 224, (("vllm", 5.0),)),
    Row("shipped, temperature 1.5", _SHIPPED, "float32", 1.5, 25, 64, 224, (("vllm", 2.5),)),
    Row("5M flat float32", "5M", problems=4, samples=16),
    Row("9M float32", "9M", goals=(("vllm", 1.0),)),
    Row("9M bfloat16", "9M", "bfloat16", goals=(("vllm", 1.4),)),
    Row("125M float32", "125M", problems=8, samples=16, tokens=48, goals=(("vllm", 1.0),)),
    Row("125M bfloat16", "125M", "bfloat16", problems=8, samples=16, tokens=48, goals=(("vllm", 1.4),)),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="rows whose names begin so, with commas")
    parser.add_argument("--model", help="folder of a checkpoint for a row of its own")
    parser.add_argument("--dtype", default="float32", choices=DTYPES)
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engines", default="isoflop,generate,vllm")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = [row for row in ROWS if not options.only or row.name.startswith(tuple(options.only.split(",")))]
    if options.model:
        sizes = {name: getattr(options, name) for name in ("problems", "samples", "tokens")}
        name = f"{Path(options.model).name} {options.dtype}"
        rows.append(Row(name, options.model, options.dtype, **sizes))
    engines = [name for name in options.engines.split(",") if name != "vllm" or find_spec("vllm")]
    limits = {dtype: _matmul_limit(DTYPES[dtype]) for dtype in sorted({row.dtype for row in rows})}
    for dtype, limit in limits.items():
        print(f"large products in {dtype}: {limit / 1e9:,.0f} GFLOP/s")
    with tempfile.TemporaryDirectory() as folder:
        for name in {row.model for row in rows} & _RANDOM.keys():
            _save_random(Path(folder) / name, *_RANDOM[name])
        for row in rows:
            path = str(Path(folder) / row.model) if row.model in _RANDOM else row.model
            _measure(row, path, engines, options.rounds, limits[row.dtype])


def _measure(row: Row, path: str, engines: Sequence[str], rounds: int, limit: float) -> None:
    prompts = [problem.prompt + "\n" for problem in generate_problems("test", row.problems, seed=1)]
    texts = [prompt for prompt in prompts for _ in range(row.samples)]
    ours = TransformersPolicy(Policy(model=path, dtype=row.dtype), batch_size=len(texts))  # type: ignore[arg-type]
    vllm = None
    runs: dict[str, Callable[[int], int]] = {}
    for engine in engines:
        if engine == "isoflop":
            runs[engine] = _requests(ours, row, texts)
        elif engine == "generate":
            runs[engine] = _generate(row, path, texts)
        else:
            entry = Policy(model=path, dtype=row.dtype, engine="vllm")  # type: ignore[arg-type]
            vllm = VllmPolicy(entry, batch_size=_AT_ONCE)
            runs[engine] = _requests(vllm, row, texts)
    rates: dict[str, list[float]] = {engine: [] for engine in runs}
    computed, settled, seconds, written = 0, 0, 0.0, 0
    for round_ in range(rounds + 1):
        for engine, run in runs.items():
            before = ours.computed, ours.settled
            begun = _processor_seconds()
            tokens = run(round_ * 1_000_000)
            took = _processor_seconds() - begun
            if not round_:
                continue
            rates[engine].append(tokens / took)
            if engine == "isoflop":
                computed, settled = computed + ours.computed - before[0], settled + ours.settled - before[1]
                seconds, written = seconds + took, written + tokens
    if vllm is not None:
        vllm.close()
    median = {engine: statistics.median(values) for engine, values in rates.items()}
    told = ", ".join(f"{engine} {rate:,.0f}" for engine, rate in median.items())
    print(f"{row.name}: {told} tokens per CPU-second")
    if "isoflop" not in median:
        return
    needed = 2.0 * (ours.shape.parameters - _looked_up(ours)) * computed
    print(
        f"    computed {computed / written:.0%}: {computed / seconds:,.0f} per CPU-second, matmul "
        f"{needed / limit / seconds:.0%}; settled {settled / written:.2%}"
    )
    goals = dict(row.goals)
    for engine, rate in median.items():
        if engine != "isoflop":
            aim = f" (aim {goals[engine]})" if engine in goals else ""
            print(f"    {median['isoflop'] / rate:.2f} x {engine}{aim}", flush=True)
    gc.collect()


def _requests(policy: Any, row: Row, texts: Sequence[str]) -> Callable[[int], int]:
    def run(seed: int) -> int:
        requests = [
            GenerationRequest(text, seed + place, row.tokens, temperature=row.temperature)
            for place, text in enumerate(texts)
        ]
        return sum(len(completion.pieces) for completion in policy.generate(requests))

    return run


def _generate(row: Row, path: str, texts: Sequence[str]) -> Callable[[int], int]:
    tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(path, dtype=DTYPES[row.dtype]).eval()
    ordered = sorted(texts[:: max(1, len(texts) // _AT_ONCE)], key=len)

    def run(seed: int) -> int:
        torch.manual_seed(seed)
        tokens = 0
        for start in range(0, len(ordered), _AT_ONCE):
            inputs = tokenizer(ordered[start : start + _AT_ONCE], return_tensors="pt", padding=True)
            output = model.generate(
                **inputs, max_new_tokens=row.tokens, do_sample=True, temperature=row.temperature, top_k=0
            )
            written = output[:, inputs["input_ids"].shape[1] :]
            tokens += int((written != tokenizer.pad_token_id).sum())
        return tokens

    return run


def _looked_up(policy: TransformersPolicy) -> int:
    """Parameters that no product is made with: input embeddings that are not the output's too."""
    model = policy._model
    inputs, outputs = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    return 0 if inputs is outputs else inputs.numel()


def _processor_seconds() -> float:
    """Of this process and all that it has started and are still running."""
    process = psutil.Process()
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def _matmul_limit(dtype: torch.dtype) -> float:
    """FLOP per CPU-second of large products."""
    rows, width = 512, 2048
    left, right = torch.ones(rows, width, dtype=dtype), torch.ones(width, width, dtype=dtype)
    torch.nn.functional.linear(left, right)
    speeds = []
    for _ in range(5):
        begun = _processor_seconds()
        for _ in range(20):
            torch.nn.functional.linear(left, right)
        speeds.append(20 * 2.0 * rows * width * width / (_processor_seconds() - begun))
    return max(speeds)


def _save_random(
    folder: Path, hidden: int, layers: int, heads: int, kv_heads: int, inner: int, scale: float, logits: float
) -> None:
    """A random model, whose logits have the given standard deviation, with a tokenizer of as many words."""
    base = build_tokenizer()
    words = dict(base.get_vocab())
    words |= {f"w{number}": number for number in range(len(words), _WORDS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=base.unk_token))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.Fuse()
    special = {name: getattr(base, name) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=_WORDS,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            intermediate_size=inner,
            initializer_range=scale,
            bos_token_id=base.bos_token_id,
            eos_token_id=base.eos_token_id,
            pad_token_id=base.pad_token_id,
        )
    )
    with torch.no_grad():
        model.lm_head.weight.normal_(0.0, logits / hidden**0.5)
    model.save_pretrained(folder)


if __name__ == "__main__":
    main()
