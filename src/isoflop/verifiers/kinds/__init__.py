"""The kinds of verifiers that run here, a module each with its object `VERIFIER`: keys, layout and head."""
