"""Simulated games as price paths, whole or as a recorder sees them; estimators are checked against them."""
