"""Encryption at rest: a master key wraps the key of a store, from which each file has a key of its own."""
