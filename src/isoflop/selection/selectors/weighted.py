"""Weighted voting: every candidate's vote weighs what a verifier scores it, at least 0."""

from isoflop.selection.kinds import Vote

SELECTOR = Vote(name="weighted", label="weighted voting", short="wv", order=3, reads="verifier")
