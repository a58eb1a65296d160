"""How one answer comes about, and the words of tables and sentences for it."""

from dataclasses import dataclass
from typing import NamedTuple

from isoflop.registries import SELECTORS

NONE = "none"
"""In tables, the verifier, selector or step aggregation where none is used."""
NO_ANSWER = -1
"""The answer class of a candidate without an answer, which never votes and is never right."""
LIMIT = 0
"""The budget that stands for infinitely many samples."""


class Picking(NamedTuple):
    """How one of several candidates is picked; "none" where a part is not used."""

    verifier: str
    selector: str
    step_aggregation: str


@dataclass(frozen=True)
class Strategy:
    """How one answer comes about: a generator and, where there is something to pick, a selector."""

    generator: str
    selector: str
    verifier: str = NONE
    step_aggregation: str = NONE

    @property
    def short(self) -> str:
        """The name in the layout of Wu et al. 2024, Table 4: `sampling+wv`, or `greedy`."""
        return self.generator if self.selector == NONE else f"{self.generator}+{short_name(self.selector)}"

    @property
    def name(self) -> str:
        """The name in a sentence: `weighted voting`, or `greedy`."""
        return selector_name(self.selector)


def selector_name(selector: str) -> str:
    """A selector in a sentence; `greedy` where nothing is picked. Raises UserError for an unknown one."""
    return "greedy" if selector == NONE else SELECTORS[selector].label


def short_name(selector: str) -> str:
    """A selector in the layout of Wu et al. 2024, Table 4. Raises UserError for an unknown one."""
    return "greedy" if selector == NONE else SELECTORS[selector].short


def selector_order() -> tuple[str, ...]:
    """All selectors in the order of reports: greedy, that of Wu et al. 2024, Table 4, the others."""
    return (NONE, *SELECTORS.names)


def needs_verifier(selector: str) -> bool:
    """Whether a selector picks by a verifier's scores. Raises UserError for an unknown one."""
    return selector != NONE and SELECTORS[selector].needs_verifier
