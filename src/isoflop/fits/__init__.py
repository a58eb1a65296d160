"""Bootstrap, curves, interpolation, scaling laws, the frontier of sizes, and their tables."""
