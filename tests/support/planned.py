"""Studies for forecasts: one data set, policy and verifier; sizes and lengths easy to reckon with."""

import json
from collections.abc import Mapping
from typing import Any

from isoflop.costs import ModelShape
from isoflop.forecast.time import Placed
from isoflop.forecast.tokens import Lengths
from isoflop.forecast.work import Known, StudyWork

LENGTHS = Lengths(prompt=100, solution=50, steps=5)


def placed(parameters: int = 1_000_000, width: int = 0, **settings: Any) -> Placed:
    """A model; of width 0 its attention costs nothing."""
    # A real shape has attention; hand-worked cases leave it out.
    shape = ModelShape.model_construct(
        parameters=parameters, embedding_parameters=0, layers=1, attention_width=width
    )
    return Placed(shape, width, **settings)


def study(
    generators: Mapping[str, Mapping[str, Any]], verifiers: tuple[str, ...] = (), **planning: Any
) -> StudyWork:
    use = {"model": "models/m"}
    content = {
        "datasets": ["words"],
        "policies": {"small": use},
        "verifiers": {"prm": use},
        "generators": generators,
        "pools": [["words", "small", name] for name in generators],
        "verifiers_of": dict.fromkeys(generators, verifiers),
        "planning": planning,
    }
    return StudyWork.model_validate_json(json.dumps(content))


def known(
    problems: int = 100,
    lengths: Lengths = LENGTHS,
    chunk_problems: int = 25,
    policy: Placed | None = None,
    verifier: Placed | None = None,
) -> Known:
    return Known(
        problems={"words": problems},
        lengths={("words", "small"): lengths},
        policies={"small": policy or placed()},
        verifiers={"prm": verifier or placed()},
        trained={},
        chunk_problems=chunk_problems,
    )
