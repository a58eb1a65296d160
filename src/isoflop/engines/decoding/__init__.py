"""Parts of the transformers engine's decoding: which token comes next, and what is found again in float64."""
