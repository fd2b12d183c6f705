"""Simulated games as price paths, watched whole or in part: what estimators are checked against."""
