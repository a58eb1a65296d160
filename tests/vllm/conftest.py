"""These tests run the real vLLM engine on a CPU: `make test-vllm` installs it and runs them."""

import importlib.util
import os

import pytest

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("vllm") is None:
        reason = "vLLM is not installed here: make test-vllm installs it and runs this"
        for item in items:
            if "tests/vllm" in item.path.as_posix():
                item.add_marker(pytest.mark.skip(reason=reason))
