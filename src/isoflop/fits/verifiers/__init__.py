"""How well verifiers tell right solutions from wrong ones, and whether their scores are calibrated."""
