"""What all tests share: their order, and stages that start warm."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

# pytest puts this folder on the path for this file, and `vllm` would be its folder of that name.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]

# The longest files first, so that no process waits for the last of them.
_FIRST = (
    "end_to_end/test_shipped_experiment.py",
    "end_to_end/test_rehearsed_studies.py",
    "workflow/test_deployments.py",
    "end_to_end",
    "workflow",
    "training",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort them by file, longest first; tests of a file stay in their order."""
    folder = Path(__file__).parent

    def turn(item: pytest.Item) -> int:
        path = item.path.relative_to(folder).as_posix()
        return next((place for place, name in enumerate(_FIRST) if path.startswith(name)), len(_FIRST))

    items.sort(key=turn)


@pytest.fixture(scope="session")
def warmed() -> Iterator[Mapping[str, str]]:
    """The environment in which stages are forked from one process that has their imports."""
    from isoflop.stages.shared.warm import warm

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_CURRENT_TEST", raising=False)
        with warm() as environment:
            yield environment
