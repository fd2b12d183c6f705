"""Backtests: orders, account and ledger, the tape a strategy sees, the result with its metrics."""
