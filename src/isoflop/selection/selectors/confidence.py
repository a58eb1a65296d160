"""Best-of-n by the policy's own confidence: the candidate with the highest mean token log-probability.

No verifier is needed, and nothing is paid beyond sampling. The mean is over generated tokens, the end token
included, so that long solutions are not held against themselves.
"""

from isoflop.selection.kinds import BestScore

SELECTOR = BestScore(
    name="confidence", label="best-of-n by confidence", short="conf", order=5, reads="logprob"
)
