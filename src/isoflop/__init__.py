"""isoflop: inference scaling laws as a Snakemake workflow."""

__version__ = "0.1.0"
