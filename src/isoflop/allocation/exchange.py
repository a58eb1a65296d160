"""Pretraining against test-time compute (Snell et al. 2024, section 7).

Pretraining a model of N parameters on D_pretrain tokens takes X = 6 N D_pretrain FLOPs, and all its inference
Y = 2 N D_inference. A model M times larger costs M (X + Y). A small model that is given as much spends the
rest at test time: its inference may cost M + 3 (D_pretrain / D_inference) (M - 1) times as much.
"""

from isoflop.errors import UserError


def inference_multiplier(size_ratio: float, ratio: float, data_ratio: float = 1.0) -> float:
    """How many times its inference compute the small model may spend for the larger one's total.

    `size_ratio`: M, the larger model's parameters over the smaller's. `ratio`: R = D_inference / D_pretrain,
    the latter the small model's. `data_ratio`: the larger model's pretraining tokens over the smaller's; the
    paper has 1, for which this is M + 3 (M - 1) / R. Raises UserError unless M is above 1, and the others
    above 0.
    """
    if not size_ratio > 1.0:
        raise UserError(f"the larger model must be larger: its size is {size_ratio:g} times the smaller's")
    for name, value in (("ratio", ratio), ("data_ratio", data_ratio)):
        if not value > 0.0:
            raise UserError(f"{name}: {value:g} is no ratio of tokens to tokens; give one above 0")
    multiplier = size_ratio + 3.0 / ratio * (size_ratio * data_ratio - 1.0)
    if multiplier <= 0.0:
        raise UserError(
            f"data_ratio: {data_ratio:g}: the larger model was so much cheaper to train that the smaller has "
            "nothing to spend; compare models trained on similar data"
        )
    return multiplier
