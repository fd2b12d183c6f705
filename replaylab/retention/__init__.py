"""Retention: old games are removed on purpose, whole, and the account keeps them apart from lost ones."""
