"""Sweeps: one strategy at every point of a grid, and what the best of many is worth."""
