"""Pretraining against test-time compute (Snell et al. 2024, section 7).

Pretraining a model of N parameters on D_pretrain tokens takes X = 6 N D_pretrain FLOPs, and all its inference
Y = 2 N D_inference. A model M times larger costs M (X + Y). A small model that is given as much spends the
rest at test time: its inference may cost M + 3 (D_pretrain / D_inference) (M - 1) times as much.
"""

from isoflop.errors import UserError


def inference_multiplier(size_ratio: float, ratio: float, data_ratio: float = 1.0) -> float:
    """How many times its inference compute the small model may spend for the larger one's total.

    Parameters
    ----------
    size_ratio
        M, the larger model's parameters over the smaller's, above 1.
    ratio
        R = D_inference / D_pretrain, the latter the small model's, above 0.
    data_ratio
        The larger model's pretraining tokens over the smaller's, above 0; the paper has 1.

    Raises
    ------
    UserError
        For a ratio out of its range, and where the small model has nothing to spend.

    Notes
    -----
    M + 3 (M - 1) / R for a data ratio of 1; in general M + 3 (M data_ratio - 1) / R.

    References
    ----------
    Snell et al. 2024, Scaling LLM Test-Time Compute Optimally, section 7. doi:10.48550/arXiv.2408.03314
    """
    if not size_ratio > 1.0:
        raise UserError(f"the larger model must be larger: its size is {size_ratio:g} times the smaller's")
    for name, value in (("ratio", ratio), ("data_ratio", data_ratio)):
        if not value > 0.0:
            raise UserError(f"{name}: {value:g} is not a ratio of token counts; give one above 0")
    multiplier = size_ratio + 3.0 / ratio * (size_ratio * data_ratio - 1.0)
    if multiplier <= 0.0:
        raise UserError(
            f"data_ratio: {data_ratio:g}: the larger model was so much cheaper to train that the smaller has "
            "nothing to spend; compare models trained on similar data"
        )
    return multiplier
