"""The tree searches, a module each with its object `SEARCH`: keys, checks and steps."""
