"""Snell et al. 2024: difficulty, compute-optimal choice, exchange with pretraining."""
