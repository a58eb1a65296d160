"""The selectors of isoflop, one a module: `SELECTOR`."""
