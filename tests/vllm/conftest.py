"""These tests run the real vLLM engine on a CPU: `make test-vllm` installs it and runs them."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from vllm_server import VllmServer

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("vllm") is None:
        reason = "vLLM is not installed here: make test-vllm installs it and runs this"
        for item in items:
            if "tests/vllm" in item.path.as_posix():
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def vllm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """A server of the shipped policy, started once for all tests."""
    model = Path(__file__).parents[2] / "resources" / "models" / "policy-0.9M"
    with VllmServer(str(model), tmp_path_factory.mktemp("server") / "log.txt") as server:
        yield server
