"""The formats of published solutions, one module each with its `FORMAT`."""
