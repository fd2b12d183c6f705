"""Retention: old games are removed on purpose, whole, and the account tells them from lost ones."""
