"""A whole study with tiny random models and a few invented problems."""
