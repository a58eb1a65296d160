"""Write the problems of one data set: `python -m isoflop.stages.problems SPEC OUT.parquet`.

SPEC is JSON: {"dataset": ..., "mirror": folder or null, "code": digest}. Whatever a file comes from (hub, mirror, local
path), its sha256 is checked before a byte of it is parsed.
"""
