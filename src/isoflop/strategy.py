"""How one answer comes about, and the names that strategies go by in tables and sentences."""

from dataclasses import dataclass

NEEDS_VERIFIER = frozenset({"weighted", "best_of_n"})
SELECTOR_NAMES = {
    "none": "greedy",
    "majority": "majority voting",
    "weighted": "weighted voting",
    "best_of_n": "best-of-n",
    "pass": "pass@k (oracle)",
}
SELECTOR_SHORT = {"none": "greedy", "majority": "mv", "weighted": "wv", "best_of_n": "bon", "pass": "pass"}
# Greedy first, then the order of Wu et al. 2024, Table 4.
SELECTOR_ORDER = ("none", "majority", "best_of_n", "weighted", "pass")


@dataclass(frozen=True)
class Strategy:
    """How one answer comes about: a generator and, where there is something to pick, a selector."""

    generator: str
    selector: str
    verifier: str = "none"
    step_aggregation: str = "none"

    @property
    def short(self) -> str:
        """The name in the layout of Wu et al. 2024, Table 4: `sampling+wv`, or `greedy`."""
        if self.selector == "none":
            return self.generator
        return f"{self.generator}+{SELECTOR_SHORT.get(self.selector, self.selector)}"

    @property
    def name(self) -> str:
        """The name in a sentence: `weighted voting`, or `greedy`."""
        return SELECTOR_NAMES.get(self.selector, self.selector)
