"""The parts of a backtest: orders, money, the tape that a strategy sees, and what came of it."""
