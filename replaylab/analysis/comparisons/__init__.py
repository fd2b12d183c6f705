"""Comparisons: groups of games, strategies on the same games, one day with another, and how many games that takes."""
