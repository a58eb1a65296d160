"""The typed config: one module per section, its checks and docs."""
