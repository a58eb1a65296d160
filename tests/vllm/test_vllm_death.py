"""A vLLM engine whose processes are killed while it writes."""

from pathlib import Path

import psutil
import pytest

from isoflop.config.models import Policy
from isoflop.data.word_problems import generate_problems
from isoflop.engines.registry import GenerationRequest
from isoflop.engines.vllm_policy import VllmPolicy
from isoflop.errors import UserError

MODEL = str(Path(__file__).parents[2] / "resources" / "models" / "policy-0.1M")


def test_a_dead_engine_is_one_line() -> None:
    before = set(psutil.Process().children(recursive=True))
    policy = VllmPolicy(Policy(model=MODEL, engine="vllm"), batch_size=4)
    engines = set(psutil.Process().children(recursive=True)) - before
    requests = [
        GenerationRequest(problem.prompt + "\n", seed, 200)
        for problem in generate_problems("test", 8, seed=3)
        for seed in range(4)
    ]
    seen: list[int] = []

    def kill(finished: int, tokens: int) -> None:
        seen.append(finished)
        for process in engines:
            process.kill()

    with pytest.raises(UserError, match=r"vLLM's engine died.*only what is unfinished") as caught:
        policy.generate(requests, progress=kill)
    assert "\n" not in str(caught.value)
    assert sum(seen) < len(requests)
    policy.close()
