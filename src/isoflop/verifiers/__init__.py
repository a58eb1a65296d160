"""Reward models: layouts, heads, engines."""
