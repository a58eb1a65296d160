"""Worlds whose truth is known, and how often sentences about them are false."""
