"""Figures of choice where policies have families of their own."""

import pandas as pd
from matplotlib import pyplot as plt

from isoflop.choice_figures import accuracy_by_bin_figure


def test_a_policy_has_panels_for_its_own_families_alone() -> None:
    pairs = [("small", "search", "beam"), ("reviser", "ratios", "revisions/2")]
    rows = [
        {
            "dataset": "math", "policy": policy, "family": family, "strategy": strategy, "samples": samples,
            "difficulty": "oracle", "bin": bin, "accuracy": 0.5, "ci_low": 0.4, "ci_high": 0.6,
        }
        for policy, family, strategy in pairs
        for samples in (2, 4)
        for bin in ("1", "2")
    ]  # fmt: skip
    figure = accuracy_by_bin_figure(pd.DataFrame(rows))
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in shown] == ["small", "reviser"]
    assert [axes.get_ylabel().split("\n")[0] for axes in shown] == ["search", "ratios"]
    plt.close(figure)
