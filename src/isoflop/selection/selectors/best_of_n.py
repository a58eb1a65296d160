"""Best-of-n: the answer of the candidate that a verifier scores highest."""

from isoflop.selection.kinds import BestScore

SELECTOR = BestScore(name="best_of_n", label="best-of-n", short="bon", order=2, reads="verifier")
