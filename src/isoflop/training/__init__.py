"""Policies, reward models and their data."""
