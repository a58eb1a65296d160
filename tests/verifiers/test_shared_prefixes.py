"""Equal beginnings have equal scores, so that ties share credit."""

from isoflop.engines.registry import ScoreRequest, StepScores
from isoflop.verifiers.shared_prefixes import scored_alike


def test_equal_beginnings_have_the_score_of_the_first() -> None:
    requests = [
        ScoreRequest("p", ("a", "b")),
        ScoreRequest("p", ("a", "c")),
        ScoreRequest("q", ("a",)),
        ScoreRequest("p", ("a", "b")),
    ]
    answers = [
        StepScores((0.36200935, 0.5), 4, (2, 4)),
        StepScores((0.36200887, 0.50000004), 4, (2, 4)),
        StepScores((0.36200887,), 2, (2,)),
        StepScores((0.36200900, 0.50000004), 4, (2, 4)),
    ]
    told = scored_alike(requests, answers)
    assert [one.scores for one in told] == [
        (0.36200935, 0.5),
        # Another step, and another problem, keep their own.
        (0.36200935, 0.50000004),
        (0.36200887,),
        (0.36200935, 0.5),
    ]
    assert [(one.tokens, one.step_ends) for one in told] == [(one.tokens, one.step_ends) for one in answers]


def test_a_verifier_that_sees_what_follows_keeps_its_scores() -> None:
    requests = [ScoreRequest("p", ("a", "b")), ScoreRequest("p", ("a", "c")), ScoreRequest("p", ("a",) * 9)]
    answers = [StepScores((0.4, 0.5), 4), StepScores((0.41, 0.5), 4), StepScores((), 0)]
    assert scored_alike(requests, answers) == answers
