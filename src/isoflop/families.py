"""Sizes inside a family of policies."""

from collections.abc import Mapping
from itertools import pairwise


def next_sizes(parameters: Mapping[str, int], families: Mapping[str, str]) -> list[tuple[str, str]]:
    """Every policy with every policy of the next larger size of its family, from small to large.

    `parameters`: by policy. `families`: by policy, `all` where one is not named. Policies of equal size are
    no pair.
    """
    groups: dict[str, dict[int, list[str]]] = {}
    for policy, size in parameters.items():
        groups.setdefault(families.get(policy, "all"), {}).setdefault(size, []).append(policy)
    pairs = []
    for group in groups.values():
        sizes = sorted(group)
        for small, large in pairwise(sizes):
            pairs += [(one, other) for one in group[small] for other in group[large]]
    return pairs
