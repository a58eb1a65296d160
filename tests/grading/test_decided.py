"""Verdicts that are known change no class, and what is noted of them does not tell that they were."""

from hypothesis import given
from hypothesis import strategies as st

from isoflop.grading.decided import Decided, basis
from isoflop.grading.equivalence import classify
from isoflop.seeds import derive_seed

ANSWERS = st.sets(st.sampled_from("abcdefgh"), min_size=1)


def verdict(world: int, first: str, second: str) -> bool | None:
    """Symmetric, not always transitive, and now and then undecided."""
    return (None, True, True, False, False, False, False)[
        derive_seed(world, *sorted((first, second))) % 7
    ] if first != second else True  # fmt: skip


@given(st.integers(0, 500), ANSWERS, ANSWERS)
def test_classes_are_those_of_a_table_from_nothing(world: int, before: set[str], now: set[str]) -> None:
    asked: list[tuple[str, str]] = []

    def graded(answers: set[str], decided: Decided) -> object:
        def equivalent(first: str, second: str) -> bool | None:
            low, high = sorted((first, second))

            def decide() -> bool | None:
                asked.append((low, high))
                return verdict(world, low, high)

            return decided.verdict((low, high), decide)

        return classify(answers, "r", equivalent)

    former = Decided()
    graded(before, former)
    alone, grown = Decided(), Decided(former.used)
    asked.clear()
    expected = graded(now, alone)
    from_nothing = list(asked)
    asked.clear()
    assert graded(now, grown) == expected
    assert grown.used == alone.used
    known = [pair for pair in from_nothing if pair not in asked]
    assert len(known) == grown.taken
    assert all(verdict(world, *pair) is not None for pair in known)


def test_verdicts_rest_on_code_and_on_what_runs_programs() -> None:
    assert basis("a") == basis("a") != basis("b")
    assert len({basis("a"), basis("a", programs=True), basis("a", programs=True, unsandboxed=True)}) == 3
