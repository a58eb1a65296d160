"""How well step scores tell right steps from wrong ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from isoflop.config.training import PrmTraining
from isoflop.errors import UserError
from isoflop.verifiers.heads import Head
from isoflop.verifiers.hf_verifier import score_encoded
from isoflop.verifiers.layouts import token_id


def step_auc(scores: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """The chance that a random right step scores above a random wrong one; ties count half.

    `scores` and `right` are [steps]. Raises UserError unless there are steps of both kinds.
    """
    rights = int(right.sum())
    wrongs = len(right) - rights
    if rights == 0 or wrongs == 0:
        raise UserError(f"step AUC needs right and wrong steps; there are {rights} and {wrongs}")
    # In the scores' own precision ranks would overflow or be rounded.
    known = scores.astype(np.float64)
    return float(mannwhitneyu(known[right], known[~right], method="asymptotic").statistic / (rights * wrongs))


def held_out_auc(
    training: PrmTraining,
    model: Any,
    tokenizer: Any,
    examples: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
) -> dict[str, float]:
    """AUC of the steps, or whole answers, of each policy's held-out solutions.

    `examples`: as they are encoded, each with its `row` of the table of labels, `rows`. A policy whose steps
    are all right, or all wrong, has none: there is nothing to tell apart.
    """
    good, bad = token_id(tokenizer, training.good_token), token_id(tokenizer, training.bad_token)
    encoded = [
        (example["input_ids"], [place for place, label in enumerate(example["labels"]) if label >= 0])
        for example in examples
    ]
    output = model.get_output_embeddings()
    scores = score_encoded(model, encoded, Head.pair(output.weight, output.bias, (good, bad)))
    judged = [rows[example["row"]] for example in examples]
    what = "step AUC" if training.data.chain_labels is None else "AUC"
    measures = {}
    for policy in dict.fromkeys(row["policy"] for row in judged):
        chosen = [place for place, row in enumerate(judged) if row["policy"] == policy]
        truth = np.concatenate([_truth(judged[place]) for place in chosen])
        if truth.any() and not truth.all():
            measures[f"{what}, solutions of {policy}"] = step_auc(
                np.concatenate([scores[place] for place in chosen]), truth
            )
    return measures


def _truth(row: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Whether each step is right: known exactly where the problem can be checked, else by rollouts."""
    if row["truth"] is not None:
        return np.array(row["truth"], dtype=bool)
    return np.array(row["labels"]) >= 0.5
