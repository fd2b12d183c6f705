"""Batches: tasks over parts of a store, executors, the cache of finished games, the results."""
