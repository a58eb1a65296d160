"""Grades of files in place of ours, and how the two compare."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from isoflop.grading.published import agreement, regraded
from isoflop.strategy import NO_ANSWER


def test_what_is_compared_has_a_text_and_a_grade() -> None:
    ours = [True, True, False, False, False]
    theirs = [True, False, True, None, True]
    found = agreement(ours, theirs, [True, True, True, True, False], 1)
    assert (found.compared, found.only_here, found.only_there, found.differ) == (3, 1, 1, 2)
    assert found.examples == (1,)


def test_answers_that_the_file_calls_right_are_one_class() -> None:
    # 5 (right), 5 (called wrong), five (called right), 6, 6, none, right without an answer.
    problems, classes = ["a"] * 7, [0, 0, 1, 2, 2, NO_ANSWER, NO_ANSWER]
    ours = [True, True, False, False, False, False, False]
    theirs = [True, False, True, False, False, False, True]
    found = regraded(problems, classes, ours, theirs)
    assert found[0] == found[2] == found[6]
    assert found[3] == found[4]
    assert found[5] == NO_ANSWER
    assert len({found[0], found[1], found[3]}) == 3


SAMPLE = st.tuples(st.sampled_from("ab"), st.integers(-1, 3), st.booleans())


@given(st.lists(SAMPLE, max_size=30))
def test_a_class_is_right_or_wrong_as_a_whole_and_its_own_problems(
    samples: list[tuple[str, int, bool]],
) -> None:
    problems, classes, theirs = ([one[place] for one in samples] for place in range(3))
    ours = [number == 0 for number in classes]
    found = regraded(problems, classes, ours, theirs)
    graded = {
        (problem, number): right for problem, number, right in zip(problems, found, theirs, strict=True)
    }
    for problem, number, right in zip(problems, found, theirs, strict=True):
        assert graded[problem, number] == right
        assert not (right and number == NO_ANSWER)
    # Numbered from 0 without gaps, per problem; of one right class at most.
    for problem in set(problems):
        numbers = {number for name, number in graded if name == problem and number != NO_ANSWER}
        assert numbers == set(range(len(numbers)))
    assert all(count == 1 for count in Counter(name for (name, _), right in graded.items() if right).values())
    # Where the file agrees with us, and everything is answered, the same answers vote together.
    if theirs == ours and NO_ANSWER not in classes:
        pairs = set(zip(problems, classes, found, strict=True))
        assert len(pairs) == len({pair[:2] for pair in pairs}) == len({pair[::2] for pair in pairs})
