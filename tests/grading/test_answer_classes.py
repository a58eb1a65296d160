"""Classes of answers, for any symmetric verdicts, transitive or not, some of them undecided."""

from collections import Counter
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from isoflop.grading.equivalence import classify
from isoflop.grading.graders.number import NumberGrader

ANSWERS = "abcdefgh"
REFERENCE = "R"


@st.composite
def verdict_tables(draw):
    """A symmetric verdict for every pair of answers and for every answer against the reference."""
    table = {}
    for index, first in enumerate(ANSWERS):
        for second in (*ANSWERS[index + 1 :], REFERENCE):
            verdict = draw(st.sampled_from([True, False, False, None]))
            table[first, second] = table[second, first] = verdict
    return table


def lookup(table):
    return lambda first, second: True if first == second else table[first, second]


samples = st.lists(st.sampled_from(ANSWERS), max_size=20)


@given(verdict_tables(), samples, st.randoms())
def test_order_and_repeats_of_the_answers_do_not_matter(table, answers, random):
    shuffled = answers + answers[: len(answers) // 2]
    random.shuffle(shuffled)
    assert classify(answers, REFERENCE, lookup(table)) == classify(shuffled, REFERENCE, lookup(table))


@given(verdict_tables(), samples)
def test_correctness_is_each_answers_own_verdict_and_fills_one_class(table, answers):
    classes = classify(answers, REFERENCE, lookup(table))
    assert classes.correct == {answer for answer in answers if table[answer, REFERENCE]}
    numbers = {classes.number[answer] for answer in classes.correct}
    assert len(numbers) <= 1
    assert all((classes.number[answer] in numbers) == (answer in classes.correct) for answer in answers)


@given(verdict_tables(), samples)
def test_numbers_have_no_gaps_and_follow_the_sorted_representatives(table, answers):
    number = classify(answers, REFERENCE, lookup(table)).number
    assert set(number) == set(answers)
    smallest = [
        min(answer for answer in number if number[answer] == one) for one in range(len(set(number.values())))
    ]
    assert smallest == sorted(smallest)
    assert set(number.values()) == set(range(len(smallest)))


@given(verdict_tables(), samples)
def test_no_pair_is_compared_twice_and_undecided_ones_are_bounded_and_reported(table, answers):
    calls = Counter()

    def counted(first, second):
        calls[frozenset((first, second))] += 1
        return lookup(table)(first, second)

    classes = classify(answers, REFERENCE, counted)
    assert all(count == 1 for count in calls.values())
    undecided = {pair for pair in calls if lookup(table)(*pair) is None}
    assert {frozenset(pair) for pair in classes.undecided} == undecided
    assert len(classes.undecided) <= 3 * len(set(answers))


@given(verdict_tables(), samples)
def test_wrong_answers_in_one_class_are_linked_and_representatives_differ(table, answers):
    classes = classify(answers, REFERENCE, lookup(table))
    members = {}
    for answer, number in classes.number.items():
        members.setdefault(number, []).append(answer)
    for group in members.values():
        if len(group) > 1 and group[0] not in classes.correct:
            assert all(any(table[one, other] for other in group if other != one) for one in group)
            assert all(table[one, REFERENCE] is False for one in group)


@given(st.lists(st.integers(0, 30)), st.integers(0, 30), st.integers(1, 7))
def test_a_true_equivalence_gives_its_exact_partition(values, reference, modulus):
    answers = [str(value) for value in values]
    classes = classify(answers, str(reference), lambda one, other: int(one) % modulus == int(other) % modulus)
    by_residue = {}
    for answer in answers:
        by_residue.setdefault(int(answer) % modulus, set()).add(classes.number[answer])
    assert all(len(numbers) == 1 for numbers in by_residue.values())
    assert len(set(classes.number.values())) == len(by_residue)
    assert classes.correct == {answer for answer in answers if (int(answer) - reference) % modulus == 0}


@given(
    st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**4),
    st.sampled_from(["The answer is {}.", "#### {}\n", "A: {}", r"so \boxed{{{}}}", "**Answer:** {} apples"]),
)
def test_every_number_stated_is_extracted_exactly(value, statement):
    grader = NumberGrader()
    answer = grader.extract(statement.format(f"{value.numerator}/{value.denominator}"))
    assert Fraction(answer) == value
    assert grader.equivalent(answer, str(value))
    assert grader.extract(statement.format(answer)) == answer
