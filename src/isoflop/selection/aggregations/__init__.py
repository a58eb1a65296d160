"""The step aggregations of isoflop, one a module: `AGGREGATION`."""
