"""The cost models of isoflop, one a module: `COST_MODEL`."""
