"""The graders of isoflop, one a module: `GRADER`."""
