"""Before a model is used: where its files are, and what is wrong with them or with what came of them."""
