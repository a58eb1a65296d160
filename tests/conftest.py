"""What all tests share: stages that start warm."""

from collections.abc import Iterator, Mapping

import pytest

from isoflop.rehearsal.warm_stages import warm


@pytest.fixture(scope="session")
def warmed() -> Iterator[Mapping[str, str]]:
    """The environment in which stages are forked from one process that has their imports."""
    with warm() as environment:
        yield environment
